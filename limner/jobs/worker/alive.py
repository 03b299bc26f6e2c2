"""Check that this machine's worker lives, for a container's health check: `python -m limner.jobs.worker.alive`.

It asks the ledger for the last sign of the worker's sweeper, not Celery: a worker may answer pings and take no jobs,
and a missing broker is no fault of the worker.
"""

from __future__ import annotations

import sys
from contextlib import closing

from sqlalchemy import select

from limner.errors import LimnerError
from limner.jobs.ledger.database import Database, database_url
from limner.jobs.ledger.schema import now, workers
from limner.jobs.worker import process
from limner.settings import Settings

MISSED = 6  # sweeps; a database that was away for one or two is no reason to restart the worker
LEAST = 30.0  # seconds


def quiet_for(database: Database) -> float | None:
    """Seconds since the last sign of a worker of this machine; None if there was none. Raises LedgerError."""
    here = process.name().partition("/")[0]
    query = select(now() - workers.c.seen).where(workers.c.name.startswith(f"{here}/", autoescape=True))
    with database.read() as connection:
        return min(connection.execute(query).scalars(), default=None)


def main() -> int:
    """Returns the exit code: 0 if a worker gave a sign within MISSED sweeps, else 1 and a line with the reason."""
    try:
        settings = Settings()
        with closing(Database(database_url(settings))) as database:
            quiet = quiet_for(database)
    except LimnerError as e:
        print(e, file=sys.stderr)
        return 1
    if quiet is not None and quiet <= max(LEAST, MISSED * settings.sweep):
        return 0
    heard = "never" if quiet is None else f"{quiet:.0f} s ago"
    print(f"The worker of this machine was last heard of {heard}. See its log.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
