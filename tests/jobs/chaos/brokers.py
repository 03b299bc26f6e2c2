"""A real broker over TCP that can be killed, started again on its port, and looked into."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import redis
from servers import free_port, until


def program(prefer_redis: bool = False) -> Path:
    """redis-server where it is wanted and installed, else the bundled Valkey."""
    from limner.jobs.broker import _program

    found = shutil.which("redis-server") if prefer_redis else None
    return Path(found) if found else _program()


class Broker:
    """Keeps nothing on disk: what was in it when it dies is lost."""

    def __init__(self, *, prefer_redis: bool = False) -> None:
        self.program = program(prefer_redis)
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="limner-broker-"))
        self.client: Any = redis.Redis(port=self.port, socket_timeout=5)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [self.program, *options, "--dir", self.folder, "--logfile", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "the broker")

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def waiting(self) -> int:
        """Messages in its queues."""
        routes = (queue + begun for queue in ("interactive", "batch") for begun in ("", ".begun"))
        return sum(self.client.llen(route) for route in routes)

    def unacknowledged(self) -> int:
        """Messages that a worker has and has not acknowledged."""
        return self.client.hlen("unacked")

    def close(self) -> None:
        """Stop it."""
        self.client.close()
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self) -> bool:
        try:
            return self.client.ping()
        except redis.RedisError:
            return False
