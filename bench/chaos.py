"""Is anything lost, or done twice, when everything fails at random while articles are being made?

    uv run bench/chaos.py [--jobs 200] [--minutes 10] [--seed 1] [--workers 2] [--sqlite]

Articles are submitted to real workers over a real broker (redis-server if installed, else the bundled Valkey) and a
real Postgres, or with --sqlite over the bundled Valkey and a SQLite file. For the minutes given, drawn from the seed:
processes and whole workers are killed with -9, others paused beyond their lease and woken; the broker is killed,
restarted, emptied, its messages doubled; Postgres is restarted, or falls silent behind a proxy that swallows bytes; the
model server answers 429, 500, garbage, nothing, or breaks off. Then it is quiet until all jobs have ended. A job that
was set aside is retried then. At the end an independent checker (tests/jobs/chaos/checker.py) reads the database, the
model server's own book, and the exported files; its objections are printed, and the exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "jobs" / "chaos")]

import evidence  # noqa: E402  # pyright: ignore[reportMissingImports]  # tests' helpers, not a package; so below
from brokers import Broker  # noqa: E402  # pyright: ignore[reportMissingImports]
from checker import Undisturbed, check  # noqa: E402  # pyright: ignore[reportMissingImports]
from exported import check_export  # noqa: E402  # pyright: ignore[reportMissingImports]
from model_process import ModelProcess  # noqa: E402  # pyright: ignore[reportMissingImports]
from monkey import Fleet, Hit, Monkey  # noqa: E402  # pyright: ignore[reportMissingImports]
from pictures import make_folder  # noqa: E402  # pyright: ignore[reportMissingImports]
from proxies import Proxy  # noqa: E402  # pyright: ignore[reportMissingImports]
from served import brief, read_book  # noqa: E402  # pyright: ignore[reportMissingImports]
from servers import Postgres  # noqa: E402  # pyright: ignore[reportMissingImports]

from limner.document import Article  # noqa: E402
from limner.errors import LimnerError  # noqa: E402
from limner.jobs.request import JobRequest  # noqa: E402
from limner.jobs.service import Jobs  # noqa: E402
from limner.settings import Settings  # noqa: E402
from limner.surfaces.python import export  # noqa: E402
from limner.tools.encoders import default_encoders  # noqa: E402
from limner.tools.library import index  # noqa: E402

LEASE, SWEEP, DELAY = 3, 1, 0.2  # seconds; DELAY is of each good answer of the model
FAULTS = {"429": 0.04, "500": 0.04, "garbage": 0.03, "never": 0.01, "broken": 0.02}
TIMEOUT = 15  # seconds until a worker gives up a model that does not answer
PATIENCE = 1800  # seconds for all to end once it is quiet
ENDED = ("done", "failed", "cancelled", "set_aside")


class Run:
    """One run: what is set up for it, and what came of it."""

    def __init__(self, options: argparse.Namespace, home: Path, stack: ExitStack) -> None:
        self.options, self.home = options, home
        index(home, "bees", [make_folder(home / "photos")], default_encoders(threads=1))
        self.postgres = None if options.sqlite else stack.enter_context(Postgres())
        self.database = str(home / "jobs.sqlite") if self.postgres is None else self.postgres.url
        self.proxy = stack.enter_context(Proxy(self.postgres.port)) if self.postgres else None
        self.broker = stack.enter_context(Broker(prefer_redis=not options.sqlite))
        self.model = stack.enter_context(ModelProcess(home / "book.jsonl", options.seed))
        self.given: dict[str, Any] = {
            "home": str(home), "model_url": self.model.url, "model": "scripted-7b", "redis_url": self.broker.url,
            "lease": LEASE, "sweep": SWEEP, "timeout": TIMEOUT, "workers": options.concurrency, "threads": 1,
            "processes": options.processes,
        }  # fmt: skip
        if self.postgres:
            self.given["database_url"] = self.postgres.url
        self.settings = Settings(**self.given)
        self.jobs = stack.enter_context(closing(Jobs(self.settings)))
        seen = {"database_url": self.proxy.of(self.postgres.url)} if self.proxy and self.postgres else {}
        self.fleet = stack.enter_context(Fleet({**self.given, **seen}, home / "worker.log", options.workers))
        self.ids: list[str] = []
        self.aside = 0
        self.seconds = 0.0

    # -- jobs

    def submit(self, mark: str) -> None:
        """A job, whatever is out of order just now: its key makes trying again safe. Its bell is rung twice."""
        while True:
            try:
                request = JobRequest(brief=brief(mark), library=["bees"], images=3)
                [(job, _new)] = self.jobs.submit([request], keys=[mark])
                self.jobs.bell.ring(job.id, job.queue)
            except LimnerError:
                time.sleep(0.2)
                continue
            self.ids.append(job.id)
            return

    def calm(self) -> Undisturbed:
        """A job before anything is broken: what the others are compared with."""
        self.submit("hive0000")
        self.wait_for_all(120)
        found = evidence.read(self.database)
        if found.jobs[0]["state"] != "done":
            raise SystemExit(f"the first job did not work: {found.jobs[0]['error']}")
        return Undisturbed.taken(found)

    def running(self) -> list[dict[str, Any]]:
        """Rows of the jobs that run."""
        try:
            found = evidence.jobs_in(self.database, "running")
        except Exception as e:  # noqa: BLE001  # the database is down just now, which is said
            print(f"  (cannot look: {type(e).__name__})", flush=True)
            return []
        return found

    def ring_again(self) -> None:
        """For every job, the ended ones too."""
        self.jobs.bell.ring_all((job, "interactive") for job in self.ids)

    def states(self) -> Counter[str]:
        """How many jobs are in each state."""
        return Counter({state: n for _queue, state, n in self.jobs.ledger.counts()})

    def wait_for_all(self, seconds: float = PATIENCE) -> None:
        """Until no job is open; says now and then how far it is."""
        end, told = time.monotonic() + seconds, time.monotonic()
        while open_ := {state: n for state, n in self.states_or_none().items() if state not in ENDED}:
            if time.monotonic() > end:
                print(f"not all ended in {seconds:.0f} s: {open_}", flush=True)
                return
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"  {open_}", flush=True)
            time.sleep(0.2)

    # -- the three parts of a run

    def storm(self, monkey: Monkey) -> None:
        """The faults, with jobs coming in almost to their end."""
        marks = (f"hive{n:04}" for n in itertools.count(1))
        seconds = self.options.minutes * 60
        begun, sent = time.monotonic(), 0
        self.model.say(faults=FAULTS)
        for deed in monkey.run(seconds):
            share = min(1.0, (time.monotonic() - begun) / seconds / 0.9)
            while sent < share * self.options.jobs:
                self.submit(next(marks))
                sent += 1
            print(f"{time.monotonic() - begun:6.1f} s  {deed:<34} {dict(self.states_or_none())}", flush=True)
        while sent < self.options.jobs:
            self.submit(next(marks))
            sent += 1

    def states_or_none(self) -> Counter[str]:
        """The same as `states`; while the database is down, {"unknown": 1}."""
        try:
            return self.states()
        except LimnerError:
            return Counter({"unknown": 1})

    def quiet(self) -> None:
        """Nothing more is broken; what was set aside is retried."""
        self.model.say(faults={})
        self.wait_for_all()
        for job in self.jobs.ledger.list(states=["set_aside"], limit=1000):
            self.aside += 1
            self.jobs.retry(job.id)
        self.wait_for_all()

    def judge(self, undisturbed: Undisturbed) -> tuple[list[str], evidence.Evidence]:
        """The checker's objections, to the rows and to the exported files, and the rows."""
        found = evidence.read(self.database)
        with self.model.book.open() as lines:
            served = read_book(lines)
        objections = check(found, served, undisturbed)
        missing = {*self.ids} - {row["id"] for row in found.jobs}
        objections += [f"{job}: lost" for job in missing]
        for row in found.jobs:
            if row["state"] == "done":
                folder = self.home / "articles" / row["id"]
                folder.parent.mkdir(exist_ok=True)
                export(Article.model_validate(row["article"]), folder, settings=self.settings)
                objections += check_export(folder, row["article"])
        return objections, found


# --- the report ----------------------------------------------------------------------------------------------------


def put_back(hits: Sequence[Hit], events: Sequence[dict[str, Any]], kind: str) -> list[float]:
    """Seconds from each time an owner was taken away until its job was back in the queue; none where it had ended."""
    lapsed = {(e["job"], e["attempt"]): e["at"] for e in events if e["kind"] == "lapsed"}
    return [lapsed[attempt] - at for attempt, at in first_hits(hits, kind).items() if attempt in lapsed]


def first_hits(hits: Sequence[Hit], kind: str) -> dict[tuple[str, int], float]:
    """When each attempt was first hit by that kind of fault."""
    first: dict[tuple[str, int], float] = {}
    for hit in hits:
        if hit.kind == kind:
            first.setdefault((hit.job, hit.attempt), hit.at)
    return first


def recoveries(hits: Sequence[Hit], events: Sequence[dict[str, Any]], kind: str) -> list[float]:
    """Seconds from each time an owner was taken away to the next attempt at its job; none where it had ended."""
    started = {(e["job"], e["attempt"]): e["at"] for e in events if e["kind"] == "started"}
    lapsed = {(e["job"], e["attempt"]) for e in events if e["kind"] == "lapsed"}
    return [
        started[job, n + 1] - at
        for (job, n), at in first_hits(hits, kind).items()
        if (job, n) in lapsed and (job, n + 1) in started
    ]


def quantiles(seconds: Sequence[float]) -> str:
    """p50 and p95."""
    if len(seconds) < 2:
        return f"{len(seconds)} only"
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{cuts[9]:.1f} s / {cuts[18]:.1f} s (n = {len(seconds)})"


def report(run: Run, monkey: Monkey, found: evidence.Evidence, objections: Sequence[str]) -> Iterator[str]:
    """The table, as Markdown."""
    states = Counter(row["state"] for row in found.jobs if row["title"].find("hive0000") < 0)
    kinds = Counter(e["kind"] for e in found.events)
    with run.model.book.open() as lines:
        served = read_book(lines)
    keys = Counter(s.key for s in served if s.mark)
    faulty = Counter(s.fault for s in served if s.fault)
    extra = sum(n - 1 for n in keys.values()) - sum(1 for s in served if s.fault and s.mark)
    database = "SQLite" if run.postgres is None else f"Postgres {run.postgres.programs.parent.name}"
    yield f"{date.today()}, {platform.processor() or platform.machine()}, Python {platform.python_version()}, "
    yield f"{database}, {run.broker.program.name}; seed {run.options.seed}, {run.options.workers} workers of "
    processes = min(run.options.concurrency, run.options.processes or run.options.concurrency)
    yield f"{run.options.concurrency} jobs at once in {processes} processes, lease {LEASE} s, sweep {SWEEP} s, "
    yield f"model calls of {DELAY} s"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| jobs submitted, ended | {len(run.ids) - 1}, {sum(states[s] for s in ENDED)} |"
    yield f"| of these done / failed | {states['done']} / {states['failed']} |"
    yield f"| set aside on the way, done after a retry | {run.aside} |"
    for name, n in sorted(monkey.faults.items()):
        yield f"| fault: {name} | {n} |"
    for name, n in sorted(faulty.items()):
        yield f"| fault: model server, {name} | {n} |"
    yield f"| attempts, of these lapsed / parked | {kinds['started']}, {kinds['lapsed']} / {kinds['parked']} |"
    yield f"| model calls, of these again with no fault of the server | {sum(keys.values())}, {max(0, extra)} |"
    for kind, name in (("kill", "killed"), ("pause", "paused")):
        back, again = (seconds(monkey.hits, found.events, kind) for seconds in (put_back, recoveries))
        yield f"| {name} owner to back in the queue, p50 / p95 | {quantiles(back)} |"
        yield f"| {name} owner to next attempt, p50 / p95 | {quantiles(again)} |"
    yield f"| lost, doubled, or otherwise objected to | {len(objections)} |"
    yield f"| whole run | {run.seconds:.0f} s |"


def main() -> int:
    options = read_options()
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="limner-chaos-"))
        run = Run(options, home, stack)
        print(f"home {home}", flush=True)
        begun = time.monotonic()
        run.model.say(delay=DELAY)
        undisturbed = run.calm()
        hit = (run.fleet, run.broker, run.postgres, run.running, run.ring_again)
        monkey = Monkey(*hit, options.seed, LEASE, run.proxy)
        run.storm(monkey)
        run.quiet()
        run.seconds = time.monotonic() - begun
        objections, found = run.judge(undisturbed)
        print("\n".join(report(run, monkey, found, objections)))
        for objection in objections:
            print(f"OBJECTION {objection}")
    if objections:
        print(f"The database, the model server's book and the workers' log are left in {home}.")
        return 1
    shutil.rmtree(home, ignore_errors=True)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10, help="of faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4, help="jobs at once of each worker")
    parser.add_argument("--processes", type=int, default=0, help="of each worker; 0: one per job")
    parser.add_argument("--sqlite", action="store_true", help="instead of Postgres")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
