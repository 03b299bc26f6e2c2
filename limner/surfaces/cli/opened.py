"""Open this machine's jobs for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.cli.options import read_settings

JobId = Annotated[str, typer.Argument(metavar="JOB")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Owner = Annotated[str | None, typer.Option(help="Jobs of this owner; default: all.")]


def jobs_settings(**given: Any) -> Settings:
    return read_settings({}).model_copy(update={k: v for k, v in given.items() if v is not None})


@contextmanager
def open_jobs() -> Iterator[Jobs]:
    jobs = Jobs(jobs_settings())
    try:
        yield jobs
    finally:
        jobs.close()
