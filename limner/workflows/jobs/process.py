"""Who a process is, so that a process beside it can tell that it died."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def name(pid: int | None = None) -> str:
    """A process as the ledger knows it: "HOST/PID/STARTED", unlike any other at any time."""
    pid = pid or os.getpid()
    return f"{_here()}/{pid}/{_started(pid)}"


def gone(worker: str) -> bool:
    """Whether this names a process of this machine that is no more; of another machine's nobody here can tell."""
    here, _, rest = worker.partition("/")
    pid, _, started = rest.partition("/")
    return here == _here() and pid.isdigit() and _started(int(pid)) != started


@cache
def _here() -> str:
    """This machine, this boot, this container: a process number means something only within."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [socket.gethostname().replace("/", "-")]
    if boot.is_file():
        parts.append(boot.read_text().strip()[:8])
    if namespace.exists():
        parts.append(os.readlink(namespace).strip("pid:[]"))
    return "-".join(parts)


def _started(pid: int) -> str:
    """When a process was started, in ticks since the boot; "" if there is none, or only its remains.

    "?" where the system does not tell, so that no process of it is ever taken for gone.
    """
    if not Path("/proc/self/stat").is_file():
        return "?"
    try:
        # The name in brackets may hold anything; what follows it is the state and numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
