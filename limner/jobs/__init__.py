"""Long articles as jobs: submitted, queued, worked on under a lease, watched, and never lost.

The database is the truth (`ledger.py`); Celery only rings the bell (`queue.py`). A worker that hears it takes a lease
on the job (`runner.py`), and every write it makes is refused once the lease is another's. A sweeper in each worker
(`sweeper.py`) puts back what was orphaned and rings again for what nobody heard.
"""

import logging

logging.getLogger("limner").addHandler(logging.NullHandler())  # services say where logs go; to others we do not speak
