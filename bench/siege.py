"""How long do others wait while one does his worst to the API?

    uv run bench/siege.py [--seconds 15]

`limner api` runs as a process of its own, on SQLite, with a broker and a model server that takes 20 s for an answer.
One tenant's token, or a stranger without one, attacks it, in each of the ways below; meanwhile another tenant lists
jobs, reads the events of a finished job and asks for /health, one request after the other. Printed are p50 and p95 of
those, p95 beside that without an attack just before, and how many of them failed. Every attack has a new installation.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "jobs" / "chaos")]

import httpx  # noqa: E402
from bombs import all_of_them, png  # noqa: E402  # pyright: ignore[reportMissingImports]  # tests' helpers; so below
from brokers import Broker  # noqa: E402  # pyright: ignore[reportMissingImports]
from lives import bearer, finish, take  # noqa: E402  # pyright: ignore[reportMissingImports]
from pictures import make_folder  # noqa: E402  # pyright: ignore[reportMissingImports]
from scripted import Delayed, ScriptedServer  # noqa: E402  # pyright: ignore[reportMissingImports]

from limner.jobs.request import JobRequest  # noqa: E402
from limner.jobs.service import Jobs  # noqa: E402
from limner.settings import Settings  # noqa: E402
from limner.tools.encoders import default_encoders  # noqa: E402
from limner.tools.library import Library, index  # noqa: E402

CHANGE = {"version": 1, "instruction": {"do": "shorten", "block": "b2", "instruction": "one word"}}
FILES = 1024  # open files of the API, as most systems allow by default


class Town:
    """The API, two tenants, and what each has."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.model = stack.enter_context(ScriptedServer(lambda _asked: Delayed("Short.", 20)))
        encoders = default_encoders(threads=1)
        index(home, "bees", [make_folder(home.with_name("photos"))], encoders)
        library = Library.open(home, "bees", encoders)
        self.broker = stack.enter_context(Broker())
        self.settings = Settings(
            home=home, redis_url=self.broker.url, model_url=self.model.url, model="scripted-7b", retries=0
        )
        jobs = stack.enter_context(closing(Jobs(self.settings)))
        self.tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("bad", "good")}
        self.jobs: dict[str, str] = {}
        for name in self.tokens:
            [(job, _)] = jobs.submit([JobRequest(brief="Honey", library=["bees"])], jobs.owners.get(name))
            finish(jobs, take(jobs, job.id), library)
            self.jobs[name] = job.id
        env = {"LIMNER_HOME": str(home), "LIMNER_MODEL_URL": self.model.url, "LIMNER_MODEL": "scripted-7b"}
        env |= {"LIMNER_RETRIES": "0", "REDIS_URL": self.broker.url}
        self.url = stack.enter_context(_api({**os.environ, **env}, home.with_name("api.log")))

    def bad(self, path: str, **given: Any) -> None:
        """A request of the attacker's, however it ends: GET, or POST where something is sent."""
        method = "POST" if given else "GET"
        with contextlib.suppress(httpx.TransportError):
            httpx.request(method, f"{self.url}{path}", headers=bearer(self.tokens["bad"]), timeout=120, **given)

    def good(self, seconds: float) -> tuple[list[float], int]:
        """The other tenant's requests for so long: their seconds, and how many failed."""
        took: list[float] = []
        failed = 0
        paths = ("/health", "/v1/jobs", f"/v1/jobs/{self.jobs['good']}/events")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for path in paths:
                begun = time.monotonic()
                try:
                    answer = httpx.get(f"{self.url}{path}", headers=bearer(self.tokens["good"]), timeout=30)
                    failed += answer.status_code != 200
                except httpx.TransportError:
                    failed += 1
                took.append(time.monotonic() - begun)
                time.sleep(0.01)
        return took, failed


@contextmanager
def _api(env: dict[str, str], log: Path) -> Iterator[str]:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

    command = [sys.executable, "-m", "limner.surfaces.cli.app", "api", "--port", "0"]
    with log.open("w") as said:
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=said, text=True, preexec_fn=few_files
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(60)


# --- the worst -----------------------------------------------------------------------------------------------------

Attack = Callable[[Town, ExitStack], object]
BOMBS = all_of_them()


def nothing(_town: Town, _stack: ExitStack) -> None:
    """No attack."""


def crashes(town: Town, _stack: ExitStack) -> None:
    """1: one tenant hands in drawings that crash a renderer, 60 of two kinds."""
    _upload(town, "bomb.svg", [BOMBS["size, high"], BOMBS["groups 900 deep"]] * 30)


def slow_drawings(town: Town, _stack: ExitStack) -> None:
    """2: one tenant hands in 16 drawings that take their five seconds each."""
    one = b'<feGaussianBlur stdDeviation="1e9"/>'
    _upload(town, "bomb.svg", [BOMBS["filter, blur"].replace(one * 200, one * 3000)] * 16)


def pictures(town: Town, _stack: ExitStack) -> None:
    """3: one tenant hands in a PNG of 9 400 x 9 400, 16 times at once."""
    _upload(town, "bomb.png", [png(9400, 9400)] * 16)


def broker_hangs(town: Town, stack: ExitStack) -> None:
    """5: the broker hangs, one tenant submits 45 jobs."""
    assert town.broker.process
    town.broker.process.send_signal(signal.SIGSTOP)
    stack.callback(town.broker.process.send_signal, signal.SIGCONT)
    _many(45, lambda: town.bad("/v1/jobs", json={"brief": "Honey"}))


def broker_gone(town: Town, _stack: ExitStack) -> None:
    """6: the broker is gone, one tenant submits 45 jobs."""
    town.broker.kill()
    _many(45, lambda: town.bad("/v1/jobs", json={"brief": "Honey"}))


def proposals(town: Town, _stack: ExitStack) -> None:
    """7: one tenant's 60 proposals, of 20 s of the model each."""
    _many(60, lambda: town.bad(f"/v1/jobs/{town.jobs['bad']}/proposals", json=CHANGE))


def drafts(town: Town, _stack: ExitStack) -> None:
    """8: one tenant estimates 40 drafts of 200 kB at once."""
    draft = "# Honey\n\n" + "Bees *gather* [nectar](https://example.org) and `carry` it home. " * 3000
    _many(40, lambda: town.bad("/v1/plan", json={"draft": draft}))


def brackets(town: Town, _stack: ExitStack) -> None:
    """8: the same with 200 kB of `![`."""
    _many(40, lambda: town.bad("/v1/plan", json={"draft": "![" * 100_000}))


def bodies(town: Town, stack: ExitStack) -> None:
    """9: a stranger's 60 half-sent bodies of 8 MB to /health."""
    head = b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000
    _send(town, stack, 60, head)


def heads(town: Town, stack: ExitStack) -> None:
    """9: a stranger's 1 500 half-sent headers, with 1 024 open files allowed."""
    _send(town, stack, 1500, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


def exports(town: Town, _stack: ExitStack) -> None:
    """One tenant asks 40 times at once for an article's export as a page, as a document and as PDF."""
    for kind in ("html", "docx", "pdf"):
        _many(13, lambda kind=kind: town.bad(f"/v1/jobs/{town.jobs['bad']}/article?format={kind}"))


def _upload(town: Town, name: str, files: list[bytes]) -> None:
    waiting = iter(files)

    def upload() -> None:
        for data in waiting:
            town.bad("/v1/images", files={"file": (name, data)})

    _many(16, upload)


def _many(count: int, do: Callable[[], None]) -> None:
    for _ in range(count):
        threading.Thread(target=do, daemon=True).start()


def _send(town: Town, stack: ExitStack, count: int, data: bytes) -> None:
    split = urlsplit(town.url)

    def attack() -> None:
        for _ in range(count):
            with contextlib.suppress(OSError):
                made = stack.enter_context(socket.create_connection((split.hostname, split.port), 10))
                made.settimeout(5)
                made.sendall(data)

    threading.Thread(target=attack, daemon=True).start()


ATTACKS: tuple[Attack, ...] = (
    *(crashes, slow_drawings, pictures, broker_hangs, broker_gone, proposals, drafts, brackets, bodies, heads, exports),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each attack; half of that before it")
    parser.add_argument("--only", nargs="*", help="names of functions below")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"Python {platform.python_version()}\n")
    print(
        "| attack | requests of the others, failed | p50, p95 before | p50, p95 | p95 / before |\n|---|---|---|---|---|"
    )
    for attack in ATTACKS:
        if options.only and attack.__name__ not in options.only:
            continue
        with ExitStack() as stack:
            town = Town(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="limner-siege-"))) / "home", stack)
            town.good(1)
            before, _ = town.good(options.seconds / 2)
            sockets = stack.enter_context(ExitStack())
            attack(town, sockets)
            during, failed = town.good(options.seconds)
        (was50, was95), (p50, p95) = _cut(before), _cut(during)
        name = (attack.__doc__ or "").rstrip(".")
        print(f"| {name} | {len(during)}, {failed} | {was50:.0f}, {was95:.0f} ms ", end="")
        print(f"| {p50:.0f}, {p95:.0f} ms | {p95 / was95:.1f} |", flush=True)


def _cut(seconds: list[float]) -> tuple[float, float]:
    """p50 and p95 in ms."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return 1000 * cuts[9], 1000 * cuts[18]


if __name__ == "__main__":
    main()
