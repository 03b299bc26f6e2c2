"""`limner api` as a process: what a burst of strangers and a stop signal do to it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from lives import finish, take
from scripted import ScriptedServer
from servers import until

from limner.errors import BadInput
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.settings import Settings

pytestmark = pytest.mark.real

FILES = 512  # open files of the process; half of them are places for connections
BURST = 700
CHANGE = {"version": 1, "instruction": {"do": "shorten", "block": "b2", "instruction": "one word"}}


@contextmanager
def running(command: str, home: Path, log: Path, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`limner COMMAND` on a free port; the process and its address."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LIMNER_", "REDIS_", "DATABASE_"))}
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "limner.surfaces.cli.app", *command.split()],
            env={**kept, "LIMNER_HOME": str(home), "LIMNER_PORT": "0", **env},
            stdout=said,
            stderr=said,
            preexec_fn=few_files,
        )
    try:
        until(lambda: process.poll() is not None or "http://" in log.read_text(), "the address")
        assert process.poll() is None, log.read_text()
        yield process, re.findall(r"http://[\d.]+:\d+", log.read_text())[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process opens as many connections as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * BURST)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("command", ["api", "mcp --http"])
def test_a_burst_of_connections_uses_up_no_files(
    command: str, bees: Path, home: Path, tmp_path: Path, many_files: None
) -> None:
    """All are there before the process looks: it accepts a few at a time, and the silent ones give way."""
    log = tmp_path / "log"
    with running(command, home, log) as (process, url), ExitStack() as stack:
        split = urlsplit(url)
        process.send_signal(signal.SIGSTOP)
        for _ in range(BURST):
            silent = stack.enter_context(socket.create_connection((split.hostname, split.port), 60))
            silent.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        process.send_signal(signal.SIGCONT)
        assert httpx.get(f"http://{split.netloc}/", timeout=120).status_code == (200 if command == "api" else 404)
        assert "Too many open files" not in log.read_text()


def test_a_stop_does_not_wait_for_a_model(bees: Path, home: Path, tmp_path: Path) -> None:
    """A proposal holds a thread until its model has answered."""
    released, settings = threading.Event(), Settings(home=home)
    with closing(Jobs(settings)) as jobs:
        [(job, _new)] = jobs.submit([JobRequest(brief="Honey", library=["bees"])])
        finish(jobs, take(jobs, job.id))

    def never(_asked: object) -> str:
        released.wait(300)
        return "Short."

    def propose(url: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"{url}/v1/jobs/{job.id}/proposals", json=CHANGE, timeout=300)

    log = tmp_path / "log"
    with ScriptedServer(never) as model:
        try:
            with running("api", home, log, LIMNER_MODEL_URL=model.url, LIMNER_MODEL="scripted-7b") as (process, url):
                asking = threading.Thread(target=propose, args=(url,))
                asking.start()
                until(lambda: model.requests, "the model to be asked")
                process.terminate()
                assert process.wait(120) == 0, "it waits for the model"
                asking.join(60)
                assert "were given up" in log.read_text()
        finally:
            released.set()


FAILING = """
import threading
from contextlib import ExitStack
from limner.errors import BadInput
from limner.surfaces.cli.up import _leave

threading.Thread(target=threading.Event().wait).start()  # a request that waits for a model
with ExitStack() as parts:
    parts.push(_leave)
    raise BadInput("The broker did not start. Set REDIS_URL to a Redis.")
"""


def test_a_service_that_fails_says_so_though_a_request_holds_a_thread() -> None:
    """A supervisor starts what failed again, and not what was stopped."""
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == BadInput.exit_code
    assert "limner: The broker did not start. Set REDIS_URL to a Redis.\n" in done.stderr
