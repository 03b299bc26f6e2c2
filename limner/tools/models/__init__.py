"""Models on this machine: downloaded from the hub, looked into, and found again by the name that a setting gives."""
