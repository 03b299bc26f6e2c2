"""What do jobs cost: throughput beside what the model's calls alone allow, limner's and Celery's own time, memory, API?

    uv run bench/jobs.py [--only throughput|overhead|memory|api ...] [--at-once 4 16 64] [--rounds N] [--call SECONDS]
                         [--processes N]

The model is scripted: 200 ms a call unless --call says otherwise, in a process of its own. Database is Postgres unless
--sqlite; the broker is redis-server if installed, else the bundled Valkey. Everything is on one machine, so figures
mean something only where nothing else runs. Each job at work has a process of its own unless --processes says
otherwise.

throughput    Jobs of three images, so many at once. The ratio is the time that the calls alone take (calls by the
              server's count, times their time, over jobs at once) to the time that it took.
overhead      The same jobs against a bare Celery task that sleeps as long as their calls take, in a prefork pool over
              the same broker; and the processor time of the worker's processes.
memory        PSS of the worker with all its processes after 500 short jobs (no call, no image) and after --many.
api           GET of one job: p95 idle and while jobs run; 1 000 watchers of one job, and when the last has its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "jobs" / "chaos")]

from brokers import Broker  # noqa: E402  # pyright: ignore[reportMissingImports]  # tests' helpers; so below
from model_process import ModelProcess  # noqa: E402  # pyright: ignore[reportMissingImports]
from pictures import make_folder  # noqa: E402  # pyright: ignore[reportMissingImports]
from place import WorkerProcess  # noqa: E402  # pyright: ignore[reportMissingImports]
from served import brief, read_book  # noqa: E402  # pyright: ignore[reportMissingImports]
from servers import Postgres, free_port, until  # noqa: E402  # pyright: ignore[reportMissingImports]

from limner.jobs.request import JobRequest  # noqa: E402
from limner.jobs.service import Jobs  # noqa: E402
from limner.settings import Settings  # noqa: E402
from limner.tools.encoders import default_encoders  # noqa: E402
from limner.tools.library import index  # noqa: E402

WAIT = 3600  # seconds for a round
VERSIONS = ("celery", "kombu", "langgraph", "sqlalchemy", "psycopg", "redis", "fastapi", "uvicorn")


@dataclass(frozen=True)
class Row:
    """One figure."""

    question: str
    measured: str
    how: str


# --- the place -----------------------------------------------------------------------------------------------------


class Place:
    """Everything but the workers."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="limner-bench-"))
        stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        index(self.home, "bees", [make_folder(self.home / "photos")], default_encoders(threads=1))
        self.postgres = None if options.sqlite else stack.enter_context(Postgres())
        self.broker = stack.enter_context(Broker(prefer_redis=True))
        self.model = stack.enter_context(ModelProcess(self.home / "book.jsonl", 0))
        self.given: dict[str, Any] = {
            "home": str(self.home), "model_url": self.model.url, "model": "scripted-7b", "vision": True,
            "redis_url": self.broker.url, "lease": 30, "sweep": 5, "threads": 1, "processes": options.processes,
        }  # fmt: skip
        if self.postgres:
            self.given["database_url"] = self.postgres.url
        self.jobs = stack.enter_context(closing(Jobs(Settings(**self.given))))
        self.marks, self.call = 0, options.call

    @contextmanager
    def worker(self, at_once: int) -> Iterator[WorkerProcess]:
        """A worker that has done a job in each of its processes, or nearly: what is slow once is over."""
        with WorkerProcess({**self.given, "workers": at_once}, self.home / "worker.log") as worker:
            processes = min(at_once, self.given["processes"] or at_once)
            until(lambda: len(worker.children()) > processes, "its processes")
            self.model.say(delay=0.5)
            self.run(2 * at_once)
            self.model.say(delay=self.call)
            time.sleep(1)
            yield worker
            worker.stop()

    def run(self, count: int, **request: Any) -> float:
        """Submit jobs and wait for them; seconds from the first submission to the last end."""
        begun = time.perf_counter()
        requests = [self._request(request) for _ in range(count)]
        names = {
            job.id for start in range(0, count, 1000) for job, _ in self.jobs.submit(requests[start : start + 1000])
        }
        until(lambda: self._ended() >= self.marks, f"{count} jobs", WAIT)
        took = time.perf_counter() - begun
        failed = [j.error for j in self.jobs.ledger.list(states=["failed", "set_aside"], limit=5) if j.id in names]
        if failed:
            raise SystemExit(f"jobs failed: {failed[0]}")
        return took

    def calls(self) -> int:
        """That the model has answered."""
        with self.model.book.open() as lines:
            return len(read_book(lines))

    def _request(self, given: dict[str, Any]) -> JobRequest:
        self.marks += 1
        usual = {"brief": brief(f"hive{self.marks % 10_000:04}"), "library": ["bees"], "images": 3}
        return JobRequest(**(given or usual))

    def _ended(self) -> int:
        time.sleep(0.03)
        return sum(n for _queue, state, n in self.jobs.ledger.counts() if state not in ("queued", "running"))


def cpu_seconds(worker: WorkerProcess) -> float:
    """Processor time of a worker and its processes so far."""
    ticks = 0
    for pid in (worker.process.pid, *worker.children()):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(worker: WorkerProcess) -> float:
    """MB that a worker and its processes take, what they share counted once."""
    kilobytes = 0
    for pid in (worker.process.pid, *worker.children()):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


# --- the questions -------------------------------------------------------------------------------------------------


def throughput(place: Place, options: argparse.Namespace) -> Iterator[Row]:
    for at_once in options.at_once:
        with place.worker(at_once) as worker:
            before, cpu = place.calls(), cpu_seconds(worker)
            count = at_once * options.rounds
            took = place.run(count)
            calls, cpu, memory = place.calls() - before, cpu_seconds(worker) - cpu, pss(worker)
        alone = calls * place.call / at_once
        yield Row(
            f"throughput, {at_once} at once",
            f"{alone / took:.2f} of what the calls allow",
            f"{count} jobs, {calls} calls, {took:.1f} s, {count / took:.2f} jobs/s, {cpu / count:.2f} CPU s per job, "
            f"{memory:.0f} MB",
        )


def overhead(place: Place, options: argparse.Namespace) -> Iterator[Row]:
    at_once, count = 4, 4 * options.rounds
    with place.worker(at_once) as worker:
        before, cpu = place.calls(), cpu_seconds(worker)
        took = place.run(count)
        calls, cpu = place.calls() - before, cpu_seconds(worker) - cpu
    bare = bare_celery(place, at_once, count, calls * place.call / count)
    more = (took - bare) * at_once / count
    yield Row(
        "a job beside a bare Celery task that sleeps as long",
        f"{more * 1000:+.0f} ms",
        f"{count} jobs, {at_once} at once: {took:.2f} s and {bare:.2f} s; {cpu / count * 1000:.0f} ms CPU per job",
    )


BARE = """
import time
from celery import Celery
app = Celery("bare", broker={broker!r})
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=1, task_default_queue="bare",
                task_serializer="json", accept_content=["json"])
@app.task(name="bare.sleep")
def sleep(seconds):
    time.sleep(seconds)
    with open({ended!r}, "ab", 0) as out:
        out.write(b"x")
"""


def bare_celery(place: Place, at_once: int, count: int, seconds: float) -> float:
    """Seconds that as many sleeps take."""
    from celery import Celery

    ended = place.home / "slept"
    ended.write_bytes(b"")
    (place.home / "bare.py").write_text(BARE.format(broker=place.broker.url, ended=str(ended)))
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bare",
        "worker",
        "-P",
        "prefork",
        "-c",
        str(at_once),
        "-O",
        "fair",
    ]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    with (
        (place.home / "bare.log").open("wb") as log,
        subprocess.Popen([*command, *quiet], cwd=place.home, stdout=log, stderr=log) as worker,
        closing(Celery("bare", broker=place.broker.url, set_as_current=False)) as app,
    ):

        def run(n: int, each: float) -> float:
            ended.write_bytes(b"")
            begun = time.perf_counter()
            for _ in range(n):
                app.send_task("bare.sleep", args=[each], queue="bare", ignore_result=True)
            until(lambda: ended.stat().st_size == n, f"{n} sleeps", WAIT)
            return time.perf_counter() - begun

        try:
            run(2 * at_once, 0.1)
            return run(count, seconds)
        finally:
            worker.terminate()


def memory(place: Place, options: argparse.Namespace) -> Iterator[Row]:
    short = {"draft": "# Bees\n\nBees gather nectar.\n", "images": 0}
    with place.worker(4) as worker:
        place.run(500, **short)
        before = pss(worker)
        yield Row(
            "memory after 500 short jobs",
            f"{before:.0f} MB",
            "PSS of the worker and all its processes; 4 at once",
        )
        for _ in range(0, options.many - 500, 500):
            place.run(500, **short)
        after = pss(worker)
        yield Row(f"memory after {options.many}", f"{after:.0f} MB, {after / before - 1:+.0%}", "the same")


# --- the API -------------------------------------------------------------------------------------------------------


def api(place: Place, options: argparse.Namespace) -> Iterator[Row]:
    with serving(place) as url, place.worker(16):
        place.run(1)
        job = place.jobs.ledger.list(limit=1)[0].id
        idle = asked(url, f"/v1/jobs/{job}", 1000)
        ids = [j.id for j, _ in place.jobs.submit([place._request({}) for _ in range(16 * options.rounds)])]
        loaded = asked(url, f"/v1/jobs/{ids[0]}", 1000)
        for what, took in (("idle", idle), ("with 16 jobs at work", loaded)):
            middle = f"1000 one after the other; p50 {statistics.median(took):.1f} ms"
            yield Row(f"GET of a job, p95 {what}", f"{p95(took):.1f} ms", middle)
        until(lambda: place._ended() >= place.marks, "the jobs", WAIT)
        place.model.say(delay=1.0)
        [(watched, _)] = place.jobs.submit([place._request({})])
        ends = asyncio.run(watch(url, watched.id, options.watchers))
        place.model.say(delay=place.call)
        done = place.jobs.ledger.job(watched.id)
        assert done.finished
        whole = [at - done.finished for at, seen in ends if seen == done_events(place, watched.id)]
        yield Row(
            f"{options.watchers} watchers of one job",
            f"{len(whole)} saw all of it, the last {max(whole, default=0):.2f} s after its end",
            f"connected while it ran; {done_events(place, watched.id)} events each",
        )


@contextmanager
def serving(place: Place) -> Iterator[str]:
    """`limner api` in a process of its own."""
    port = free_port()
    names = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
    env = {names.get(k, f"LIMNER_{k.upper()}"): str(v) for k, v in place.given.items()}
    command = [sys.executable, "-m", "limner.surfaces.cli.app", "api", "--port", str(port)]
    with (place.home / "api.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=log)
    url = f"127.0.0.1:{port}"
    try:
        until(lambda: answers(url) or process.poll() is not None, "the API")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    import http.client

    try:
        with closing(http.client.HTTPConnection(url, timeout=5)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
    except OSError:
        return False


def asked(url: str, path: str, times: int) -> list[float]:
    """Milliseconds of each request, over one connection."""
    import http.client

    took = []
    with closing(http.client.HTTPConnection(url, timeout=60)) as connection:
        for _ in range(times):
            begun = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            took.append((time.perf_counter() - begun) * 1000)
            if answer.status != 200:
                raise SystemExit(f"{path} answers {answer.status}")
    return took


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[18]


def done_events(place: Place, job: str) -> int:
    return len(place.jobs.ledger.events(job, limit=100_000))


async def watch(url: str, job: str, count: int) -> list[tuple[float, int]]:
    """Of each watcher, when its stream ended and how many events it had."""
    host, _, port = url.partition(":")
    room = asyncio.Semaphore(100)  # connections being made at once

    async def one() -> tuple[float, int]:
        async with room:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
        seen = 0
        async for line in reader:
            seen += line.startswith(b"data:")
            if line == b"0\r\n":  # the last chunk
                break
        writer.close()
        return time.time(), seen

    return await asyncio.gather(*(one() for _ in range(count)))


# --- the table -----------------------------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[Place, argparse.Namespace], Iterator[Row]]] = {
    "throughput": throughput,
    "overhead": overhead,
    "memory": memory,
    "api": api,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--at-once", nargs="+", type=int, default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=5, help="jobs for each one at once")
    parser.add_argument("--call", type=float, default=0.2, help="seconds that the model takes for a call")
    parser.add_argument("--processes", type=int, default=0, help="of the worker; 0 is one per job at once")
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--sqlite", action="store_true", help="instead of Postgres")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each figure")
    options = parser.parse_args()
    print(head(options), flush=True)
    for name in options.only:
        with ExitStack() as stack:
            for row in QUESTIONS[name](Place(options, stack), options):
                said = json.dumps(row.__dict__) if options.json else f"| {row.question} | {row.measured} | {row.how} |"
                print(said, flush=True)


def head(options: argparse.Namespace) -> str:
    cores, load = os.cpu_count(), os.getloadavg()[0]
    machine = f"{cores} cores of {platform.machine()}, load {load:.1f} before"
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    database = "SQLite" if options.sqlite else "Postgres"
    first = f"{date.today()}, {machine}, Python {platform.python_version()}, {database}; {versions}"
    return f"{first}\n\n| question | measured | how |\n|---|---|---|"


if __name__ == "__main__":
    main()
