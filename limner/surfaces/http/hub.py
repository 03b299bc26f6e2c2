"""Watch jobs for many clients: one look at the ledger for all, one read of new events per job.

The ledger notifies nobody. So while anybody watches, one query every tenth of a second asks for the last event's number
of every watched job. If it rose, the job's watchers wake: the first reads the new events, the others use what it read.
A watcher that is late or slow reads pages of its own, one at a time; it delays nobody and keeps one page at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import anyio
import anyio.to_thread

from limner.errors import LedgerError
from limner.jobs.ledger import ENDED, Event, Ledger

log = logging.getLogger("limner.api")
T = TypeVar("T")

LOOK = 0.1  # seconds between two queries; people do not notice less
AGAIN = 1.0  # seconds to wait while the ledger cannot be used
TOKENS = 5.0  # seconds between two checks of the watchers' tokens
PING = 15  # seconds of silence before a comment; proxies close a stream that is silent for 30 or 60
PAGE = 100  # events per read
KEPT = 64_000  # bytes of a watched job's newest events to keep for its watchers


class Ready(NamedTuple):
    """An event in its serialised form."""

    seq: int
    wire: bytes


class Feed:
    """The state of one watched job. It belongs to the event loop and exists while somebody watches."""

    def __init__(self) -> None:
        self.watchers = 0
        self.seq = 0
        """Number of its last event."""
        self.over = False
        """Whether the job ended or was deleted: nothing follows `seq` by itself."""
        self.gone = False
        """Whether it was deleted."""
        self.changed = asyncio.Event()
        self.reading = asyncio.Lock()
        self.newest: deque[Ready] = deque()
        self.size = 0

    def tell(self, seq: int, over: bool, gone: bool = False) -> None:
        """Wake the watchers if this is news. Older observations do not count, because numbers only rise."""
        if seq >= self.seq and (seq, over, gone) != (self.seq, self.over, self.gone):
            self.seq, self.over, self.gone = seq, over, gone
            self.wake()

    def wake(self) -> None:
        """Wake all current waiters; later ones wait for the next time."""
        self.changed.set()
        self.changed = asyncio.Event()

    def keep(self, page: list[Ready]) -> None:
        """Remember events that are newer than the remembered ones."""
        if page and self.newest and page[0].seq > self.newest[-1].seq + 1:
            self.newest.clear()
            self.size = 0
        for ready in page:
            if not self.newest or ready.seq == self.newest[-1].seq + 1:
                self.newest.append(ready)
                self.size += len(ready.wire)
        while self.size > KEPT:
            self.size -= len(self.newest.popleft().wire)

    def kept(self, after: int) -> list[Ready]:
        """The known events after a number, up to the first gap."""
        if not self.newest or not self.newest[0].seq <= after + 1 <= self.newest[-1].seq:
            return []
        return [ready for ready in self.newest if ready.seq > after]


class Hub:
    """All watchers of this process."""

    def __init__(self, ledger: Ledger, still_good: Callable[[Collection[str]], set[str]] = set) -> None:
        """still_good: of the keys that let watchers in, those that would let them in now."""
        self.ledger, self._still_good = ledger, still_good
        self._keys: Counter[str] = Counter()
        self._revoked: set[str] = set()
        self._checked = time.monotonic()
        self.closing = False
        self._feeds: dict[str, Feed] = {}
        self._poller: asyncio.Task[None] | None = None
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def watchers(self) -> int:
        """Number of open streams."""
        return sum(feed.watchers for feed in self._feeds.values())

    def close(self) -> None:
        """End all streams after their current event. Call it in the event loop."""
        self.closing = True
        for feed in self._feeds.values():
            feed.wake()
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def events(
        self, job: str, after: int, follow: bool, stay: bool = False, key: str = ""
    ) -> AsyncIterator[bytes]:
        """Stream a job's events with a number above `after`; with `follow` also later ones, until the job ends.

        stay: continue after the end, while people revise the article, until the job is deleted. key: what let the
        watcher in; the stream ends once it no longer would. If the ledger is away for a while, the stream continues
        where it was.
        """
        yield b"retry: 1000\n\n"
        with self._watching(job) as feed, self._held(key):
            while not (self._over(key) or await self._look([job])):
                await asyncio.sleep(AGAIN)
            while not self._over(key):
                changed = feed.changed  # before reading: an event that arrives meanwhile then wakes this watcher
                if after < feed.seq:
                    page = await self._page(job, feed, after)
                    if page is None:
                        await asyncio.sleep(AGAIN)
                        continue
                    if not page:  # it was deleted
                        return
                    after = page[-1].seq
                    yield b"".join(ready.wire for ready in page)
                elif not follow or feed.gone or (feed.over and not stay):
                    return
                elif not await _within(changed, PING):
                    yield b": still there\n\n"

    # -- reading

    async def _page(self, job: str, feed: Feed, after: int) -> list[Ready] | None:
        async with feed.reading:
            page: list[Ready] | None = feed.kept(after)
            if not page:
                page = await self._thread(lambda: [_ready(e) for e in self.ledger.events(job, after, PAGE)])
                feed.keep(page or [])
            return page

    async def _thread(self, read: Callable[[], T]) -> T | None:
        """The ledger's answer, None while it cannot be reached."""
        # Own threads: slow requests must not delay the streams.
        self._threads = self._threads or anyio.CapacityLimiter(4)
        try:
            return await anyio.to_thread.run_sync(read, limiter=self._threads)
        except LedgerError as e:
            log.warning("watchers wait: %s", e)
            return None

    # -- looking

    @contextmanager
    def _watching(self, job: str) -> Iterator[Feed]:
        feed = self._feeds.setdefault(job, Feed())
        feed.watchers += 1
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="limner-watching")
        try:
            yield feed
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                del self._feeds[job]

    @contextmanager
    def _held(self, key: str) -> Iterator[None]:
        self._keys[key] += 1
        try:
            yield
        finally:
            self._keys[key] -= 1
            if not self._keys[key]:
                del self._keys[key]
                self._revoked.discard(key)

    def _over(self, key: str) -> bool:
        return self.closing or key in self._revoked

    async def _check_keys(self) -> None:
        """Every few seconds: whose token was removed watches no more."""
        if time.monotonic() - self._checked < TOKENS:
            return
        held = set(self._keys)
        good = await self._thread(lambda: self._still_good(held))
        self._checked = time.monotonic()
        if good is not None and (gone := held - good - self._revoked):
            self._revoked |= gone
            for feed in self._feeds.values():
                feed.wake()

    async def _poll(self) -> None:
        """Query for news while anybody watches."""
        while self._feeds and not self.closing:
            try:
                heard = await self._look(list(self._feeds))
                await self._check_keys()
            except Exception:  # watchers must not wait for ever, whatever was raised
                log.exception("unexpected error while reading new events")
                heard = False
            await asyncio.sleep(LOOK if heard else AGAIN)

    async def _look(self, ids: list[str]) -> bool:
        found = await self._thread(lambda: self.ledger.seqs(ids))
        if found is None:
            return False
        for job in ids:
            feed = self._feeds.get(job)
            if feed is not None:
                seq, state = found.get(job, (feed.seq, "cancelled"))  # a deleted job has no more events
                feed.tell(seq, state in ENDED, job not in found)
        return True


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _ready(event: Event) -> Ready:
    return Ready(event.seq, f"id: {event.seq}\ndata: {event.model_dump_json()}\n\n".encode())
