"""The process that unpacks one archive: a request on standard input, lines of JSON on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress

from limner.errors import BadInput, LibraryError, LimnerError, NotInstalled
from limner.tools.library.unpacking import parquet, tars, zips
from limner.tools.library.unpacking.target import Target

_READERS = {"zip": zips.unpack, "tar": tars.unpack, "parquet": parquet.unpack}
ERRORS: dict[str, type[LimnerError]] = {kind.__name__: kind for kind in (BadInput, LibraryError, NotInstalled)}
_EVERY = 32  # members between two lines of progress


def main() -> None:
    """Unpack the one archive of the request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    with suppress(AttributeError, OSError):
        os.nice(5)
    request = json.loads(sys.stdin.readline())
    _limit(request["memory"])
    try:
        _unpack(request)
    except tuple(ERRORS.values()) as error:
        _say({"error": str(error), "kind": type(error).__name__})
    except MemoryError:
        line = (
            f"{os.path.basename(request['path'])} takes too much memory, or is damaged: unpack it and add the folder."
        )
        _say({"error": line, "kind": "BadInput"})
    except OSError as error:
        line = f"{error.filename or request['path']} cannot be used ({error.strerror}): check disk and rights."
        _say({"error": line, "kind": "LibraryError"})


def _unpack(request: dict[str, str]) -> None:
    parent = os.getppid()
    target = Target(request["folder"], request["path"])
    target.look()
    for done, total in _READERS[request["kind"]](request["path"], target):
        if os.getppid() != parent:  # it was killed, and another process may unpack the same archive by now
            sys.exit(1)
        if done % _EVERY == 0:
            _say({"at": [done, total]})
    refused, skipped, stale = target.finish()
    _say({"refused": refused, "skipped": skipped, "stale": stale})


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):  # macOS refuses every limit of the address space
            resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
