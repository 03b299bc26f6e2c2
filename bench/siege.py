"""How long do others wait while one does his worst to the API?

    uv run bench/siege.py [--seconds 15]

`limner api` runs as a process of its own, on SQLite, with a model server that takes 20 s for an answer. One tenant's
token, or a stranger without one, attacks it, in each of the ways below; meanwhile another tenant lists jobs, reads an
event stream's beginning and asks for /health, one request after the other. Printed are p50 and p95 of those, beside the
same without an attack, and how many of them failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
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
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers")]

import httpx  # noqa: E402
from bombs import png  # noqa: E402  # pyright: ignore[reportMissingImports]  # tests' helpers, not a package; so below
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
        self.settings = Settings(home=home, model_url=self.model.url, model="scripted-7b", retries=0)
        jobs = stack.enter_context(closing(Jobs(self.settings)))
        self.tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("bad", "good")}
        self.jobs: dict[str, str] = {}
        for name in self.tokens:
            [(job, _)] = jobs.submit([JobRequest(brief="Honey", library=["bees"])], jobs.owners.get(name))
            finish(jobs, take(jobs, job.id), library)
            self.jobs[name] = job.id
        env = {"LIMNER_HOME": str(home), "LIMNER_MODEL_URL": self.model.url, "LIMNER_MODEL": "scripted-7b"}
        self.api = stack.enter_context(_api({**os.environ, **env, "LIMNER_RETRIES": "0"}))
        self.url = self.api

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
def _api(env: dict[str, str]) -> Iterator[str]:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

    command = [sys.executable, "-m", "limner.surfaces.cli.app", "api", "--port", "0"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, preexec_fn=few_files)
    try:
        assert process.stdout
        line = process.stdout.readline()
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(60)


# --- the worst -----------------------------------------------------------------------------------------------------

Attack = Callable[[Town, ExitStack], object]


def nothing(_town: Town, _stack: ExitStack) -> None:
    """No attack."""


def proposals(town: Town, stack: ExitStack) -> None:
    """One tenant's 60 proposals, of 20 s of the model each."""

    def propose() -> None:
        with contextlib.suppress(httpx.TransportError):
            url = f"{town.url}/v1/jobs/{town.jobs['bad']}/proposals"
            httpx.post(url, json=CHANGE, headers=bearer(town.tokens["bad"]), timeout=60)

    _many(60, propose)


def bodies(town: Town, stack: ExitStack) -> None:
    """A stranger's 60 half-sent bodies of 8 MB to /health."""
    head = b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000
    _send(town, stack, 60, head)


def heads(town: Town, stack: ExitStack) -> None:
    """A stranger's 1 500 half-sent headers, with 1 024 open files allowed."""
    _send(town, stack, 1500, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


def pictures(town: Town, stack: ExitStack) -> None:
    """One tenant uploads a PNG of 9 400 x 9 400, 16 times at once."""
    bomb = png(9400, 9400)

    def upload() -> None:
        with contextlib.suppress(httpx.TransportError):
            files = {"file": ("bomb.png", bomb)}
            httpx.post(f"{town.url}/v1/images", files=files, headers=bearer(town.tokens["bad"]), timeout=120)

    _many(16, upload)


def drafts(town: Town, stack: ExitStack) -> None:
    """One tenant estimates 40 drafts of 200 kB at once."""
    draft = "# Honey\n\n" + "Bees *gather* [nectar](https://example.org) and `carry` it home. " * 3000

    def plan() -> None:
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"{town.url}/v1/plan", json={"draft": draft}, headers=bearer(town.tokens["bad"]), timeout=120)

    _many(40, plan)


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


ATTACKS: tuple[Attack, ...] = (nothing, proposals, bodies, heads, pictures, drafts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each attack")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"Python {platform.python_version()}\n")
    print("| attack | requests of the others | failed | p50 | p95 |\n|---|---|---|---|---|")
    for attack in ATTACKS:
        with ExitStack() as stack:
            town = Town(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="limner-siege-"))) / "home", stack)
            town.good(1)
            sockets = stack.enter_context(ExitStack())
            attack(town, sockets)
            took, failed = town.good(options.seconds)
            cuts = statistics.quantiles(took, n=20, method="inclusive")
            p50, p95 = (f"{1000 * cuts[n]:.0f} ms" for n in (9, 18))
            print(f"| {(attack.__doc__ or '').rstrip('.')} | {len(took)} | {failed} | {p50} | {p95} |", flush=True)


if __name__ == "__main__":
    main()
