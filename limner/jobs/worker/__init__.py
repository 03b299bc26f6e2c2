"""The worker: processes that run jobs under a lease, and the sweeper beside them."""
