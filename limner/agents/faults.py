"""Turn the errors of OpenAI's client library into limner's, each with what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limner.errors import ModelRefused, ModelUnreachable
from limner.notes import note


@dataclass(frozen=True)
class Faults:
    """The words for the errors of one server."""

    server: str
    """The server as a sentence begins with it."""
    where: str = ""
    """Its address."""
    answer: str = "a chat completion"
    """The answer that limner expects."""
    url_option: str = "--model-url"
    """The option or variable with its address."""
    model_option: str = "--model"
    away: str = "no-answer"
    """Code of the note for a server that does not answer."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the client library's errors into limner's, with what to do next. Others pass unchanged.

        The client's errors are recognised by name, because other makers' models work without the client.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            # JSON of another shape, or HTML, makes the client fail in one of these ways.
            raise ModelRefused(
                f"{self.server} answered with something that is not {self.answer} ({_one_line(str(e))}). "
                f"Check that {self.url_option} ends in the path of the OpenAI API, usually /v1."
            ) from e
        except Exception as e:
            if (ours := self._ours(e)) is None:
                raise
            raise ours from e

    def _ours(self, e: Any) -> ModelRefused | ModelUnreachable | None:
        """limner's error for an error of the client or its transport; None for any other."""
        kinds = {kind.__name__ for kind in type(e).__mro__ if kind.__module__.partition(".")[0] == "openai"}
        if "APIStatusError" in kinds:
            answer = f"answered {e.status_code}{_reason(e)}"
            return ModelRefused(f"{self.server} {answer}. {self._advice(e)}", e.status_code, f"its server {answer}")
        if "APIConnectionError" in kinds:
            return self._unreachable(e)
        if "APIError" in kinds:  # an error event inside a stream
            said = _reason(e) or f" ({_one_line(str(e))})"
            return ModelRefused(f"{self.server} broke off{said}. Run the command again, or use another model.")
        return self._unreachable(e) if _transport_error(e) else None  # some versions of the client pass these on

    def _unreachable(self, error: BaseException) -> ModelUnreachable:
        """The error for a failed connection: refused, too slow, or broken off."""
        reason = _transport_error(error)
        if reason in ("ReadTimeout", "WriteTimeout", "PoolTimeout"):
            return ModelUnreachable(
                f"{self.server} did not answer in time. Check that it is not overloaded, or raise LIMNER_TIMEOUT."
            )
        if reason in ("ReadError", "WriteError", "CloseError", "RemoteProtocolError"):
            return ModelUnreachable(note("broke", url=self.where or "the model server", reason=reason))
        return ModelUnreachable(note(self.away, url=self.where or "the model server"))

    def _advice(self, error: Any) -> str:
        status, said = error.status_code, str(error.body).lower()
        if status in (401, 403):
            return "Set LIMNER_API_KEY to a key that the server accepts."
        if status == 404:
            return (
                f"Check {self.model_option} (the server may not have it) and that {self.url_option} ends in the API's "
                "path, usually /v1."
            )
        if status == 429:
            return "It is overloaded or your quota is used up; wait and run the command again."
        if status in (400, 413, 422) and ("context" in said or "too long" in said or "maximum" in said):
            return (
                "The text is too long for this model: shorten the brief or sources, or use a model with a longer "
                "context."
            )
        if status >= 500:
            return "The server failed; check its log, then run the command again."
        return "Check the model's name and the server's log."


def _transport_error(error: BaseException) -> str:
    """Name of the transport's error that caused the client's, "" if there is none.

    By name, because the client bundles its own transport (httpx2 today, httpx before) with classes of the same names.
    """
    cause: BaseException | None = error
    while cause is not None and not type(cause).__module__.startswith("httpx"):
        cause = cause.__cause__
    return type(cause).__name__ if cause is not None else ""


def _one_line(text: str, limit: int = 160) -> str:
    text = "".join(c for c in " ".join(text.split()) if c.isprintable())  # a server's escape codes reach no terminal
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _reason(error: Any) -> str:
    """The server's own message, shortened."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail")
    if not isinstance(body, str) or not body.strip():
        return ""
    return " (an HTML page)" if body.lstrip().startswith("<") else f" ({_one_line(body)})"
