"""Connections to Postgres with a deadline on every wait; a separate module because psycopg comes with an extra.

A network that drops data looks like a busy server: TCP acknowledges, something in between answers keepalives, and libpq
waits. So every wait for an answer has a deadline by this process's own clock, after which the connection is closed. The
server gets the same deadlines, so that a transaction whose client is cut off releases its locks.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import Any, Self, TypeVar, cast

import psycopg
from psycopg.abc import Params, Query, QueryNoTemplate
from psycopg.rows import Row

T = TypeVar("T")

CONNECT = 2  # seconds; psycopg takes no less
LONG = 20  # seconds for a connection, even if an answer may take hours


class OneByOne(psycopg.Cursor[Row]):
    """A cursor that sends many rows one after the other, without the pipeline that psycopg opens for them.

    After such a pipeline the server (seen with Postgres 15) no longer counts the time that the transaction is idle,
    probably because of its Flush message: one whose client was cut off kept its locks for as long as TCP lived.
    """

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """Run a query for each row. Raises NotSupportedError if rows are wanted back."""
        if returning:
            raise psycopg.NotSupportedError("rows cannot be returned: run the queries singly")
        count = 0
        for params in params_seq:
            self.execute(cast("QueryNoTemplate", query), params)
            count += max(0, self.rowcount)
        self._rowcount = count


class Bounded(psycopg.Connection[Row]):
    """A connection whose every wait ends within `answer` seconds, with OperationalError, and the connection with it."""

    answer: float = 10

    @classmethod
    def reach(cls, url: str = "", *, answer: float, **options: Any) -> Self:
        """Connect, and give the server the same deadlines. answer: seconds. Raises psycopg.OperationalError."""
        options.setdefault("connect_timeout", max(CONNECT, round(min(answer, LONG) / 2)))
        made = cls.connect(url, **options)
        made.answer = answer
        made.cursor_factory = cast("type[psycopg.Cursor[Any]]", OneByOne)
        ms = round(answer * 1000)
        try:
            made.execute(
                f"SET statement_timeout = {ms}; SET idle_in_transaction_session_timeout = {ms}".encode(), prepare=False
            )
            if not made.autocommit:
                made.commit()
        except BaseException:
            made.close()
            raise
        return made

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Like psycopg's, with a deadline."""
        try:
            return super().wait(_bounded(gen, self.answer), *args, **options)
        except _Silent as silent:
            self.close()  # a late answer must not be taken for the next one
            raise psycopg.OperationalError(f"no answer within {self.answer:.0f} s") from silent


class _Silent(Exception):
    """The deadline of a wait has passed."""


def _bounded(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """Wrap a generator; psycopg's loop resumes it ten times a second, even if there is nothing to read."""
    end = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise _Silent
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
