"""Errors in the form of the OpenAI API."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from limner.surfaces.http.problems import TYPE


def as_openai(answer: Response) -> Response:
    """A problem with the additional member that clients of the OpenAI API expect."""
    made = json.loads(bytes(answer.body))
    body = {**made, "error": openai_error(made["detail"], made["type"].rpartition(":")[2].replace("-", "_"))}
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("content-length", "content-type")}
    return JSONResponse(body, answer.status_code, headers, media_type=TYPE)


def openai_error(line: str, kind: str) -> dict[str, Any]:
    """An error in the form of the OpenAI API."""
    return {"message": line, "type": kind, "param": None, "code": kind}
