"""The shell's commands about jobs and tokens, on a real ledger; a job's life is driven by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import CAPTIONS
from shell import Shell

import limner
from limner.document import Article, Illustration, read_markdown
from limner.jobs.ledger import Lease, News
from limner.jobs.service import Jobs
from limner.settings import Settings


@pytest.fixture
def jobs(bees: Path, home: Path) -> Iterator[Jobs]:
    made = Jobs(Settings(home=home))
    yield made
    made.close()


def submitted(shell: Shell, *more: str) -> str:
    said = shell("jobs", "submit", "How bees make honey", "--library", "bees", *more)
    assert said.code == 0, said.err
    return said.out.strip()


def taken(jobs: Jobs, job: str) -> Lease:
    lease = jobs.ledger.take(job, "w")
    assert lease
    return lease


def article(jobs: Jobs) -> Article:
    from limner.workflows.context import build_context

    context = build_context(jobs.settings, library="bees")
    record = next(r for r in context.libraries[0].records() if r.caption == CAPTIONS["jar.png"][0])
    made = read_markdown("# Honey\n\nGolden and sweet.\n")
    picture = Illustration(
        id="i1",
        after=made.paragraphs[0].id,
        image_id=record.id,
        caption=record.caption,
        alt=record.alt,
        width=record.width,
        height=record.height,
        library="bees",
    )
    return made.model_copy(update={"title": "Honey", "illustrations": (picture,)})


def test_without_a_broker_a_job_is_accepted_all_the_same(shell: Shell, jobs: Jobs) -> None:
    job = submitted(shell)
    assert re.fullmatch(r"how-bees-make-honey-[0-9a-f]{10}", job)
    assert jobs.ledger.job(job).state == "queued"
    assert job in shell("jobs", "list").out


def test_a_job_s_life(shell: Shell, jobs: Jobs) -> None:
    job = submitted(shell, "--images", "1", "--batch")
    lease = taken(jobs, job)
    jobs.ledger.append(lease, [News("step", "select", {"done": 2, "of": 6}, once="s")], step="select", done=2, of=6)
    assert "choosing images 2 of 6" in shell("jobs", "list").out
    shown = shell("jobs", "show", job).out
    assert "running: choosing images 2 of 6" in shown
    assert "queue batch, attempt 1" in shown
    assert "step select 2 of 6" in shell("jobs", "logs", job).out
    jobs.ledger.finish(lease, article(jobs))
    assert "done: took" in shell("jobs", "show", job).out
    assert shell("jobs", "logs", job, "--follow").out.splitlines()[-1].endswith("done  title=Honey images=1")
    said = shell("jobs", "export", job, "--out", "honey")
    assert said.code == 0, said.err
    assert "A jar of honey" in Path("honey/article.md").read_text()


def test_cancel_retry_delete(shell: Shell, jobs: Jobs) -> None:
    job = submitted(shell)
    assert shell("jobs", "cancel", job).out == f"{job} is cancelled.\n"
    assert shell("jobs", "cancel", job).code == 0
    assert shell("jobs", "retry", job).out == f"{job} is queued again.\n"
    jobs.ledger.fail(taken(jobs, job), "the model is away")
    assert "the model is away" in shell("jobs", "list", "--state", "failed").out
    assert shell("jobs", "retry", "--failed", "--max-cost", "2").out == f"{job} is queued again.\n"
    assert jobs.ledger.request(job)["max_cost"] == 2
    assert shell("jobs", "delete", job).code == 0
    assert shell("jobs", "list").out.startswith("No jobs.")


def test_prune_forgets_what_ended_and_nothing_else(shell: Shell, jobs: Jobs) -> None:
    ended, running = submitted(shell), submitted(shell)
    jobs.cancel(ended)
    taken(jobs, running)
    assert shell("jobs", "prune", "1").out == "0 jobs deleted.\n"
    assert "Give --yes" in refused(shell, "jobs", "prune", "0"), "nobody at a terminal has said yes"
    assert jobs.ledger.job(ended).state == "cancelled"
    assert shell("jobs", "prune", "0", "--yes").out == "1 jobs deleted.\n"
    assert [job.id for job in jobs.ledger.list()] == [running]


def refused(shell: Shell, *args: str) -> str:
    said = shell(*args)
    assert said.code == 2
    assert said.err.startswith("limner: ")
    assert said.err.count("\n") == 1, "one line"
    return said.err


def test_what_cannot_be_is_said_in_one_line(shell: Shell, jobs: Jobs) -> None:
    for command in ("show", "logs", "cancel", "delete", "export", "retry"):
        assert "There is no job 'nonsense'" in refused(shell, "jobs", command, "nonsense")
    job = submitted(shell)
    assert "has no article yet" in refused(shell, "jobs", "export", job)
    assert "queued: there is nothing to retry" in refused(shell, "jobs", "retry", job)
    assert "Nothing to retry" in refused(shell, "jobs", "retry")
    assert "Unknown state 'lost'" in refused(shell, "jobs", "list", "--state", "lost")
    assert "brief is empty" in refused(shell, "jobs", "submit", " ")
    assert "no library 'nowhere'" in refused(shell, "jobs", "submit", "Bees", "-l", "nowhere")
    assert "is not a number" in refused(shell, "jobs", "submit", "Bees", "-n", "many")


def test_tokens(shell: Shell, jobs: Jobs) -> None:
    token = shell("token", "add", "anna", "--library", "bees").out.strip()
    assert jobs.owners.whose(token).name == "anna"
    said = shell("token", "limit", "anna", "--jobs-at-a-time", "2", "--tokens-a-day", "1000", "--dollars-a-day", "2.5")
    assert "anna: 1 tokens; starter, bees; 2 jobs at a time, 1000 tokens a day, $2.50 a day" in said.out
    assert token not in shell("token", "list").out
    assert shell("token", "remove", "anna").out.startswith("1 tokens of anna")
    assert "Unknown owner 'bert'" in refused(shell, "token", "limit", "bert")
    assert "cannot be an owner's name" in refused(shell, "token", "add", "a b")


def test_an_open_address_wants_a_token(shell: Shell, home: Path) -> None:
    assert "without a token: anybody could use it" in refused(shell, "api", "--host", "0.0.0.0", "--port", "0")


def test_from_python(bees: Path, home: Path) -> None:
    jobs = limner.Jobs(limner.Settings(home=home))
    [(job, new)] = jobs.submit([limner.JobRequest(brief="How bees make honey", library=["bees"])], keys=["k"])
    [(same, again)] = jobs.submit([limner.JobRequest(brief="How bees make honey", library=["bees"])], keys=["k"])
    assert (job.id, new, again) == (same.id, True, False)
    jobs.ledger.finish(taken(jobs, job.id), article(jobs))
    assert [event.kind for event in jobs.follow(job.id)] == ["queued", "started", "done"]
    assert jobs.article(job.id).title == "Honey"
    jobs.close()
