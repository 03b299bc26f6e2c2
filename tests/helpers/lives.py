"""What tests of the API share: an application on a real port, and the lives that jobs lead without a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from servers import listening

from limner.document import Illustration, read_markdown
from limner.jobs.ledger import Lease, News
from limner.jobs.service import Jobs
from limner.surfaces.http.app import create_app
from limner.surfaces.http.server import Server
from limner.tools.library import Library

BRIEF = {"brief": "How bees make honey"}


def submit(client: TestClient, body: Mapping[str, Any] = BRIEF, **headers: str) -> str:
    """Submit a job over HTTP; returns its id."""
    answer = client.post("/v1/jobs", json=dict(body), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def take(jobs: Jobs, job: str) -> Lease:
    """Begin work on a job, as a worker does."""
    lease = jobs.ledger.take(job, "worker/1/1")
    assert lease is not None
    return lease


def say(jobs: Jobs, lease: Lease, count: int, start: int = 0) -> None:
    """Add `count` pieces of text to a job's events, each in a transaction of its own."""
    for n in range(start, start + count):
        jobs.ledger.append(lease, [News("text", "write", {"text": f"word {n} "}, once=f"t{n}")])


def finish(jobs: Jobs, lease: Lease, library: Library | None = None) -> None:
    """Finish a job with an article, illustrated by the library's first two images."""
    article = read_markdown("# Honey\n\nBees gather nectar.\n\nThey carry it home.\n\nIt dries to honey.\n")
    records = library.records()[:2] if library else []
    illustrations = [
        Illustration(
            id=f"i{n}",
            after=article.paragraphs[n].id,
            image_id=record.id,
            library=library.name if library else "",
            caption=record.caption,
            alt=record.alt,
            credit=record.credit,
            licence=record.licence,
            width=record.width,
            height=record.height,
        )
        for n, record in enumerate(records)
    ]
    jobs.ledger.finish(lease, article.illustrated(illustrations))


@contextmanager
def client_of(jobs: Jobs) -> Iterator[TestClient]:
    """Asks an application over these jobs, as from the same machine."""
    with TestClient(create_app(jobs.settings, jobs), base_url="http://localhost:8642") as made:
        yield made


def serving(app: FastAPI) -> AbstractContextManager[str]:
    """The application under limner's own server, on a free port; the address."""
    return listening(Server(app))


def bearer(token: str) -> dict[str, str]:
    """The header that a token is sent in."""
    return {"Authorization": f"Bearer {token}"}
