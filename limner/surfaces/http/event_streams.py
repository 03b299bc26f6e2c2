"""Routes: the events of a job, as a stream and in pages."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, cast

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from limner.jobs.events import JobEvent
from limner.jobs.ledger import ENDED
from limner.surfaces.http.deps import Asker, Has
from limner.surfaces.http.problems import documented
from limner.surfaces.http.views import BIGGEST, EventPage, JobId

routes = APIRouter(prefix="/v1", tags=["events"])

STREAM = {
    200: {
        "description": "Server-sent events: `id` is the event's `seq`, `data` the event as JSON, as in events.json. "
        "Comments keep the connection alive. The stream ends when the job has.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 1\ndata: {"seq":1,"at":1790000000.0,"attempt":0,"kind":"queued","step":"","data":{}}\n',
            }
        },
    },
    204: {"description": "The job has ended, and Last-Event-ID was its last event: there is no need to come back."},
}
After = Annotated[int, Query(ge=0, le=BIGGEST, description="Only events with a higher number.")]


class Stream(StreamingResponse):
    """A streaming response that always closes its generator."""

    async def stream_response(self, send: Send) -> None:
        """Like Starlette's."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # only made of generators
            await super().stream_response(send)


@routes.get("/jobs/{job}/events", summary="Watch a job", responses={**documented(404), **STREAM}, response_class=Stream)
async def watch(
    has: Has,
    asker: Asker,
    job: JobId,
    after: After = 0,
    follow: Annotated[bool, Query(description="false ends after the events there are.")] = True,
    stay: Annotated[
        bool, Query(description="true goes on after the job's end, with what people do to its article (`edited`).")
    ] = False,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=BIGGEST, description="As browsers send it when they come back; before `after`.")
    ] = None,
) -> Response:
    """Stream a job's events from the first one until the job has ended. After a disconnect, send the id of the last
    event you saw to continue there. With `stay` the stream ends only when the job is deleted."""

    def look() -> bool:
        has.jobs.ledger.job(job, asker.name)
        seq, state = has.jobs.ledger.seqs([job]).get(job, (0, "cancelled"))
        return not stay and state in ENDED and last_event_id is not None and last_event_id >= seq

    if await anyio.to_thread.run_sync(look):
        return Response(status_code=204)  # tells an EventSource not to come back
    seen = after if last_event_id is None else last_event_id
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would buffer it
    return Stream(has.hub.events(job, seen, follow, stay, asker.key), media_type="text/event-stream", headers=headers)


@routes.get("/jobs/{job}/events.json", summary="List a job's events", responses=documented(404))
def list_events(
    has: Has,
    asker: Asker,
    job: JobId,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events per page.")] = 1000,
) -> EventPage:
    """Get the same events in pages."""
    found = has.jobs.ledger.job(job, asker.name)  # before the events, so that an ended job's events are all read
    events = has.jobs.ledger.events(job, after, limit)
    return EventPage(events=[cast(JobEvent, e.model_dump()) for e in events], ended=found.ended and len(events) < limit)
