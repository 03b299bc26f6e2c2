"""Delete the working data of jobs that ended long ago; articles and their versions stay.

Working data are a job's checkpoints, model answers and events. Without them a failed job that is retried starts from
the beginning. The cost, the request, the reason of the end and the final event stay: a few hundred bytes per job.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, exists, func, select, update

from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import DAY, ENDED
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import calls, events, jobs, now

AT_ONCE = 100  # jobs per transaction, which blocks the workers for some milliseconds
WORTH = 0.25  # share of free space from which a SQLite file is rewritten


def tidy(database: Database, days: float) -> int:
    """Delete the working data of jobs that ended more than `days` days ago. Returns how many jobs had any.

    Raises LedgerError.
    """
    tidied = 0
    while ids := _tidy_some(database, days * DAY):
        tidied += len(ids)
    with database.write() as c:  # tokens of deleted jobs matter only for their owner's day
        gone = calls.c.job.not_in(select(jobs.c.id))
        c.execute(delete(calls).where(calls.c.at < now() - 2 * DAY, gone))
    return tidied


def _tidy_some(database: Database, seconds: float) -> list[str]:
    """Delete the data of the oldest jobs in one transaction, so that a retry comes before or after it."""
    ended = and_(jobs.c.state.in_(ENDED), jobs.c.finished < now() - seconds)
    more = exists().where(events.c.job == jobs.c.id, events.c.seq < _end_of(jobs.c.id))
    oldest = select(jobs.c.id).where(ended, more).order_by(jobs.c.finished).limit(AT_ONCE)
    with database.write() as c:
        ids = list(c.execute(oldest.with_for_update(skip_locked=True)).scalars())
        if ids:
            checkpoints.forget_within(c, ids)
            c.execute(update(calls).where(calls.c.job.in_(ids), calls.c.answer.is_not(None)).values(answer=None))
            c.execute(delete(events).where(events.c.job.in_(ids), events.c.seq < _end_of(events.c.job)))
    return ids


def _end_of(job: Any) -> Any:
    """The number of the event that ended a job; later events are edits."""
    ends = events.alias("ends")
    return select(func.max(ends.c.seq)).where(ends.c.job == job, ends.c.kind.in_(ENDED)).scalar_subquery()


def shrink(database: Database) -> int:
    """Return a SQLite file's free space to the disk if there is enough of it. Returns the bytes.

    The rewrite briefly needs the same space again and blocks all writers. On Postgres, which has autovacuum, returns 0.
    Raises LedgerError.
    """
    if not database.sqlite:
        return 0
    with database.read() as c:
        size, pages, free = (
            c.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_size", "page_count", "freelist_count")
        )
        if free < WORTH * pages:
            return 0
        c.exec_driver_sql("VACUUM")
        c.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return size * free
