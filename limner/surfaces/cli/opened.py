"""Open this machine's jobs for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.errors import NotInstalled

if TYPE_CHECKING:
    from limner.jobs.service import Jobs
    from limner.settings import Settings


JobId = Annotated[str, typer.Argument(metavar="JOB")]


Owner = Annotated[str | None, typer.Option(help="Jobs of this owner; default: all.")]


def jobs_settings(**given: Any) -> Settings:
    from limner.surfaces.cli.options import read_settings

    return read_settings({}).model_copy(update={k: v for k, v in given.items() if v is not None})


@contextmanager
def open_jobs() -> Iterator[Jobs]:
    with jobs_installed():
        from limner.jobs.service import Jobs
    jobs = Jobs(jobs_settings())
    try:
        yield jobs
    finally:
        jobs.close()


@contextmanager
def jobs_installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as e:
        raise NotInstalled(f"Jobs need {e.name}: pip install 'limner[jobs]'.") from e
