"""Models on this machine: downloaded, looked into, found by name; encoders that run in this process."""
