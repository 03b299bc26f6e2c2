"""The identity of a process, so that a neighbour can tell that it died."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def name(pid: int | None = None, parent: int | None = None) -> str:
    """A process's unique name in the ledger, "HOST/PID/STARTED".

    parent: the process that learns how this one ends; its "/PID/STARTED" is appended.
    """
    pid = pid or os.getpid()
    own = f"{_here()}/{pid}/{_started(pid)}"
    return own if parent is None else f"{own}/{parent}/{_started(parent)}"


def gone(worker: str) -> bool:
    """Whether this names a dead process of this machine; False for other machines, whose state is unknown here."""
    here, *numbers = worker.split("/")
    return here == _here() and len(numbers) > 1 and _gone(numbers[0], numbers[1])


def unheard(worker: str) -> bool:
    """Whether the process is gone, and its parent too, which would report how it ended."""
    _here, *numbers = worker.split("/")
    return gone(worker) and (len(numbers) < 4 or _gone(numbers[2], numbers[3]))


def _gone(pid: str, started: str) -> bool:
    return pid.isdigit() and _started(int(pid)) != started


@cache
def _here() -> str:
    """Name of this machine, boot and container, within which process numbers are unique."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [socket.gethostname().replace("/", "-")]
    if boot.is_file():
        parts.append(boot.read_text().strip()[:8])
    if namespace.exists():
        parts.append(os.readlink(namespace).strip("pid:[]"))
    return "-".join(parts)


def _started(pid: int) -> str:
    """A process's start, in ticks since the boot; "" if there is none, or only a zombie.

    "?" if the system does not say, so that no such process counts as gone.
    """
    if not Path("/proc/self/stat").is_file():
        return "?"
    try:
        # The name in brackets may contain anything; state and numbers follow it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
