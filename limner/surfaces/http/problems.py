"""Errors as answers: RFC 9457, `application/problem+json`, one line that says what to do next."""

from __future__ import annotations

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
)
from limner.notes import coded

TYPE = "application/problem+json"
AGAIN = 5  # seconds after which to ask again where something is out of order for the moment


class Missing(LimnerError):
    """There is nothing at this address, or it is another owner's: nobody can tell which."""

    code = "missing"


class Forbidden(LimnerError):
    """The asker may read it and may not change it."""

    code = "forbidden"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

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
    """What is wrong, for programs; finer than `type`. A client with sentences of its own finds them by this."""
    params: dict[str, Any]
    """What `detail` is about, by name: text, numbers, and sentences {"code", "params", "text"}."""


_STATUSES: tuple[tuple[type[LimnerError], int], ...] = (  # the first that fits
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
    (ModelError, 503),
    (UnreadableReply, 503),  # another answer of the model may be readable
    (LimnerError, 422),
)
_SAID: dict[int, str] = {
    400: "The body cannot be read.",
    401: "A token is needed, or this one is unknown.",
    403: "The Host or Origin header is not one that this installation answers to; or it is not yours to change.",
    404: "There is nothing of that name, or it is another owner's.",
    405: "This address does not take that method.",
    409: "The state it is in does not allow this.",
    413: "The body is too large.",
    415: "Compressed bodies are not taken.",
    422: "The request cannot be used as it is.",
    429: "A limit of the owner is reached; Retry-After says when to try again.",
    500: "A fault of limner's; its log has the details.",
    503: "The database, the model, or a part that this needs, cannot be used now.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: these problems, and those that every route can answer with."""
    content = {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = {400, 401, 403, 413, 415, 422, 500, 503, *statuses}
    return {status: {"description": _SAID[status], "content": content} for status in sorted(every)}


def problem(
    status: int,
    kind: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """An answer. kind: last part of its `type`, e.g. "job-conflict". detail becomes one line; where it is a `Note`, its
    code and parameters go with it. more: further members, for programs.
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


def of_error(error: LimnerError) -> Response:
    """The answer to an error of limner's."""
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
    return problem(status, type(error).code, error.note, headers, more)


def install(app: FastAPI) -> None:
    """The one place where exceptions of endpoints become answers. What nobody foresaw is the guard's."""

    @app.exception_handler(LimnerError)
    def _limner(_request: Request, error: LimnerError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "invalid", _invalid_line(request, error.errors()))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        words = {
            400: "The body cannot be read as JSON in UTF-8. Check it, and send Content-Type: application/json.",
            404: f"There is nothing at {request.url.path[:200]!r}. /openapi.json lists what there is.",
            405: f"{request.url.path[:200]!r} does not take {request.method[:20]}. /openapi.json lists what it takes.",
        }
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem(error.status_code, kind, words.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(DataError)
    def _unstorable(_request: Request, _error: DataError) -> Response:
        line = "The database takes no text with NUL characters and no number like NaN. Take them out."
        return problem(422, "bad-input", line)

    @app.exception_handler(RecursionError)
    def _too_deep(_request: Request, _error: RecursionError) -> Response:
        return problem(422, "bad-input", "The JSON is nested too deeply. Send something flatter.")


def _invalid_line(request: Request, errors: Sequence[Any]) -> str:
    """The first thing that is wrong, with the name of its field; what was sent is not repeated."""
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
