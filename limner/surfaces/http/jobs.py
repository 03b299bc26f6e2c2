"""Routes: jobs and batches."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from limner.errors import JobUnknown
from limner.jobs.ledger import ENDED, Job, Queue, State
from limner.jobs.owners import Owner
from limner.jobs.progress import means
from limner.jobs.request import JobRequest, Limits, read_request
from limner.notes import note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.problems import Missing, documented
from limner.surfaces.http.views import (
    NO_CONTROL,
    AnswerRequest,
    Batch,
    BatchRequest,
    JobId,
    JobPage,
    JobView,
    JobWhole,
    cursor,
    read_cursor,
    shown,
)

routes = APIRouter(prefix="/v1", tags=["jobs"])

Key = Annotated[
    str | None,
    Header(
        description="A name that the caller gives to this submission, unlike those of others, e.g. a UUID. Sent again "
        "with the same body it gives what was made the first time; with another body, 409.",
        pattern=r"^[\x21-\x7e]+$",
        max_length=150,
        examples=["4f8b2c1e-honey"],
    ),
]
Trace = Annotated[
    str | None,
    Header(
        alias="traceparent",
        description="The caller's W3C trace context, to which the job's trace then belongs.",
        max_length=200,
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Jobs per page.")]
Cursor = Annotated[str | None, Query(alias="cursor", max_length=300, description="`next` of the previous page.")]
BatchId = Annotated[str, Path(max_length=80, pattern=NO_CONTROL, description="Id of a batch.")]


def _submitted(model: type[JobView] | type[Batch]) -> dict[int | str, dict[str, Any]]:
    location = {"Location": {"description": "Where it is shown.", "schema": {"type": "string"}}}
    return {
        200: {
            "model": model,
            "description": "Submitted before under this key; nothing was added.",
            "headers": location,
        },
        201: {"model": model, "description": "Accepted: it is not lost from here on.", "headers": location},
        **documented(404, 409, 429),
    }


@routes.post("/jobs", summary="Submit a job", status_code=201, responses=_submitted(JobView))
def submit(
    has: Has,
    asker: Asker,
    request: JobRequest,
    response: Response,
    idempotency_key: Key = None,
    trace: Trace = None,
) -> JobView:
    """Submit a brief to compose or a draft to illustrate. Answers at once; `links` name the addresses to watch it."""
    ((job, new),) = has.jobs.submit([request], asker, keys=[idempotency_key], trace=trace)
    made = _view(has, job)
    response.status_code = 201 if new else 200
    response.headers["Location"] = made.links.self
    return made


@routes.post("/batches", summary="Submit many jobs", status_code=201, responses=_submitted(Batch))
def submit_batch(
    has: Has,
    asker: Asker,
    request: BatchRequest,
    response: Response,
    idempotency_key: Key = None,
    trace: Trace = None,
) -> Batch:
    """Submit up to 1000 jobs, all or none. The idempotency key covers these jobs in this order."""
    count = len(request.jobs)
    keys = [idempotency_key and f"{idempotency_key}#{n}/{count}" for n in range(count)]
    made = has.jobs.submit(request.jobs, asker, keys=keys, batch=True, trace=trace)
    batch = str(made[0][0].batch)
    response.status_code = 201 if any(new for _, new in made) else 200
    response.headers["Location"] = f"/v1/batches/{batch}"
    return show_batch(has, asker, batch)


@routes.get("/batches/{batch}", summary="Show a batch", responses=documented(404))
def show_batch(has: Has, asker: Asker, batch: BatchId, limit: Limit = 50, after: Cursor = None) -> Batch:
    """Get the progress of a batch, and a page of its jobs."""
    states = has.jobs.ledger.batch_counts(batch, asker.name)
    if not states:
        raise Missing(note("no-batch", batch=batch))
    found, more = _page(has, asker, limit, after, batch=batch)
    ended = sum(n for state, n in states.items() if state in ENDED)
    return Batch(id=batch, states=states, total=sum(states.values()), ended=ended, jobs=found, next=more)


@routes.get("/jobs", summary="List jobs", responses=documented())
def list_jobs(
    has: Has,
    asker: Asker,
    state: Annotated[list[State] | None, Query(description="Only these states; may be repeated.")] = None,
    queue: Annotated[Queue | None, Query(description="Only this queue.")] = None,
    batch: Annotated[str | None, Query(max_length=80, pattern=NO_CONTROL, description="Only this batch.")] = None,
    search: Annotated[
        str, Query(max_length=200, pattern=NO_CONTROL, description="Only titles that hold this, in any case.")
    ] = "",
    limit: Limit = 50,
    after: Cursor = None,
) -> JobPage:
    """List your jobs, newest first. Jobs submitted while you page appear on none of the later pages."""
    found, more = _page(has, asker, limit, after, states=state or (), queue=queue, batch=batch, search=search)
    return JobPage(jobs=found, next=more)


@routes.get("/jobs/{job}", summary="Show a job", responses=documented(404))
def show_job(has: Has, asker: Asker, job: JobId) -> JobWhole:
    """Get a job and its request."""
    found = has.jobs.ledger.job(job, asker.name)
    request = has.jobs.ledger.request(job)
    if not request:
        raise JobUnknown(note("job-deleted", job=job))
    return JobWhole(**_view(has, found).model_dump(), request=read_request(request))


@routes.post("/jobs/{job}/cancel", summary="Cancel a job", responses=documented(404, 409))
def cancel_job(has: Has, asker: Asker, job: JobId) -> JobView:
    """End a job now; its worker stops at the next step. Cancelling again changes nothing; 409 if the job ended
    otherwise."""
    return _view(has, has.jobs.cancel(job, asker.name))


@routes.post("/jobs/{job}/retry", summary="Retry a job", responses=documented(404, 409))
def retry_job(has: Has, asker: Asker, job: JobId, limits: Limits | None = None) -> JobView:
    """Requeue a failed, set aside, cancelled or parked job; it continues from its last finished step, within the limits
    of the body if there is one."""
    return _view(has, has.jobs.retry(job, asker.name, **(limits or Limits()).model_dump()))


@routes.post("/jobs/{job}/answer", summary="Answer a job", responses=documented(404, 409))
def answer_job(has: Has, asker: Asker, job: JobId, given: AnswerRequest) -> JobView:
    """Answer the question of a waiting job, once."""
    return _view(has, has.jobs.answer(job, given.value, asker.name))


@routes.delete("/jobs/{job}", summary="Delete a job", status_code=204, responses=documented(404))
def delete_job(has: Has, asker: Asker, job: JobId) -> None:
    """Delete a job and everything kept for it, also while it runs. Its cost stays counted."""
    has.jobs.delete(job, asker.name)


def _view(has: Parts, job: Job) -> JobView:
    known = means(has.jobs.ledger) if job.state == "running" else {}
    return JobView(**shown(job, has.settings, known))


def _page(has: Parts, asker: Owner, limit: int, after: str | None, **only: Any) -> tuple[list[JobView], str | None]:
    """(jobs of a page, cursor of the next page)."""
    ledger = has.jobs.ledger
    found = ledger.list(asker.name, limit=limit + 1, after=read_cursor(after), **only)
    known = means(ledger) if any(job.state == "running" for job in found) else {}
    more = cursor(found[limit - 1]) if len(found) > limit else None
    return [JobView(**shown(job, has.settings, known)) for job in found[:limit]], more
