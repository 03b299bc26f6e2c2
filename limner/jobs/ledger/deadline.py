"""Connections to Postgres that never wait without an end; a separate module because psycopg comes with an extra.

A network that swallows bytes looks like a server that is thinking: TCP acknowledges, something in between answers
keepalives, and libpq waits. So every wait for an answer has a deadline by this process's own clock; when it is over,
the connection is closed. The server gets the same deadlines, so that a transaction whose client is cut off gives its
locks back.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Self, TypeVar

import psycopg
from psycopg.rows import Row

T = TypeVar("T")

CONNECT = 2  # seconds; psycopg takes no less
LONG = 20  # seconds; whoever has hours for an answer need not have them for a connection


class Bounded(psycopg.Connection[Row]):
    """A connection whose every wait ends within `answer` seconds, with OperationalError, and the connection with it."""

    answer: float = 10

    @classmethod
    def reach(cls, url: str = "", *, answer: float, **options: Any) -> Self:
        """Connect, and give the server the same deadlines. answer: seconds. Raises psycopg.OperationalError."""
        options.setdefault("connect_timeout", max(CONNECT, round(min(answer, LONG) / 2)))
        made = cls.connect(url, **options)
        made.answer = answer
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
        """As psycopg's, with a deadline."""
        try:
            return super().wait(_bounded(gen, self.answer), *args, **options)
        except _Silent as silent:
            self.close()  # an answer that comes later must not be taken for that to the next question
            raise psycopg.OperationalError(f"no answer within {self.answer:.0f} s") from silent


class _Silent(Exception):
    """The deadline of a wait is over."""


def _bounded(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """The same generator; psycopg's loop comes by ten times a second, also when there is nothing to be read."""
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
