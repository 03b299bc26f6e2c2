"""Observe limner: log lines that name their job and hold no secret, and one trace per job.

Logs go to one stream, including those of Celery, kombu and uvicorn. Traces go over OTLP/HTTP to
OTEL_EXPORTER_OTLP_ENDPOINT, if `limner[otel]` is installed; otherwise limner imports nothing of OpenTelemetry and every
span does nothing. Prompts and articles are never part of a span.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from pythonjsonlogger.json import JsonFormatter

from limner.redact import Redactor
from limner.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = logging.getLogger("limner.observe")

# --- logs -----------------------------------------------------------------------------------------------------------

_ABOUT: ContextVar[Mapping[str, Any]] = ContextVar("limner_about", default=MappingProxyType({}))
_FIELDS = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message"}
_FOREIGN = ("celery", "celery.task", "celery.redirected", "kombu", "uvicorn", "uvicorn.error", "uvicorn.access")
_CHATTY = (
    "celery",
    "kombu",
    "amqp",
    "httpx",
    "httpcore",
    "openai",
    "urllib3",
    "alembic",
    "httpx2",
    "uvicorn",
)  # warnings only


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add job, attempt, owner and step to every log line within. None values are left out."""
    there = {**_ABOUT.get(), **{k: v for k, v in fields.items() if v is not None}}
    token = _ABOUT.set(there)
    try:
        yield
    finally:
        _ABOUT.reset(token)


def set_up_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all logs of this process and its forks to a stream (None: stderr) in the format of `settings.log`.

    This includes uncaught exceptions and Python's warnings. For services only, because it takes over the root logger.
    """
    out = stream or sys.stderr
    text = settings.log == "text" or (not settings.log and out.isatty())
    redact = Redactor(settings)
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Text(redact) if text else _Json(redact))
    handler.addFilter(_say_what_about)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    _keep_celery_from_logging()


def _say_what_about(record: logging.LogRecord) -> bool:
    for key, value in _ABOUT.get().items():
        record.__dict__.setdefault(key, value)
    return True


class _Json(JsonFormatter):
    """Formats records as one JSON object per line."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__(list(_FIELDS), rename_fields=_FIELDS)
        self._redact = redact

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _moment(record)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return self._redact.value(log_data)


class _Text(logging.Formatter):
    """Formats records as lines for people. Further lines of a message are indented, so that none can pass for a
    record."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        # part by part, so that the removal of a secret in one cannot swallow the next
        fields = " ".join(f"{k}={self._redact(str(record.__dict__[k]))}" for k in _ABOUT.get() if k in record.__dict__)
        text = f"{_moment(record)} {record.levelname} {record.name}: {self._redact(record.getMessage())}"
        text += f" [{fields}]" if fields else ""
        if record.exc_info:
            text += f"\n{self._redact(self.formatException(record.exc_info))}"
        if record.stack_info:
            text += f"\n{self._redact(self.formatStack(record.stack_info))}"
        printable = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", " ", text)  # a terminal obeys some of these
        return printable.replace("\n", "\n    ")


def _moment(record: logging.LogRecord) -> str:
    """UTC, ISO 8601, in ms."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and args.exc_value is not None:
        name = args.thread.name if args.thread else "a thread"
        log.critical("%s ended by this", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _keep_celery_from_logging() -> None:
    if importlib.util.find_spec("celery") is None:
        return
    from celery.signals import setup_logging

    setup_logging.connect(_stay, weak=False)  # a receiver of this signal tells Celery that logging is set up


def _stay(**_: Any) -> None:
    """Tell Celery that logging is set up."""


# --- traces ---------------------------------------------------------------------------------------------------------

_endpoint = ""
_provider: TracerProvider | None = None  # per process, because its exporting thread does not survive a fork
_lock = threading.Lock()


def set_up_tracing(settings: Settings) -> bool:
    """Start to export spans, also from forks. Returns whether it does; without this call, or the SDK, spans do
    nothing."""
    global _endpoint
    close_tracing()
    _endpoint = settings.otlp_endpoint.rstrip("/")
    needed = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
    if _endpoint and not all(map(_installed, needed)):
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but there are no traces without: pip install 'limner[otel]'")
        _endpoint = ""
    return bool(_endpoint)


def close_tracing() -> None:
    """Send pending spans and stop, at the end of a process. A later span starts the export again."""
    global _provider
    with _lock:
        closing, _provider = _provider, None
    if closing is not None:
        closing.shutdown()


def new_trace(parent: str | None = None) -> str | None:
    """A new job's W3C traceparent, to be stored with it, or None without tracing.

    parent: the caller's traceparent, e.g. from a header; an invalid one is ignored.
    """
    from_caller = _otel().read_trace(parent) if _endpoint and parent else None
    with _span("limner.submit", {}, from_caller) as span:
        if span is None:
            return None
        context = span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def job_span(trace: str | None, job: str, attempt: int) -> Iterator[None]:
    """A span around one attempt at a job. trace: its traceparent; without one the trace id derives from the job's id,
    so that all attempts, in any process, share a trace."""
    parent = (_otel().read_trace(trace) or _otel().trace_of(job)) if _endpoint else None
    with _span("limner.job", {"limner.job": job, "limner.attempt": attempt}, parent):
        yield


@contextmanager
def step_span(name: str) -> Iterator[None]:
    """A span around a step of a job: "write", "select/3"."""
    with _span(f"limner.step {name.partition('/')[0]}", {"limner.step": name}):
        yield


@contextmanager
def call_span(role: str, model: str = "") -> Iterator[Callable[[int, int, int], None]]:
    """A span around a model call. Yields a function that takes its tokens: (prompt, completion, cached)."""
    with _span(f"chat {model}".strip(), _call(role, model)) as span:

        def tokens(prompt: int, completion: int, cached: int = 0) -> None:
            if span is not None:
                span.set_attributes(_tokens(prompt, completion, cached))

        yield tokens


def step_done(name: str, seconds: float) -> None:
    """Record the span of `step_span` after the step has ended."""
    _add(f"limner.step {name.partition('/')[0]}", {"limner.step": name}, seconds)


def call_done(role: str, model: str, prompt: int, completion: int, cached: int, seconds: float) -> None:
    """Record the span of `call_span` after the call has ended."""
    _add(f"chat {model}".strip(), _call(role, model) | _tokens(prompt, completion, cached), seconds)


def _call(role: str, model: str) -> dict[str, Any]:
    # names of OpenTelemetry's conventions for generative AI, where it has one
    named = {"gen_ai.request.model": model} if model else {}
    return {"gen_ai.operation.name": "chat", "limner.role": role, **named}


def _tokens(prompt: int, completion: int, cached: int) -> dict[str, Any]:
    known = {"gen_ai.usage.input_tokens": prompt, "gen_ai.usage.output_tokens": completion}
    return known | {"gen_ai.usage.cache_read.input_tokens": cached}


def _add(name: str, attributes: Mapping[str, Any], seconds: float) -> None:
    if _endpoint:
        end = time.time_ns()
        span = _tracer().start_span(name, attributes=attributes, start_time=end - int(seconds * 1e9))
        span.end(end)


@contextmanager
def _span(name: str, attributes: Mapping[str, Any], parent: Context | None = None) -> Iterator[Span | None]:
    """A span around the body; None, without any import, if tracing is off."""
    if not _endpoint:
        yield None
        return
    with _otel().span(_tracer(), name, attributes, parent) as span:
        yield span


def _tracer() -> Any:
    global _provider
    with _lock:
        if _provider is None:
            _provider = cast("TracerProvider", _otel().new_provider(_endpoint))
            atexit.register(close_tracing)
            _close_with_celery()
        return _provider.get_tracer("limner")


def _otel() -> ModuleType:
    """The module that needs OpenTelemetry, an extra."""
    from limner import otel

    return otel


def _close_with_celery() -> None:
    """Flush spans in Celery's processes, which end without `atexit`."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_on_shutdown, weak=False)


def _on_shutdown(**_: Any) -> None:
    close_tracing()


def _after_fork() -> None:
    global _provider, _lock
    _provider, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
