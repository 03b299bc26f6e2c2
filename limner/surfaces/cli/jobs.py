"""limner jobs: submit, watch, answer, cancel, retry and export jobs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from limner.errors import BadInput
from limner.jobs.ledger import Job, State
from limner.jobs.progress import describe, event_line, progress
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.surfaces.cli.opened import JobId, Owner, open_jobs
from limner.surfaces.cli.options import (
    Check,
    MaxCost,
    MaxTokens,
    brief_text,
    empty_folder,
    image_count,
    read_formats,
    review_points,
)
from limner.surfaces.cli.review import answer_from, question_of

jobs_app = typer.Typer(
    name="jobs", help="Articles composed by workers: submit, watch, cancel, retry.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.add_typer(jobs_app)


Points = Annotated[
    list[str] | None,
    typer.Option("--review", metavar="POINT", help="Wait at outline, draft, spots, images or final."),
]


@jobs_app.command("submit")
def submit(
    brief: Annotated[list[str], typer.Argument(metavar="BRIEF", help="A title or long text; a file of it.")],
    library: Annotated[list[str] | None, typer.Option("--library", "-l", metavar="NAME")] = None,
    images: Annotated[str, typer.Option("--images", "-n", metavar="N|auto")] = "auto",
    language: Annotated[str | None, typer.Option(metavar="xx")] = None,
    seed: int = 0,
    draft: Annotated[bool, typer.Option("--draft", help="BRIEF is a finished text to illustrate.")] = False,
    batch: Annotated[bool, typer.Option("--batch", help="Run after interactive jobs.")] = False,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1)] = None,
    max_cost: MaxCost = None,
    generate: Annotated[str, typer.Option("--generate", metavar="PLUGIN", help="One of LIMNER_GENERATORS.")] = "",
    max_generated: Annotated[int, typer.Option("--max-generated", min=0, max=100)] = 4,
    check: Check = None,
    review: Points = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Show progress until the job ends.")] = False,
) -> None:
    """Submit a job and print its id."""
    request = _request(
        **{"draft" if draft else "brief": brief_text(brief)},
        library=library or [],
        images=image_count(images),
        language=language,
        seed=seed,
        max_tokens=max_tokens,
        max_cost=max_cost,
        generate=generate,
        max_generated=max_generated,
        check=check,
        review=review_points(review),
        queue="batch" if batch else "interactive",
    )
    with open_jobs() as jobs:
        [(job, _)] = jobs.submit([request])
        typer.echo(job.id)
        if jobs.bell.depth(job.route) is None:
            typer.echo("The job waits: the broker does not answer. Start `limner up`.", err=True)
        if wait:
            _follow(jobs, job.id)


@jobs_app.command("list")
def list_(
    state: Annotated[list[str] | None, typer.Option(help="queued, running, parked, waiting, done, failed, …")] = None,
    owner: Owner = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=1000)] = 50,
) -> None:
    """List jobs, newest first."""
    with open_jobs() as jobs:
        known = get_args(State)
        if unknown := [s for s in state or [] if s not in known]:
            raise BadInput(f"Unknown state {unknown[0][:40]!r}. Choose one of: {', '.join(known)}.")
        shown = jobs.ledger.list(owner, states=state or (), limit=limit)  # type: ignore[arg-type]
        for job in shown:
            typer.echo(_line(job, jobs))
        if not shown:
            typer.echo('No jobs. Submit one: limner jobs submit "How bees make honey"')


@jobs_app.command("show")
def show(job: JobId) -> None:
    """Show one job: its progress, its cost, and why it stopped."""
    with open_jobs() as jobs:
        for line in describe(jobs.ledger.job(job), jobs.ledger, jobs.settings.stuck):
            typer.echo(line)


@jobs_app.command("logs")
def logs(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until it ends.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Also print the article's text as it is written.")] = False,
) -> None:
    """Show a job's events."""
    with open_jobs() as jobs:
        events = jobs.follow(job) if follow else _all_events(jobs, job)
        for event in events:
            if text and event.kind in ("text", "again"):
                typer.echo(event.data["text"], nl=False)
            elif event.kind != "text":
                typer.echo(event_line(event))


@jobs_app.command("answer")
def answer(
    job: JobId,
    accept: Annotated[bool, typer.Option("--accept", help="Approve it and continue.")] = False,
    edit: Annotated[
        Path | None,
        typer.Option(
            "--edit", metavar="FILE", help="The reviewed content with your changes: JSON, or Markdown for a text."
        ),
    ] = None,
    say: Annotated[str | None, typer.Option("--say", metavar="TEXT", help="The change you want.")] = None,
) -> None:
    """Answer a job that waits at a review point; without an option, print its question as JSON to edit."""
    with open_jobs() as jobs:
        question = question_of(jobs.ledger.job(job))
        if sum((accept, edit is not None, say is not None)) > 1:
            raise BadInput("Give one of --accept, --edit and --say.")
        if not (accept or edit or say is not None):
            shown = {"version": question["version"], "args": question["action_request"]["args"]}
            typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
            typer.echo(f"{question['description']} Answer with --accept, --edit FILE or --say TEXT.", err=True)
            return
        jobs.answer(job, answer_from(question, edit, say))
        typer.echo(f"{job} continues.")


@jobs_app.command("cancel")
def cancel(job: JobId) -> None:
    """End a job now."""
    with open_jobs() as jobs:
        typer.echo(f"{jobs.cancel(job).id} is cancelled.")


@jobs_app.command("retry")
def retry(
    job: Annotated[list[str] | None, typer.Argument(metavar="JOB...")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed jobs and all set aside.")] = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
) -> None:
    """Queue failed, set aside or cancelled jobs again; each resumes where it stopped, within new limits if given."""
    with open_jobs() as jobs:
        ids = list(job or [])
        if failed:
            ids += [j.id for j in jobs.ledger.list(states=["failed", "set_aside"], limit=1000)]
        if not ids:
            raise BadInput("Nothing to retry. Name jobs, or give --failed.")
        for name in dict.fromkeys(ids):
            typer.echo(f"{jobs.retry(name, max_tokens=max_tokens, max_cost=max_cost).id} is queued again.")


@jobs_app.command("delete")
def delete(job: JobId) -> None:
    """Delete a job, its text and its events."""
    with open_jobs() as jobs:
        jobs.delete(job)
        typer.echo(f"{job} is deleted.")


@jobs_app.command("prune")
def prune(
    days: Annotated[
        float | None, typer.Argument(metavar="[DAYS]", min=0, help="Delete jobs that ended longer ago than this.")
    ] = None,
    owner: Owner = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete jobs that ended DAYS ago, with their articles; export the articles you want to keep first.

    Without DAYS, delete only the working data of jobs that ended LIMNER_KEEP days (30) ago: all articles stay.
    """
    with open_jobs() as jobs:
        if days is not None:
            ended = len(jobs.ledger.ended_before(days * 86_400, owner))
            if (
                ended
                and not yes
                and not _confirmed(f"Delete the jobs that ended {days:g} days ago, with their articles?")
            ):
                raise BadInput("Nothing was deleted. Give --yes to delete without asking.")
            typer.echo(f"{jobs.prune(days, owner)} jobs deleted.")
        elif owner is not None:
            raise BadInput("--owner chooses among the jobs that are deleted. Give DAYS as well.")
        else:
            typer.echo(f"{jobs.tidy()} jobs tidied; their articles are kept.")


@jobs_app.command("export")
def export(
    job: JobId,
    to: Annotated[str, typer.Option("--to", metavar="md,html,json,docx,epub,pdf")] = "md,html,json",
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR")] = None,
    keep_metadata: Annotated[
        bool, typer.Option("--keep-metadata", help="Keep place, camera, faces and previews in exported images.")
    ] = False,
) -> None:
    """Write a finished job's article and its images into a folder."""
    from limner.exports import fresh_folder
    from limner.surfaces.python import export as write  # with LangGraph, which no other of these commands needs

    formats = read_formats(to)
    with open_jobs() as jobs:
        article = jobs.article(job)
        folder = empty_folder(out) if out else fresh_folder(Path.cwd(), article.title)
        for path in write(article, folder, formats=formats, keep_metadata=keep_metadata, settings=jobs.settings):
            typer.echo(path)


def _request(**given: Any) -> JobRequest:
    try:
        return JobRequest(**given)
    except ValidationError as e:
        first = e.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc'])) or 'The job'}: {first['msg']}.") from e


def _confirmed(question: str) -> bool:
    """Whether a person at the terminal says yes; without a terminal, no."""
    return sys.stdin.isatty() and typer.confirm(question, err=True)


def _follow(jobs: Jobs, job: str) -> None:
    for event in jobs.follow(job):
        if event.kind != "text":
            typer.echo(event_line(event))
    ended = jobs.ledger.job(job)
    if ended.state != "done":
        raise BadInput(f"Job {job} is {ended.state.replace('_', ' ')}. {ended.error}".strip())


def _all_events(jobs: Jobs, job: str) -> Iterator[Any]:
    jobs.ledger.job(job)
    after = 0
    while page := jobs.ledger.events(job, after):
        yield from page
        after = page[-1].seq


def _line(job: Job, jobs: Jobs) -> str:
    return f"{job.id:<52} {job.state.replace('_', ' '):<10} {progress(job, jobs.settings.stuck)}"
