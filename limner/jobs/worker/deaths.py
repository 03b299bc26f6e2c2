"""How a process ended, and whether its own job caused it.

A process that crashed by itself counts against its job. A process killed from outside (by an operator, a deployment, a
lost machine) does not. The out-of-memory killer also uses SIGKILL, although the job may be the cause; the kernel counts
the processes it killed, which tells most of these cases apart.
"""

from __future__ import annotations

import signal
from pathlib import Path

from limner.jobs.ledger.values import Death
from limner.notes import note

OWN = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}
"""Signals that a process causes itself."""

RETIRED = 75
"""Exit code of a process that ended itself because one of its jobs did not end; that job has failed already."""
GAVE_UP = 76
"""Exit code of a process whose Celery ended unasked; its jobs were requeued."""


def death(worker: str, code: int | None, *, no_memory: bool = False, hung: bool = False) -> Death:
    """Interpret an exit code. code: as in multiprocessing, negative for a signal. no_memory: whether the kernel's
    out-of-memory killer was active just then. hung: whether the worker killed the process because it gave no sign of
    life."""
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
    """Number of processes that the out-of-memory killer has ended since the boot; 0 if unknown."""
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
