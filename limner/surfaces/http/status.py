"""Routes: health, metrics, and the caller's own account."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import ConfigDict

from limner.errors import NotAllowed
from limner.jobs.owners import LOCAL
from limner.surfaces.http import metrics
from limner.surfaces.http.deps import Asker, Has
from limner.surfaces.http.problems import documented
from limner.surfaces.http.views import View
from limner.version import __version__

routes = APIRouter(tags=["status"])


class Health(View):
    """Whether the parts of the service work."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "ok", "version": "0.1.0", "database": "ok", "broker": "ok", "workers": 2}]
        }
    )

    status: str
    """ok, or degraded: jobs are accepted and stored, and start once broker and workers run."""
    version: str
    database: str
    broker: str
    """ok or unreachable; workers then check for jobs every LIMNER_SWEEP seconds."""
    workers: int
    """Number of workers that gave a sign recently."""


class Me(View):
    """The caller and its limits; null means no limit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "owner": "alice",
                    "who": "alice",
                    "libraries": ["garden"],
                    "jobs_at_a_time": 4,
                    "jobs_a_minute": 30,
                    "tokens_a_day": 500000,
                    "dollars_a_day": 5.0,
                    "spent_today": 61200,
                    "cost_today": 0.42,
                }
            ]
        }
    )

    owner: str
    who: str
    """The name recorded for your changes of an article."""
    libraries: list[str] | None
    """Names of libraries that you may use besides the starter; null means all."""
    jobs_at_a_time: int | None
    jobs_a_minute: int | None
    tokens_a_day: int | None
    dollars_a_day: float | None
    spent_today: int
    """Tokens since midnight UTC."""
    cost_today: float
    """US dollars since midnight UTC."""


@routes.get("/health", summary="Whether the service lives", responses=documented())
async def health(has: Has) -> Health:
    """200 while the database answers, 503 within seconds otherwise, also where it is silent. Needs no token."""
    workers = await has.vitals.workers()
    there = await has.vitals.broker()
    return Health(
        status="ok" if there and workers else "degraded",
        version=__version__,
        database="ok",
        broker="ok" if there else "unreachable",
        workers=workers,
    )


@routes.get("/v1/me", summary="Who you are here", responses=documented())
def me(has: Has, asker: Asker) -> Me:
    """Get your name, your limits and their use."""
    libraries = None if asker.libraries is None else list(asker.libraries)
    spent, cost = has.jobs.ledger.spent_today(asker.name)
    return Me(
        owner=asker.name,
        who=asker.person or asker.name,
        libraries=libraries,
        jobs_at_a_time=asker.jobs_at_a_time,
        jobs_a_minute=asker.jobs_a_minute,
        tokens_a_day=asker.tokens_a_day,
        dollars_a_day=asker.dollars_a_day,
        spent_today=spent,
        cost_today=cost,
    )


@routes.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses={
        **documented(),
        200: {"description": "Text format 0.0.4.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def get_metrics(has: Has, asker: Asker) -> Response:
    """Get the counters of all processes and all owners. Once tokens exist, this needs the token of LIMNER_TOKEN."""
    if asker.name != LOCAL:
        raise NotAllowed("Metrics tell of all owners: ask with the token that LIMNER_TOKEN holds.")
    return Response(metrics.exposition(has.jobs.ledger, has.hub.watchers), media_type=metrics.MEDIA)
