"""Response models of the HTTP API, as its OpenAPI description shows them."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from limner.errors import BadInput
from limner.jobs.events import Interrupted, JobEvent
from limner.jobs.ledger import Job, Queue, State
from limner.jobs.progress import progress, remaining
from limner.jobs.request import JobRequest
from limner.notes import coded, note
from limner.settings import Settings
from limner.workflows.review.protocol import Answer
from limner.workflows.review.unchecked import Unchecked

NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
JobId = Annotated[
    str,
    Path(description="Id of a job.", max_length=80, pattern=NO_CONTROL, examples=["how-bees-make-honey-3f9a1c02de"]),
]
BIGGEST = 2**31 - 1
EXAMPLE_ID = "how-bees-make-honey-3f9a1c02de"


class View(BaseModel):
    """Base of all responses. Attribute docstrings become descriptions in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ImageView(View):
    """An image of a library, with its words."""

    image_id: str
    library: str
    caption: str
    alt: str
    credit: str
    licence: str
    width: int
    """px of the file."""
    height: int
    thumbnail: str
    """Address of the image at 256 px."""
    machine_made: list[Literal["caption", "alt"]] = []
    """Words that a model wrote because the library had none; the others are a person's or the file's."""


class Links(View):
    """Addresses of a job's resources."""

    self: str
    events: str
    """Server-sent events, from the first one on."""
    article: str | None
    """The article as JSON; null before there is one. ?format=md, html, zip … for other formats."""


class JobView(View):
    """A job. Times are seconds since 1970 by the database's clock."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "owner": "local",
                    "title": "How bees make honey",
                    "state": "running",
                    "queue": "interactive",
                    "batch": None,
                    "step": "select",
                    "done": 2,
                    "of": 5,
                    "progress": "choosing images 2 of 5, 41 s, 6,120 tokens",
                    "elapsed": 41.2,
                    "remaining": 22.5,
                    "stuck": False,
                    "ended": False,
                    "spent": 6120,
                    "cost": 0.0,
                    "error": "",
                    "code": "",
                    "params": {},
                    "attempt": 1,
                    "crashes": 0,
                    "tries": 0,
                    "created": 1790000000.0,
                    "started": 1790000001.5,
                    "finished": None,
                    "last_event": 1790000040.1,
                    "not_before": None,
                    "question": None,
                    "webhook_state": None,
                    "webhook_error": "",
                    "links": {
                        "self": f"/v1/jobs/{EXAMPLE_ID}",
                        "events": f"/v1/jobs/{EXAMPLE_ID}/events",
                        "article": None,
                    },
                }
            ]
        }
    )

    id: str
    owner: str
    title: str
    state: State
    """done, failed, cancelled and set_aside are final; parked resumes by itself; waiting needs an answer."""
    queue: Queue
    batch: str | None
    step: str
    """write, spot, retrieve, select, arrange; "" before the first."""
    done: int
    """Finished parts of the step, e.g. spots with a chosen image, out of `of`."""
    of: int
    progress: str
    """The same as a line for people."""
    elapsed: float
    """Seconds since its start; 0 before."""
    remaining: float | None
    """Estimated seconds left, from the means of other jobs' steps; null without data."""
    stuck: bool
    """Whether it runs without an event for LIMNER_STUCK seconds."""
    ended: bool
    """Whether the job ended: nothing more happens by itself."""
    spent: int
    """Tokens of prompts and completions."""
    cost: float = 0.0
    """US dollars; 0 for models without a known price."""
    error: str
    """Why it failed, is parked or was set aside: one line that ends with what to do."""
    code: str
    """Code of `error`, for programs; "" without an error."""
    params: dict[str, Any]
    """Parameters of `error`, by name."""
    attempt: int
    """Number of attempts so far."""
    crashes: int
    """Attempts in a row that crashed their process."""
    tries: int
    """Times in a row that it was parked."""
    created: float
    started: float | None
    finished: float | None
    last_event: float
    not_before: float | None
    """When a parked job resumes."""
    question: Annotated[list[Interrupted] | Any, Unchecked()]
    """The question of a waiting job, null for others; POST …/answer answers it."""
    webhook_state: str | None
    """due, sent or failed; null without a webhook or before the end."""
    webhook_error: str
    links: Links


class JobWhole(JobView):
    """A job and its request."""

    request: JobRequest
    """The request as submitted, without its webhook."""


class JobPage(View):
    """Some jobs, newest first."""

    jobs: list[JobView]
    next: str | None
    """Cursor of the next page; null on the last."""


class Batch(View):
    """Jobs that were submitted together."""

    id: str
    states: dict[State, int]
    """Number of jobs by state; states without jobs are left out."""
    total: int
    ended: int
    """Number of jobs that ended."""
    jobs: list[JobView]
    """A page of them, newest first."""
    next: str | None
    """Cursor of the next page; null on the last."""


class BatchRequest(View):
    """Jobs to submit together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"jobs": [{"brief": "How bees make honey"}, {"brief": "How glass is blown"}]}]},
    )

    jobs: Annotated[list[JobRequest], Field(min_length=1, max_length=1000)]
    """All are accepted, or none."""


class AnswerRequest(View):
    """A person's answer to a job's question."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"value": {"type": "accept", "version": "3f0c2a9d5b7e1146"}},
                {"value": {"type": "response", "args": "Say more about winter.", "version": "3f0c2a9d5b7e1146"}},
            ]
        },
    )

    value: Annotated[Answer | Any, Unchecked()]
    """At a review point an answer to its question; for your own graph, whatever its question asks for."""


class EventPage(View):
    """Some events of a job, in order."""

    events: list[Annotated[JobEvent, Unchecked()]]
    ended: bool
    """Whether no more events come by themselves."""


def links(job: str, done: bool) -> Links:
    """Addresses of a job."""
    base = f"/v1/jobs/{quote(job, safe='')}"
    return Links(self=base, events=f"{base}/events", article=f"{base}/article" if done else None)


def shown(job: Job, settings: Settings, means: Mapping[str, float]) -> dict[str, Any]:
    """The fields of a JobView. means: seconds of each step, see `progress.means`."""
    return {
        **job.model_dump(exclude={"now", "error_note"}),
        **coded(job.why),
        "ended": job.ended,
        "elapsed": round(max(0.0, job.elapsed), 3),
        "stuck": job.stuck(settings.stuck),
        "progress": progress(job, settings.stuck),
        "remaining": remaining(job, dict(means)),
        "links": links(job.id, job.state == "done"),
    }


# --- pages ---------------------------------------------------------------------------------------------------------


def cursor(job: Job) -> str:
    """An opaque cursor for the page after this job."""
    return base64.urlsafe_b64encode(json.dumps([job.created, job.id]).encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> tuple[float, str] | None:
    """Read a cursor that `cursor` wrote. Raises BadInput."""
    if text is None:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        value = None
    match value:
        case [float(created), str(job)] if math.isfinite(created) and job.isprintable() and len(job) <= 80:
            return created, job
    raise BadInput(note("cursor-unknown"))
