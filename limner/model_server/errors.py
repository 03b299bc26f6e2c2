"""The model server's errors. Every message is one line and ends with the next step.

ModelServerError          anything a user can put right; the shell prints one line and exits with 2
├── ConversionError       a checkpoint that cannot be converted as it is
├── ServingError          a checkpoint or an address that cannot be served
└── Refused               a request that gets an error for an answer, with TGI's status and error type
"""

from __future__ import annotations

import re
from typing import Literal

ErrorType = Literal[
    "validation",
    "template_error",
    "tool_error",
    "generation",
    "overloaded",
    "incomplete_generation",
    "healthcheck",
    "not_found",
]

STATUS: dict[str, int] = {
    "validation": 422,
    "template_error": 422,
    "tool_error": 422,
    "generation": 424,
    "overloaded": 429,
    "incomplete_generation": 500,
    "healthcheck": 503,
    "not_found": 404,
}
"""HTTP status of each of TGI's error types."""


class ModelServerError(Exception):
    """Base of all errors that a user can put right."""

    exit_code = 2


class ConversionError(ModelServerError):
    """A checkpoint that cannot be converted as it is; the message names the file or the key."""


class ServingError(ModelServerError):
    """A checkpoint or an address that cannot be served."""


class Refused(ModelServerError):
    """A refused request. `status` is the HTTP status, by default the error type's."""

    def __init__(self, message: str, error_type: ErrorType = "validation", status: int | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.status = status or STATUS[error_type]

    @property
    def body(self) -> dict[str, str]:
        """TGI's flat form of an error."""
        problem = f"Input validation error: {self}" if self.error_type == "validation" else str(self)
        return {"error": problem, "error_type": self.error_type}


def one_line(text: str, limit: int = 300) -> str:
    """Printable text on one line, cut to `limit` characters, without addresses in memory."""
    text = re.sub(r"<[^<>]{0,200}? at 0x[0-9a-fA-F]+>", "the data", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason(error: BaseException, limit: int = 300) -> str:
    """An error's text for use in a message, or its type if it has none."""
    return one_line(str(error), limit) or type(error).__name__
