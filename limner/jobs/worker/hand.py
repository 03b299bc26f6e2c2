"""A process of the worker as its parent sees it, with its sign of life."""

from __future__ import annotations

import mmap
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any


class Pulse:
    """A process's sign of life, in memory that it shares with its parent."""

    def __init__(self) -> None:
        self._at = mmap.mmap(-1, 8)
        self._seen, self._since = 0.0, 0.0

    def beat(self) -> None:
        """Give a sign every second from now on; called in the process."""
        threading.Thread(target=self._beat, name="limner-pulse", daemon=True).start()

    def _beat(self) -> None:
        while True:
            self._at[:] = struct.pack("d", time.monotonic())
            time.sleep(1)

    def look(self, step: float) -> float:
        """Seconds without a sign, as the parent counts them; called in the parent every `step` seconds. A parent that
        was itself stopped counts none meanwhile."""
        [seen] = struct.unpack("d", self._at[:])
        self._since = self._since + step if seen == self._seen else 0.0
        self._seen = seen
        return self._since


@dataclass
class Hand:
    """A process of the worker."""

    process: Any
    name: str
    job: str = ""
    """The suspect that it runs alone; "" for a process that listens to the broker."""
    jobs: int = 1
    """At once."""
    pulse: Pulse = field(default_factory=Pulse)
    begun: float = field(default_factory=time.monotonic)
    hung: bool = False
