"""`limner up`: broker, worker and API of one machine in one command; `limner api` is the API alone."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from limner import observe
from limner.children import die_with_parent, end
from limner.jobs.broker import Valkey
from limner.jobs.ledger.database import Database, database_url, wait_until_there
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.surfaces.http.server import Server, listening

log = logging.getLogger("limner.up")

GRACE = 30  # seconds for a worker to stop at its jobs' next boundary
LAST = 10  # seconds for the API to stop, its requests' own 5 included; then requests that hold a thread are given up


def up(settings: Settings, say: Callable[[str], None]) -> None:
    """Run everything until SIGTERM or Ctrl-C. Raises LimnerError if it cannot start."""
    with ExitStack() as parts:
        parts.push(_leave)
        wait_until_there(Database(database_url(settings)))
        jobs = parts.enter_context(contextlib.closing(Jobs(settings)))
        sock = parts.enter_context(listening(settings, jobs))
        valkey = None
        if not settings.redis_url.get_secret_value():
            valkey = Valkey(settings)
            parts.callback(valkey.close)
        worker = WorkerProcess()
        parts.callback(worker.close)
        ended = _signals()
        parts.enter_context(_serving(settings, jobs, sock))
        say(f"limner is up at {_address(sock)}   (Ctrl-C stops it; jobs go on the next time)")
        while not ended.wait(1):
            if valkey and valkey.keep():
                log.warning("the broker had died and was started again")
            if worker.keep():
                log.warning("the worker had died and was started again")
        say("Stopping: jobs are requeued at their next step.")


def api(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the API alone until SIGTERM or Ctrl-C. Raises LimnerError if it cannot start."""
    with ExitStack() as parts:
        parts.push(_leave)
        wait_until_there(Database(database_url(settings)))
        jobs = parts.enter_context(contextlib.closing(Jobs(settings)))
        sock = parts.enter_context(listening(settings, jobs))
        ended = _signals()
        parts.enter_context(_serving(settings, jobs, sock))
        say(f"limner listens at {_address(sock)}")
        ended.wait()


class WorkerProcess:
    """`limner worker` as a child that ends with this process. Start it in the main thread."""

    def __init__(self) -> None:
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            # -P: `-m` would import from the current folder, which may be a stranger's.
            [sys.executable, "-P", "-m", "limner.surfaces.cli.app", "worker", "--quiet"],
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def keep(self) -> bool:
        """Restart the worker if it died. Returns whether it had."""
        if self._process.poll() is None:
            return False
        self._process = self._start()
        return True

    def close(self) -> None:
        """Stop the worker, in order if time allows."""
        end(self._process, GRACE)


@contextmanager
def _serving(settings: Settings, jobs: Jobs, sock: socket.socket) -> Iterator[None]:
    """Run uvicorn in a thread, so that the main thread gets the signals and stops everything in order."""
    server = Server(create_app(settings, jobs))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="limner-api")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(LAST)


def _leave(_kind: object, error: BaseException | None, _trace: object) -> None:
    """End the process at once if a request still holds a thread, which Python would wait for: a model's answer may take
    minutes, and so may the images that wait for a decoder. error: what ended the service, None for a stop."""
    held = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if not held:
        return
    log.warning("requests that did not end within %d s were given up", LAST)
    if error is not None:
        print(f"limner: {' '.join(str(error).split())}", file=sys.stderr)
    observe.close_tracing()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else getattr(error, "exit_code", 1))


def _signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    ended = threading.Event()

    def end(_signal: int, _frame: Any) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return ended


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
