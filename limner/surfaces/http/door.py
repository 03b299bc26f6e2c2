"""Limit connections: the time for headers, bodies and unread answers, and the number in all and per address.

A client costs a socket and some kilobytes before it has sent a request's headers. uvicorn gives it unlimited time; here
it has seconds. If all places are taken, the connection that has waited longest without a request is closed, so that
many silent connections shut nobody out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger("limner.api")

HEAD = 20.0  # seconds for the headers of a request
BODY = 120.0  # seconds for its body; 8 MB at half a megabit a second
LINGER = 10.0  # seconds to drop the rest of a body after the answer, so that its sender reads the answer
STALLED = 120.0  # seconds in which the client reads no byte of an answer
OTHERS = 256  # other open files of a process: databases, libraries, images
MOST = 10_000  # connections if the system's limit is higher or missing


class Doors:
    """The open connections of a process. It belongs to the event loop."""

    def __init__(self, most: int = 0, per_address: int = 0) -> None:
        """most: limit of connections, 0 for the rest of the limit of open files. per_address: 0 for half of them."""
        self.most = most or _fitting()
        self.per_address = per_address or max(1, self.most // 2)
        self._open: dict[Connection, None] = {}  # in order of arrival
        self._of: defaultdict[str, dict[Connection, None]] = defaultdict(dict)

    def enter(self, connection: Connection) -> bool:
        """Whether there is a place, if need be after closing a connection that waits without a request."""
        address = connection.address
        there = self._of.get(address, {})
        if len(there) >= self.per_address and not self._turn_out(there):
            return False
        if len(self._open) >= self.most and not self._turn_out(self._open):
            return False
        self._open[connection] = self._of[address][connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)
        if address := self._of.get(connection.address):
            address.pop(connection, None)
            if not address:
                del self._of[connection.address]

    def _turn_out(self, some: dict[Connection, None]) -> bool:
        idle = next((c for c in some if c.waits), None)
        if idle is None:
            return False
        self.leave(idle)
        idle.transport.abort()
        return True


class Connection(H11Protocol):
    """uvicorn's protocol, within limits."""

    def __init__(self, doors: Doors, *args: Any, **options: Any) -> None:
        """args, options: uvicorn's."""
        super().__init__(*args, **options)
        self._doors = doors
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """The client's address, without its port."""
        return self.client[0] if self.client else ""

    @property
    def waits(self) -> bool:
        """Whether the connection has no running request."""
        return self.cycle is None or self.cycle.response_complete

    # -- callbacks of asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Like uvicorn's; closes the connection at once if there is no place."""
        super().connection_made(transport)
        if self._doors.enter(self):
            self._keep_time()
        else:
            log.warning("no place for a connection of %s", self.address)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        self._doors.leave(self)
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        super().data_received(data)
        self._keep_time()

    def on_response_complete(self) -> None:
        """Like uvicorn's; drops the rest of an unwanted body for a while."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._within(LINGER)
        else:
            self._keep_time()

    def pause_writing(self) -> None:
        """Like uvicorn's: the client reads too slowly."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED, self._too_slow)

    def resume_writing(self) -> None:
        """As uvicorn's."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    # -- the clock

    def _keep_time(self) -> None:
        """Start the clock for the client's current part, headers or body; no clock outside of both."""
        state = self.conn.their_state
        between = state is h11.IDLE and self.timeout_keep_alive_task is not None  # uvicorn's own clock runs
        state = None if between else state
        if state is not self._timed:
            self._timed = state
            self._within({h11.IDLE: HEAD, h11.SEND_BODY: BODY}.get(state))

    def _within(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self.transport.abort()


def _fitting() -> int:
    """The number of connections for which the limit of open files has room."""
    if resource is None:
        return MOST
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(MOST, max(soft - OTHERS, soft // 2, 16))
