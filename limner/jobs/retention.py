"""Delete the working data of jobs that ended long ago; articles and their versions stay.

Working papers are the checkpoints, which a job goes on from, the answers of models, which it does not ask for again,
and the events of its course. A job that failed can be retried without them: it then begins from the beginning. What was
spent, the request, why it ended and its end among the events stay, a few hundred bytes a job.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, exists, func, select, update

from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import DAY, ENDED
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import calls, events, jobs, now

AT_ONCE = 100  # jobs of one transaction: it holds up the workers for some milliseconds
WORTH = 0.25  # share of a SQLite file that must be free for it to be written anew


def tidy(database: Database, days: float) -> int:
    """Throw away the working papers of jobs that ended more than so many days ago; of how many there were any.

    Raises LedgerError.
    """
    tidied = 0
    while ids := _tidy_some(database, days * DAY):
        tidied += len(ids)
    with database.write() as c:  # what jobs that were deleted have spent counts for their owner's day alone
        gone = calls.c.job.not_in(select(jobs.c.id))
        c.execute(delete(calls).where(calls.c.at < now() - 2 * DAY, gone))
    return tidied


def _tidy_some(database: Database, seconds: float) -> list[str]:
    """The oldest of them, in one transaction: a job is retried before it or after it."""
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
    """The number of the event with which a job ended; those after it are of later edits."""
    ends = events.alias("ends")
    return select(func.max(ends.c.seq)).where(ends.c.job == job, ends.c.kind.in_(ENDED)).scalar_subquery()


def shrink(database: Database) -> int:
    """Give the room that is free within a SQLite file back to the disk, if it is worth it; how many bytes.

    The file is written anew, which for a moment takes as much room again, and holds up all who want to write. On
    Postgres, whose autovacuum keeps it fit for use, 0. Raises LedgerError.
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
