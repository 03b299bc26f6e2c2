"""Long articles as jobs: submitted, queued, worked on under a lease, watched, and never lost.

The database is the truth (`ledger/`); Celery only wakes workers (`queue.py`). A worker takes a lease on a job
(`worker/runner.py`); the ledger refuses its writes once another worker holds the lease. A sweeper in each worker
(`worker/sweeper.py`) requeues orphaned jobs and sends lost messages again.
"""

import logging

logging.getLogger("limner").addHandler(logging.NullHandler())  # silent until somebody configures logging
