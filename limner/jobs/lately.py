"""The images of the last articles, for the filter `unused=N` of commands and Python, which run no job themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from limner.settings import Settings


def lately(settings: Settings) -> Callable[[int], set[str] | None]:
    """A function that gives the ids of the images in the last n articles of this installation's jobs; None if it has
    no ledger. Raises LedgerError if the ledger cannot be read."""

    def used(n: int) -> set[str] | None:
        if not _has_ledger(settings):
            return None
        from limner.jobs.service import Jobs  # slow to import, and seldom needed

        jobs = Jobs(settings)
        try:
            return jobs.ledger.shown_lately(n)
        finally:
            jobs.close()

    return used


def _has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger, without making one: commands keep their checkpoints in a file of the same name."""
    if settings.database_url.get_secret_value():
        return True
    file = Path(settings.home) / "jobs.sqlite"
    if not file.is_file():
        return False
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as records:
        return records.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone() is not None
