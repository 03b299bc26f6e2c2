"""Run compositions in the background of this process, because MCP clients abandon a call after their own timeout.

Each has a thread and the name of its article, by which later calls ask for its progress. Its checkpoints are on the
desk, so that another process can continue it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from limner.errors import JobError, LimitReached, LimnerError

if TYPE_CHECKING:
    from limner.workflows.state import Event

AT_ONCE = 8  # compositions per owner; each holds a thread and calls a model
Limits = Callable[[str], tuple[int | None, int | None]]
KEPT = 100  # failures kept for later calls


class Running:
    """A composition at work."""

    def __init__(self) -> None:
        self.result: Any = None
        """The result of the work; of a composition, a ToolResult."""
        self.error: LimnerError | None = None
        self.doing: Event = {}  # type: ignore[typeddict-item]
        """The last event, {} before the first."""
        self._accepted, self._ended = threading.Event(), threading.Event()
        self._listening: list[queue.SimpleQueue[Event]] = []

    @property
    def ended(self) -> bool:
        """Whether it has a result or an error."""
        return self._ended.is_set()

    def accept(self) -> None:
        """Called by the work once its caller need not wait any more; later events go to later callers."""
        self._accepted.set()

    def on_event(self, event: Event) -> None:
        """Called by the work."""
        self.doing = event
        for listener in list(self._listening):
            listener.put(event)

    def work(self, does: Callable[[Running], Any]) -> None:
        """The work of the thread."""
        try:
            self.result = does(self)
        except LimnerError as e:
            self.error = e
        except BaseException as e:
            self.error = JobError(f"The composition ended by a fault of limner's ({type(e).__name__}). Compose again.")
            raise
        finally:
            self._ended.set()
            self._accepted.set()

    def begun(self) -> None:
        """Wait until the work is accepted. Raises its LimnerError if it failed before."""
        self._accepted.wait()
        if self.ended and self.error is not None:
            raise self.error

    def wait(self, seconds: float, hear: Callable[[Event], None], check: Callable[[], None]) -> bool:
        """Wait for the end and receive events meanwhile; returns whether it has ended. check: raises to stop
        waiting."""
        heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._listening.append(heard)
        end = time.monotonic() + seconds
        try:
            while not self.ended and time.monotonic() < end:
                check()
                try:
                    hear(heard.get(timeout=min(0.1, seconds)))
                except queue.Empty:
                    continue
        finally:
            self._listening.remove(heard)
        return self.ended


class Background:
    """The compositions of one process."""

    def __init__(self, limits: Limits = lambda _owner: (None, None)) -> None:
        """limits: an owner's compositions at once and in a minute, None for no limit of the owner's own."""
        self._lock = threading.Lock()
        self._limits = limits
        self._running: dict[tuple[str, str], Running] = {}
        self._begun: dict[str, deque[float]] = {}

    def start(self, owner: str, name: str, does: Callable[[Running], Any], *, new: bool = True) -> Running:
        """Start a composition, or find the running one. new: False for one that continues after an answer.

        Raises LimitReached if the owner already has AT_ONCE, or as many as the owner's own limits allow.
        """
        at_once, in_a_minute = self._limits(owner)
        with self._lock:
            found = self._running.get((owner, name))
            if found is not None and not found.ended:
                return found
            busy = sum(who == owner and not running.ended for (who, _), running in self._running.items())
            if busy >= min(AT_ONCE, at_once or AT_ONCE):
                raise LimitReached(
                    f"{busy} articles are being composed already. Wait for one: get_article shows how far each is."
                )
            if new and in_a_minute is not None:
                self._count(owner, in_a_minute)
            for key in [key for key, running in self._running.items() if running.ended][:-KEPT]:
                del self._running[key]
            made = self._running[owner, name] = Running()
        # No daemon: when the client closes the server, its compositions are finished first.
        threading.Thread(target=made.work, args=(does,), name=f"compose-{name}").start()
        return made

    def _count(self, owner: str, most: int) -> None:
        """Count a new composition. Raises LimitReached where the last minute had as many as allowed."""
        now, begun = time.monotonic(), self._begun.setdefault(owner, deque())
        while begun and now - begun[0] >= 60:
            begun.popleft()
        if len(begun) >= most:
            raise LimitReached(f"{owner} may compose {most} articles a minute. Wait a minute, then compose again.")
        begun.append(now)

    def get(self, owner: str, name: str) -> Running | None:
        """A running or failed composition; None for any other."""
        with self._lock:
            return self._running.get((owner, name))
