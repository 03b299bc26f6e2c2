"""Decode and draw untrusted images in processes with limits of memory, time and size of the answer.

A native decoder that crashes, allocates without end or never returns ends its own process; the file is refused with one
line, and everything else continues. Drawings have their own process, so that a slow one does not delay photographs.
Processes start on first use, stay warm, and end with their parent.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from limner.errors import ImageUnreadable
from limner.tools.images.child import receive, send

GIB = 1 << 30
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from limner.tools.images.child import main; main()"


class Child:
    """One process; serves one request at a time."""

    def __init__(self) -> None:
        # -P: before the program sets its path, `-c` would import from the current folder, which may be a stranger's.
        command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, header: dict[str, Any], data: bytes, wall: float) -> tuple[dict[str, Any], list[bytes]]:
        """The answer. Raises EOFError or OSError when the process ends instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        clock = threading.Timer(wall, self.process.kill)
        clock.start()
        try:
            send(self.process.stdin, header, [data])
            answer = receive(self.process.stdout)
        finally:
            clock.cancel()
        if answer is None:
            raise EOFError
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):  # unread input
                    stream.close()
        self.process.wait()

    def forget(self) -> None:
        """Drop a process that belongs to this fork's parent."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.returncode = 0  # the parent waits for it


class Pool:
    """At most `size` processes, each with a limit of memory in bytes and of processor seconds per image."""

    def __init__(
        self, size: int, memory: int, seconds: int, instead: tuple[str, str] = ("a smaller JPEG or PNG", "JPEG or PNG")
    ) -> None:
        """instead: as what a file can be saved that takes too long, or that ends the process."""
        self.size, self.memory, self.seconds, self.instead = size, memory, seconds, instead
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Child] = []

    def ask(self, name: str, data: bytes, **given: Any) -> tuple[Any, list[bytes]]:
        """Run an operation of child.py. Raises ImageUnreadable."""
        header = {"name": name, "given": given, "memory": self.memory, "seconds": self.seconds}
        with self._free:
            child = self._taken()
            started = time.monotonic()
            try:
                answer, parts = child.ask(header, data, 6 * self.seconds)
            except (OSError, EOFError, ValueError, KeyError):  # the last two: answers that no sound process gives
                child.close()
                self._idle.append(Child())  # starts loading before the next request needs it
                raise ImageUnreadable(self._reason(time.monotonic() - started)) from None
            except BaseException:  # Ctrl-C in the middle of an answer: its rest must not reach another caller
                child.close()
                raise
            self._idle.append(child)
        if "refused" in answer:
            raise ImageUnreadable(str(answer["refused"]))
        return answer["value"], parts

    def _taken(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.process.poll() is None:
                return child
            child.close()
        return Child()

    def _reason(self, took: float) -> str:
        if took >= self.seconds:
            return f"takes longer than {self.seconds} s to read: save it as {self.instead[0]}"
        return f"ends the program that reads it: save it as {self.instead[1]} with another program"

    def close(self) -> None:
        """End the idle processes."""
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """Reset after a fork."""
        for child in self._idle:
            child.forget()
        self.__init__(self.size, self.memory, self.seconds, self.instead)


# An image of MAX_PIXELS takes 356 MB as RGBA, and up to five times that during conversion. The number of processes
# limits the pixels in memory: of any number of requests two are decoded and the others wait.
PHOTOGRAPHS = Pool(size=2, memory=2 * GIB, seconds=20)
DRAWINGS = Pool(size=1, memory=GIB, seconds=5)
DOCUMENTS = Pool(size=1, memory=2 * GIB, seconds=20, instead=("plain text", "plain text"))
# Reading takes 0.3 to 6 s of one core, the models 2 s before the first picture; memory: 0.6 GB on most, 1.4 GB at most.
TEXTS = Pool(size=2, memory=4 * GIB, seconds=60)


for _pool in (PHOTOGRAPHS, DRAWINGS, DOCUMENTS, TEXTS):
    atexit.register(_pool.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_pool.forget)
