"""Build the FastAPI application: its parts, routes and description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http import (
    articles,
    captions,
    event_streams,
    libraries,
    problems,
    questions,
    revisions,
    searching,
    signed_urls,
    status,
)
from limner.surfaces.http import jobs as job_routes
from limner.surfaces.http.deps import Parts
from limner.surfaces.http.guard import Guard, is_open
from limner.surfaces.http.hub import Hub
from limner.surfaces.http.images import Shelf
from limner.surfaces.http.openai import routes as openai
from limner.surfaces.http.shares import pools
from limner.surfaces.http.vitals import ALIVE, Vitals
from limner.version import __version__

WEB = Path(__file__).parents[1] / "web"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The studio may load limner's own scripts and styles, show images and call this API; nothing inline."""
ABOUT = """Illustrated articles as jobs: submit a brief, watch it, get the article.

Once tokens exist, every request except `/health` and the page needs `Authorization: Bearer TOKEN` and sees only the
data of the token's owner. Errors are `application/problem+json` (RFC 9457); their `detail` is one line that says what
to do next.
"""


PARTS = (
    job_routes,
    event_streams,
    articles,
    revisions,
    questions,
    libraries,
    searching,
    captions,
    openai,
    signed_urls,
    status,
)


def create_app(settings: Settings, jobs: Jobs | None = None) -> FastAPI:
    """Build the HTTP API and the studio of one installation.

    jobs: the installation's jobs, which the caller closes; None opens them here and closes them with the application.
    Raises LedgerError, BadInput, NotInstalled.
    """
    made = jobs or Jobs(settings)
    hub = Hub(made.ledger, made.owners.still_good)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        hub.close()
        if jobs is None:
            made.close()

    app = FastAPI(
        title="limner",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own page would load scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(HTTPBearer(auto_error=False, description="`limner token add NAME` makes one."))],
    )
    vitals = Vitals(made.ledger, made.bell, max(10.0, ALIVE * settings.sweep))
    app.state.parts = Parts(settings, made, hub, Shelf(settings, made), pools(), vitals)
    app.add_middleware(Guard, owners=made.owners, hosts=settings.hosts)
    problems.install(app)
    for part in PARTS:
        app.include_router(part.routes)
    _serve_page(app)
    _describe(app)
    return app


class _Static(StaticFiles):
    """The studio's files, which browsers cache and revalidate at each visit."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Like Starlette's."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _serve_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
        return FileResponse(WEB / "index.html", headers=headers)

    app.mount("/static", _Static(directory=WEB), name="static")


def _describe(app: FastAPI) -> None:
    """The OpenAPI description, with the schema of problems, and without a token on open routes."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            parts = schema["components"]["schemas"]
            parts["Problem"] = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            for path, methods in schema["paths"].items():
                if is_open(path):
                    for operation in methods.values():
                        operation.pop("security", None)
        return app.openapi_schema or {}

    app.openapi = openapi
