"""Errors as answers: RFC 9457, `application/problem+json`, one line that says what to do next."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from limner.errors import (
    EncoderSwitched,
    JobConflict,
    JobUnknown,
    LedgerError,
    LibraryBusy,
    LibraryMissing,
    LibraryUnreachable,
    LimitReached,
    LimnerError,
    ModelError,
    NotAllowed,
    UnreadableReply,
    VersionConflict,
    no_room,
)
from limner.notes import coded, note

log = logging.getLogger("limner.api")

TYPE = "application/problem+json"
AGAIN = 5  # seconds until a retry after a temporary fault


class Missing(LimnerError):
    """Nothing exists at this address, or it is another owner's; both look the same."""

    code = "missing"


class Forbidden(LimnerError):
    """The owner may read it but not change it."""

    code = "forbidden"


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:limner:problem:job-conflict",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "Job bees-1a2b is at its first version: there is nothing to undo.",
                    "code": "nothing-to-undo",
                    "params": {"job": "bees-1a2b"},
                }
            ]
        },
    )

    type: str
    """A name for the kind of problem, for programs."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """One line for people: what is wrong, and what to do next."""
    code: str
    """Code of the sentence in `detail`, for programs; finer than `type`. Clients use it to find their own wording."""
    params: dict[str, Any]
    """Parameters of `detail`, by name: text, numbers, and sentences {"code", "params", "text"}."""


_STATUSES: tuple[tuple[type[LimnerError], int], ...] = (  # the first match counts
    (JobUnknown, 404),
    (LibraryMissing, 404),
    (Missing, 404),
    (Forbidden, 403),
    (JobConflict, 409),
    (LimitReached, 429),
    (NotAllowed, 401),
    (LedgerError, 503),
    (LibraryBusy, 503),
    (LibraryUnreachable, 503),
    (EncoderSwitched, 503),
    (ModelError, 503),
    (UnreadableReply, 503),  # another answer of the model may be readable
    (LimnerError, 422),
)
_SAID: dict[int, str] = {
    400: "The body cannot be read.",
    401: "A token is needed, or this one is unknown.",
    403: "Host or Origin is not allowed, or you may not change this.",
    404: "Unknown, or another owner's.",
    405: "Method not allowed.",
    409: "The current state does not allow this.",
    413: "The body is too large.",
    415: "Compressed bodies are not accepted.",
    422: "The request is invalid.",
    429: "A limit of the owner is reached; Retry-After says when to try again.",
    500: "An internal error; limner's log has the details.",
    503: "The database, the model or another part is unavailable.",
    507: "A disk is full. Nothing was stored.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: these problems, and those of every route."""
    content = {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = {400, 401, 403, 413, 415, 422, 500, 503, 507, *statuses}
    return {status: {"description": _SAID[status], "content": content} for status in sorted(every)}


def problem(
    status: int,
    kind: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A problem as an answer. kind: last part of its `type`, e.g. "job-conflict". detail: becomes one line; a `Note`
    adds its code and parameters. more: further members, for programs.
    """
    said = coded(detail)
    made = Problem(
        type=f"urn:limner:problem:{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=" ".join(detail.encode("utf-8", "replace").decode().split()),
        code=said["code"] or kind,
        params=said["params"],
    )
    return JSONResponse({**made.model_dump(), **(more or {})}, status, headers, media_type=TYPE)


def full() -> Response:
    """The answer where a disk is full; which one is in the log, and is whoever runs limner's to know."""
    return problem(507, "disk-full", note("no-room"), {"Retry-After": str(AGAIN)})


def of_error(error: LimnerError) -> Response:
    """The answer to one of limner's errors."""
    if no_room(error):
        log.error("a disk is full: %s", error)
        return full()
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    headers = {}
    if isinstance(error, LimitReached):
        headers["Retry-After"] = str(error.retry_after)
    elif status == 503:
        headers["Retry-After"] = str(AGAIN)
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    more = {}
    if isinstance(error, VersionConflict):
        more = {"head": error.head, "changed": error.changed, "conflicts": error.conflicts}
    return problem(status, type(error).code, error.afar, headers, more)


def install(app: FastAPI) -> None:
    """Turn exceptions of endpoints into answers, only here; the guard handles unexpected ones."""

    @app.exception_handler(LimnerError)
    def _limner(_request: Request, error: LimnerError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "invalid", _invalid_line(request, error.errors()))

    @app.exception_handler(OSError)
    def _system(_request: Request, error: OSError) -> Response:
        if not no_room(error):
            raise error
        log.error("a disk is full: %s", error)
        return full()

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        if no_room(error):  # while a body was put aside
            log.error("a disk is full: %s", error)
            return full()
        words = {
            400: "The body cannot be read as JSON in UTF-8. Check it, and send Content-Type: application/json.",
            404: f"Nothing exists at {request.url.path[:200]!r}. /openapi.json lists all addresses.",
            405: f"{request.url.path[:200]!r} does not accept {request.method[:20]}. /openapi.json lists its methods.",
        }
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem(error.status_code, kind, words.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(DataError)
    def _unstorable(_request: Request, _error: DataError) -> Response:
        line = "The database cannot store NUL characters or numbers like NaN. Remove them."
        return problem(422, "bad-input", line)

    @app.exception_handler(RecursionError)
    def _too_deep(_request: Request, _error: RecursionError) -> Response:
        return problem(422, "bad-input", "The JSON is nested too deeply. Send a flatter one.")


def _invalid_line(request: Request, errors: Sequence[Any]) -> str:
    """The first invalid field, by name, without repeating the input."""
    first = errors[0]
    where = first["loc"][0] if first["loc"] else ""
    name = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return f"The body is not JSON, at character {name}: {first['ctx']['error']}. Correct it."
    if where == "body" and not name and "json" not in request.headers.get("content-type", ""):
        return "The body is not declared as JSON. Send Content-Type: application/json."
    said = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    more = f" ({len(errors) - 1} more like this)" if len(errors) > 1 else ""
    return f"{name or where}: {said}{more}. /openapi.json describes what is expected."
