"""How a process ended, and whether its own job caused it.

A process that crashed by itself speaks against the job it worked on. One that was killed from outside (an operator, a
deployment, a machine that went away) speaks against nobody, though it may have been for the job's sake: what kills for
want of memory uses SIGKILL as well. The kernel counts the processes it killed so, which tells most of those apart.
"""

from __future__ import annotations

import signal
from pathlib import Path

from limner.jobs.ledger.values import Death
from limner.notes import note

OWN = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}
"""Signals that a process has of what it did itself."""

RETIRED = 75
"""Exit code of a process that ended itself because one of its jobs did not end; that one was told of."""
GAVE_UP = 76
"""Exit code of a process whose Celery ended without being told to; its jobs were put back."""


def death(worker: str, code: int | None, *, no_memory: bool = False, hung: bool = False) -> Death:
    """What an exit code says. code: as of multiprocessing, a signal negative. no_memory: whether the kernel killed
    processes for want of memory just then. hung: whether it was killed because nothing moved in it."""
    if hung:
        return Death(worker, note("process-hung"), True)
    if code is not None and code < 0:
        name = _signal(-code)
        if -code == signal.SIGKILL and no_memory:
            return Death(worker, note("process-memory"), True)
        own = -code in OWN
        return Death(worker, note("process-died" if own else "process-killed", signal=name), own)
    if code in (0, RETIRED, GAVE_UP):
        return Death(worker, note("process-ended"), False)
    return Death(worker, note("process-exit", n=code), True)


def killed_for_memory() -> int:
    """Processes that the kernel has killed for want of memory since the boot; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
