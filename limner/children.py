"""Child processes: end one, by force if it does not end in time, and have one end with its parent."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float) -> None:
    """Terminate a process that still runs; kill it after `patience` seconds."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def die_with_parent() -> None:
    """On Linux, have the child get SIGTERM when its parent's thread ends for any reason (prctl(2),
    PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
