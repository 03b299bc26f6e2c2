"""Real servers for tests: Postgres as Debian ships it, and the Valkey that limner bundles. Each can be killed."""

from __future__ import annotations

import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import uvicorn

WAIT = 200  # seconds until a hang is called one, below pytest's own limit; what is waited for is an event
PORTS = range(20_000, 32_000)  # below those that Linux and macOS give to connections that go out
_held: list[IO[bytes]] = []


def until(true: Callable[[], object], what: str, seconds: float = WAIT) -> None:
    """Wait until something holds; a test that waits in vain fails and says for what."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.02)


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[None]:
    """Do the work in a thread meanwhile, and wait for its end."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def listening(server: uvicorn.Server) -> Iterator[str]:
    """Run the server in a thread, on a free port; the address. In the end it is told to stop, as by a signal."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1024)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [s]})
        thread.start()
        try:
            until(lambda: server.started, "uvicorn")
            yield f"http://127.0.0.1:{s.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive(), "uvicorn did not stop"


def free_port() -> int:
    """A port on the loopback that nothing listens on, and that no other process of tests is given while this one lives.

    Several run at once, and a server that is killed comes back on its port: a lock on a file says whose it is.
    """
    folder = Path(tempfile.gettempdir()) / f"limner-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.SystemRandom().choice(PORTS)
        lock = (folder / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port


def postgres_programs() -> Path | None:
    """The folder with initdb and postgres, None where Postgres is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path else None


class Postgres:
    """A cluster of its own in a temporary folder, on a port of its own; no password, loopback only."""

    def __init__(self) -> None:
        programs = postgres_programs()
        assert programs, "install it: apt-get install postgresql"
        self.programs = programs
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="limner-pg-"))
        # Postgres refuses to run as root; containers often are.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        self._run("initdb", "-A", "trust", "-U", "limner", "-E", "UTF8", "-N", "-D", str(self.folder / "data"))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """DATABASE_URL of its database."""
        return f"postgresql://limner@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        log = (self.folder / "log").open("ab")
        options = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder / "data", *options, "-c", "max_connections=300"],
            stdout=log,
            stderr=log,
            user=self.user,
            cwd=self.folder,
        )
        log.close()
        until(self._ready, f"Postgres (see {self.folder}/log)")

    def stop(self) -> None:
        """Stop it at once: connections break, and it recovers from its log when started again."""
        assert self.process
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(WAIT)

    def database(self, name: str) -> str:
        """A new, empty database; returns its URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "limner", name)
        return f"postgresql://limner@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Stop it and remove what it stored."""
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        asked = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments], check=True, capture_output=True, user=self.user, cwd=self.folder
        )
