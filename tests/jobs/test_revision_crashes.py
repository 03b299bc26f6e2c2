"""kill -9 at every statement of a revision: the article is as before it or as after it, and trying again is safe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from sqlalchemy import event, select
from test_versions import SOURCE, finished, text, write

from limner.errors import VersionConflict
from limner.jobs.history.revisions import Revisions
from limner.jobs.ledger import Ledger
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import jobs, versions

Step = Callable[[Revisions, str], Any]
STEPS: dict[str, Step] = {
    "accept": lambda revisions, job: write(revisions, job, 1, "b2", "Bees drink nectar.", key="k1"),
    "type": lambda revisions, job: write(revisions, job, 2, "b2", "Bees drink nectar. Lots.", typing=True, key="k2"),
    "undo": lambda revisions, job: revisions.undo(job, 3, "ann"),
    "redo": lambda revisions, job: revisions.redo(job, 2, "ann"),
    "go": lambda revisions, job: revisions.go(job, 3, 1, "ann"),
}
STATEMENTS = ("before_cursor_execute", "after_cursor_execute", "commit")


def counted(database: Database, does: Callable[[], object], last: int = -1) -> int:
    """Do something; the number of points passed. At point `last` the process kills itself."""
    passed = 0

    def point(*_args: Any) -> None:
        nonlocal passed
        passed += 1
        if passed == last:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in STATEMENTS:
        event.listen(database.engine, name, point)
    try:
        does()
    finally:
        for name in STATEMENTS:
            event.remove(database.engine, name, point)
    return passed


def serve(url: str) -> None:
    """Fork for each line on stdin: a child that does the step and kills itself at that point; says whether it was
    reached. The tests have threads, whose locks a fork of theirs would keep for ever; this process has none."""
    for line in sys.stdin:
        name, job, point = json.loads(line)
        child = os.fork()
        if not child:
            _die_at(url, name, job, point)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.WIFSIGNALED(status)), flush=True)


def _die_at(url: str, name: str, job: str, point: int) -> NoReturn:
    try:
        database = Database(url)
        counted(database, lambda: STEPS[name](Revisions(Ledger(database, lease=600)), job), point)
    finally:
        os._exit(0)


@contextmanager
def forking(database: Database) -> Iterator[Callable[[str, str, int], bool]]:
    """A function that does a step on a job in a process that kills itself at a point: whether it was reached."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve(sys.argv[1])"
    command = [sys.executable, "-c", code, str(database.url)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        asks, answers = child.stdin, child.stdout

        def killed(name: str, job: str, point: int) -> bool:
            asks.write(json.dumps([name, job, point]) + "\n")
            asks.flush()
            return bool(json.loads(answers.readline()))

        yield killed
        asks.close()


def story(database: Database, ledger: Ledger, job: str) -> tuple[Any, ...]:
    """What a client may see of a job: its article, the tree of its versions, and what its watchers were told."""
    with database.read() as c:
        row = c.execute(select(jobs.c.version, jobs.c.article).where(jobs.c.id == job)).one()
        columns = (versions.c.number, versions.c.parent, versions.c.forward, versions.c.folded, versions.c.key)
        tree = [tuple(one) for one in c.execute(select(*columns).where(versions.c.job == job).order_by("number"))]
    told = [(e.kind, e.data["version"]) for e in ledger.events(job) if e.kind == "edited"]
    return row.version, row.article, tree, told


def again(step: Step, revisions: Revisions, job: str) -> None:
    """What a client does that got no answer: it tries again, and finds that it was done if it was."""
    try:
        step(revisions, job)
    except VersionConflict:
        return


@pytest.mark.parametrize("name", STEPS)
def test_a_revision_is_made_or_not_and_never_in_part(name: str, database: Database, ledger: Ledger) -> None:
    revisions, step = Revisions(ledger), STEPS[name]

    def so_far() -> str:
        job = finished(ledger, SOURCE)
        assert text(revisions, job) == SOURCE
        for earlier, do in STEPS.items():
            if earlier == name:
                break
            do(revisions, job)
        return job

    calm = so_far()
    before = story(database, ledger, calm)
    points = counted(database, lambda: step(revisions, calm))
    after = story(database, ledger, calm)
    assert points >= 8
    assert after != before
    with forking(database) as killed:
        for point in range(1, points + 1):
            job = so_far()
            assert killed(name, job, point)
            assert story(database, ledger, job) in (before, after), f"point {point}"
            again(step, revisions, job)
            assert story(database, ledger, job) == after, f"point {point}"
