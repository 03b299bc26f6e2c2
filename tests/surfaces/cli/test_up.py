"""`limner up` as people run it: one process to start, everything in it may be killed, and it stops in order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import running
from scripted import ARTICLE, Answer, Delayed, ScriptedServer, article_answers, asking
from servers import until

pytestmark = pytest.mark.real


class Up(running.Up):
    """A running `limner up`, with its jobs and its processes."""

    def state(self, job: str) -> str:
        return self.ask(f"/v1/jobs/{job}")["state"]

    def submit(self) -> str:
        return self.ask("/v1/jobs", {"brief": "How bees make honey", "library": ["bees"], "images": 2})["id"]

    def children(self) -> dict[int, str]:
        """Its children and theirs: process number, command line."""
        found: dict[int, str] = {}
        todo = [self.process.pid]
        while todo:
            pid = todo.pop()
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    todo += map(int, (task / "children").read_text().split())
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        del found[self.process.pid]
        return found

    def one(self, words: str) -> int:
        """The first child whose command line has these words."""
        return next(pid for pid, line in self.children().items() if words in line)


@pytest.fixture(scope="module")
def slow() -> list[float]:
    """Seconds that a selection takes."""
    return [0.0]


@pytest.fixture(scope="module")
def up(indexed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, slow: list[float]) -> Iterator[Up]:
    root = tmp_path_factory.mktemp("up")
    shutil.copytree(indexed[0], root / "home")
    good = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Answer:
        said = good(body)
        return Delayed(str(said), slow[0]) if slow[0] and asking(body) == "selector" else said

    with ScriptedServer(answer) as server:
        running = Up(root / "home", server, root / "log")
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(60) == 0, running.said


def test_one_post_gives_an_article(up: Up) -> None:
    job = up.submit()
    until(lambda: up.state(job) == "done", f"job {job} to be done; {up.said[-500:]}")
    with urllib.request.urlopen(f"{up.url}/v1/jobs/{job}/article?format=md", timeout=30) as answer:
        text = answer.read().decode()
    assert text.count("![") == 2
    assert [p for p in ARTICLE.split("\n\n") if p.strip() not in text] == []
    with urllib.request.urlopen(f"{up.url}/", timeout=30) as page:
        assert b"<title>limner" in page.read()
    assert up.ask("/health")["status"] == "ok"


def test_a_second_one_for_the_same_home_says_so(up: Up) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "limner.surfaces.cli.app", "up", "--port", "0"],
        env=up.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("limner: limner is up already for ")


def test_a_port_that_is_taken(up: Up, tmp_path: Path) -> None:
    port = up.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "limner.surfaces.cli.app", "api", "--port", port],
        env={**up.env, "LIMNER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("victim", ["valkey-server", "limner.surfaces.cli.app worker"])
def test_what_is_killed_comes_back_and_the_job_goes_on(up: Up, slow: list[float], victim: str) -> None:
    slow[0] = 0.5
    job = up.submit()
    until(lambda: up.state(job) == "running", "the job to run")
    killed = up.one(victim)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in up.children() and any(victim in line for line in up.children().values()), "a new one")
    slow[0] = 0.0
    until(lambda: up.state(job) == "done", f"job {job} to be done; {up.said[-500:]}")
    again = up.submit()
    until(lambda: up.state(again) == "done", f"job {again} to be done; {up.said[-500:]}")


def test_it_stops_in_order_and_the_job_goes_on_the_next_time(up: Up, slow: list[float], tmp_path: Path) -> None:
    """Last of this file: it stops what the others use."""
    slow[0] = 2.0
    before = len(up.said)  # that a broker was killed is told with a traceback
    job = up.submit()
    until(lambda: up.ask(f"/v1/jobs/{job}")["step"] == "select", "images to be chosen")
    children = up.children()
    assert len(children) >= 4, children
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(90) == 0, up.said
    until(lambda: not [pid for pid in children if Path(f"/proc/{pid}/cmdline").is_file()], "its children to end")
    from limner.jobs.service import Jobs
    from limner.settings import Settings

    jobs = Jobs(Settings(home=Path(up.env["LIMNER_HOME"])))
    found = jobs.ledger.job(job)
    jobs.close()
    assert (found.state, found.crashes) == ("queued", 0)
    assert "Traceback" not in up.said[before:], up.said[before:]


def test_a_process_that_celery_gives_up_begins_anew(tmp_path: Path) -> None:
    """Whoever looks after the worker need not do anything, and is told."""
    script, mark = tmp_path / "limner", tmp_path / "mark"
    script.write_text(
        f"""
import os, pathlib, signal
from celery.apps.worker import Worker
from limner.surfaces.cli import app

mark = pathlib.Path({str(mark)!r})

def start(self):
    with mark.open("a") as said:
        said.write(f"{{os.getpid()}} {{os.getppid()}}\\n")
    if len(mark.read_text().splitlines()) > 1:
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()

Worker.start = start
app.main()
"""
    )
    env = {**os.environ, "LIMNER_HOME": str(tmp_path / "home"), "LIMNER_LOG": "text"}
    command = [sys.executable, script, "worker", "-c", "1"]
    ran = subprocess.run(command, env=env, check=True, timeout=120, capture_output=True, text=True)
    first, second = (line.split() for line in mark.read_text().splitlines())
    assert first[0] != second[0], "another process"
    assert first[1] == second[1], "of the same worker"
    assert "Celery gave up" in ran.stderr


def test_answers_are_sent_at_once(home: Path) -> None:
    """Not held back until the one before is acknowledged, 40 ms each: asyncio sees to that for a socket it knows."""
    import asyncio
    import socket
    from contextlib import closing

    from limner.jobs.service import Jobs
    from limner.settings import Settings
    from limner.surfaces.http.server import listening

    async def delays(listening: socket.socket) -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(met, sock=listening.dup()):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            no_delay = await told
            writer.close()
            await writer.wait_closed()
            return no_delay

    settings = Settings(home=home, port=0)
    with closing(Jobs(settings)) as jobs, listening(settings, jobs) as sock:
        assert asyncio.run(delays(sock))
