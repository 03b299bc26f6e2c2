"""Connections within limits: of time for headers, bodies and unread answers, and of number in all and per address.

Strangers cost a socket and some kilobytes until they have sent the headers of a request. uvicorn lets them take for
ever over that; here they have seconds. Where the places are all taken, the connection that has waited longest without a
request gives its own up: many who open connections and say nothing shut nobody out.
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
LINGER = 10.0  # seconds that the rest of a body is dropped after the answer, so that its sender comes to read that
STALLED = 120.0  # seconds without a byte of an answer being taken
OTHERS = 256  # files that a process needs besides: databases, libraries, pictures
MOST = 10_000  # connections where the system sets no limit, or a higher one


class Doors:
    """The open connections of a process. Lives in the event loop."""

    def __init__(self, most: int = 0, per_address: int = 0) -> None:
        """most: connections at once, 0 for what the limit of open files leaves. per_address: 0 for half of them."""
        self.most = most or _fitting()
        self.per_address = per_address or max(1, self.most // 2)
        self._open: dict[Connection, None] = {}  # in the order they came
        self._of: defaultdict[str, dict[Connection, None]] = defaultdict(dict)

    def enter(self, connection: Connection) -> bool:
        """Whether there is a place, if need be of one that waits without a request."""
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
    """uvicorn's, within limits."""

    def __init__(self, doors: Doors, *args: Any, **options: Any) -> None:
        """args, options: as uvicorn gives them."""
        super().__init__(*args, **options)
        self._doors = doors
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """The other side's, without its port."""
        return self.client[0] if self.client else ""

    @property
    def waits(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    # -- what asyncio tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; without a place it is closed at once."""
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
        """As uvicorn's. What comes of a body that nobody wanted is dropped, for a while."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._within(LINGER)
        else:
            self._keep_time()

    def pause_writing(self) -> None:
        """As uvicorn's: the other side reads too slowly."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED, self._too_slow)

    def resume_writing(self) -> None:
        """As uvicorn's."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    # -- the clock

    def _keep_time(self) -> None:
        """Start the clock for what the other side is at: headers, or a body. Nothing of either: no clock."""
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
    """As many connections as the limit of open files has room for."""
    if resource is None:
        return MOST
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(MOST, max(soft - OTHERS, soft // 2, 16))
