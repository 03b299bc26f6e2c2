"""Logs that say which job they are about and keep secrets to themselves; a trace per job, over processes."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from runners_logging import runners_logging
from servers import free_port, until

from limner import observe
from limner.observe import about, set_up_logging
from limner.redact import Redactor
from limner.settings import Settings


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    with runners_logging():
        yield


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_says_what_it_is_about() -> None:
    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)  # no terminal: JSON
    log = logging.getLogger("limner.test")
    with about(job="honey-1", attempt=2, owner=None):
        with about(step="select/3", owner="ann"):
            log.info("chose %s", "a heron")
            log.warning("of another job", extra={"job": "salt-9"})
        log.info("next")
    log.info("idle")
    found = lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[0].pop("time"))
    assert found[0] == {
        "level": "INFO",
        "logger": "limner.test",
        "message": "chose a heron",
        "job": "honey-1",
        "attempt": 2,
        "step": "select/3",
        "owner": "ann",
    }
    assert found[1]["job"] == "salt-9"
    assert (found[2]["job"], found[2].get("step"), found[2].get("owner")) == ("honey-1", None, None)
    assert "job" not in found[3]


def test_threads_have_a_job_of_their_own() -> None:
    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)
    together = threading.Barrier(2)

    def work(job: str) -> None:
        with about(job=job):
            together.wait(30)
            logging.getLogger("limner.test").info("%s", job)

    threads = [threading.Thread(target=work, args=(job,)) for job in ("honey", "salt")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((line["job"], line["message"]) for line in lines(stream)) == [("honey", "honey"), ("salt", "salt")]


def test_a_line_for_people() -> None:
    stream = io.StringIO()
    set_up_logging(Settings(log="text"), stream=stream)
    with about(job="honey-1", attempt=2):
        logging.getLogger("limner.test").info("one\n2026-01-01T00:00:00.000Z INFO limner.job: forged\r\x1b[31m red")
        try:
            raise ValueError("no such image")
        except ValueError:
            logging.getLogger("limner.test").exception("it broke")
    text = stream.getvalue()
    first, second, *rest = text.splitlines()
    assert first.endswith("Z INFO limner.test: one")
    assert second.startswith("    2026-01-01")  # indented: it does not pass for a line of its own
    assert second.endswith(" [job=honey-1 attempt=2]")
    assert not re.search(r"[\r\x1b]", text)
    assert rest[0].endswith("ERROR limner.test: it broke [job=honey-1 attempt=2]")
    assert rest[-1] == "    ValueError: no such image"


@pytest.mark.parametrize(("log", "tty", "is_json"), [("", True, False), ("", False, True), ("json", True, True)])
def test_how_it_logs_follows_from_where(log: Any, tty: bool, is_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: tty)
    set_up_logging(Settings(log=log), stream=stream)
    logging.getLogger("limner.test").info("here")
    assert stream.getvalue().startswith("{") is is_json


def test_foreign_loggers_go_the_same_way_once() -> None:
    stray = io.StringIO()
    for name in ("uvicorn", "uvicorn.access", "celery", "kombu"):
        logging.getLogger(name).addHandler(logging.StreamHandler(stray))
        logging.getLogger(name).propagate = False
    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)
    set_up_logging(Settings(), stream=stream)  # twice is once
    for name in ("uvicorn.access", "celery.worker", "kombu.connection", "httpx"):
        logging.getLogger(name).warning("from %s", name)
    logging.getLogger("httpx").info("HTTP Request: POST http://gpu/v1")
    assert [line["logger"] for line in lines(stream)] == [
        "uvicorn.access",
        "celery.worker",
        "kombu.connection",
        "httpx",
    ]
    assert stray.getvalue() == ""


def test_celery_leaves_logging_alone() -> None:
    from celery import Celery

    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)
    app = Celery("test", broker="memory://", set_as_current=False)
    app.log.already_setup = False
    try:
        assert app.log.setup(loglevel="DEBUG", redirect_stdouts=True)  # somebody has set it up
        assert len(logging.getLogger().handlers) == 1
        assert sys.stdout.__class__.__name__ != "LoggingProxy"
    finally:
        app.close()
    logging.getLogger("celery.task").warning("from a task")
    assert [line["message"] for line in lines(stream)] == ["from a task"]


def test_what_nobody_caught_is_a_line(settings_with_secrets: Settings) -> None:
    stream = io.StringIO()
    set_up_logging(settings_with_secrets, stream=stream)

    def fail() -> None:
        raise RuntimeError(f"cannot connect with {CANARIES['api_key']}")

    thread = threading.Thread(target=fail, name="limner-keeper")
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError as e:
        sys.excepthook(type(e), e, e.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(f"odd {CANARIES['api_key']}", stacklevel=1)
    found = lines(stream)
    assert [f["logger"] for f in found] == ["limner.observe", "limner.observe", "py.warnings"]
    assert found[0]["message"] == "limner-keeper ended by this"
    assert all("RuntimeError: cannot connect with ***" in f["exc_info"] for f in found[:2])
    assert "CANARY" not in stream.getvalue()


# --- secrets (S15) --------------------------------------------------------------------------------------------------

CANARIES = {
    "api_key": "CANARY-model-key-1",
    "token": 'CANARY "quoted" tökén',
    "qdrant_api_key": "CANARY-qdrant-2",
    "redis_url": "redis://:CANARY-redis-3@10.0.0.9:6379/0",
    "database_url": "postgresql://limner:CANARY%2Fpg%40-4@db/limner",
}


@pytest.fixture
def settings_with_secrets() -> Settings:
    return Settings(**CANARIES)  # type: ignore[arg-type]


LEAKS: list[Any] = [
    *CANARIES.values(),
    "CANARY/pg@-4",  # the password as the database sees it
    "redis://:CANARY-redis-3@other:6379",
    "postgresql://ann:CANARYunknown@db.example.org/x?sslmode=require",
    "https://CANARYtoken@example.org/hook",
    "fetching http://ann:CANARY:with:colons@h/ and http://bob:CANARY/slash@h/",
    "limner:CANARYbare@db refused",
    "Authorization: Bearer CANARYabc.def",
    "{'Authorization': 'Basic CANARYYWxhZGRpbg=='}",
    "authorization=CANARYraw",
    "got Bearer CANARY-xyz",
    "OPENAI_API_KEY=CANARY123 and LANGSMITH_API_KEY='CANARY 456'",
    "webhook {'url': 'https://h/', 'secret': 'CANARY with blanks'}",
    '{"secret":"CANARY-json"}',
    "b'secret': b'CANARYbytes'",
    "password: CANARY-yaml",
    "POST /hook?token=CANARYquery&x=1",
    "GET /v1beta/models?key=CANARYgoogle",
    "limner token --api-key CANARYflag",
    "whsec_CANARY+/abc=",
    "sk-CANARY-12345678",
    "hf_CANARYabcdefgh",
    "limner_CANARYabcdefghijklmnopqrstuvwxyz0123456789",
    "ghp_CANARYabcdefghijklmn",
    "eyJCANARY.eyJzdWIi.c2ln",
]


@pytest.mark.parametrize("log", ["json", "text"])
def test_no_secret_reaches_a_line(log: Any, settings_with_secrets: Settings) -> None:
    stream = io.StringIO()
    set_up_logging(settings_with_secrets.model_copy(update={"log": log}), stream=stream)
    logger = logging.getLogger("limner.test")
    for leak in LEAKS:
        with about(job="honey-1", step=f"write {leak}"):
            logger.info(leak.replace("%", "%%"))
            logger.info("said %s, %r", leak, leak)
            logger.info("in %s", {"deep": [leak]})
            logger.info("with %s", ValueError(leak))
            logger.info("extra", extra={"told": {"deep": [leak, (leak,)]}, "error": ValueError(leak), leak: 1})
            try:
                try:
                    raise ValueError(leak)
                except ValueError as e:
                    raise RuntimeError("connecting") from e
            except RuntimeError:
                logger.exception("it broke")
    logger.info("named", extra={"headers": {"authorization": "CANARY", "api_key": "CANARY"}, "password": "CANARY"})
    text = stream.getvalue()
    assert text.count("honey-1") >= 6 * len(LEAKS)  # the lines are there
    assert [line for line in text.splitlines() if "CANARY" in line or "tökén" in line or "t\\u00f6k" in line] == []


def test_what_is_no_secret_stays(settings_with_secrets: Settings) -> None:
    redact = Redactor(settings_with_secrets)
    plain = [
        "job honey-bees-1a2b: 12 tokens, max_tokens=4000, step select/3 at 12:30:05",
        "http://gpu:8000/v1 answers 503; redis://cache:6379/0 is gone; see http://127.0.0.1:8642/jobs?limit=5",
        "limner.queue rang for 3 jobs in batch; LimnerError: no images in /photos/a:b",
        "ann@example.org wrote; the bearers of the secret; skipping risk-free tasks",
    ]
    assert [redact(text) for text in plain] == plain
    assert redact("postgresql://limner:hunter2@db/limner") == "postgresql://***@db/limner"
    assert redact.value({"tokens": 12, "ok": True, "none": None}) == {"tokens": 12, "ok": True, "none": None}


def test_a_short_secret_does_not_eat_the_logs() -> None:
    redact = Redactor(Settings(token="limner", api_key=""))  # type: ignore[arg-type]
    assert redact("limner.queue is up") == "limner.queue is up"
    assert redact("Authorization: Bearer limner") == "Authorization: ***"


@pytest.mark.skipif(os.name != "posix", reason="prefork")
def test_a_worker_without_its_broker_tells_no_password(home: Any) -> None:
    """All that a real worker says, its Celery and kombu included, is JSON and holds no secret."""
    env = os.environ | {
        "REDIS_URL": f"redis://:CANARY-redis@127.0.0.1:{free_port()}/0",
        "LIMNER_API_KEY": "CANARY-model-key",
        "LIMNER_TOKEN": "CANARY-api-token",
        "LIMNER_MODEL_URL": "http://ann:CANARY-url@127.0.0.1:9/v1",
        "LIMNER_LOG": "json",
    }
    command = [sys.executable, "-c", "from limner.surfaces.cli.app import main; main()", "worker", "-c", "1"]
    said: list[str] = []
    worker = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert worker.stderr
    assert worker.stdout
    reader = threading.Thread(target=lambda err=worker.stderr: said.extend(err))
    reader.start()
    try:
        until(lambda: sum("onnect" in line for line in said) >= 2 or worker.poll() is not None, "two complaints", 120)
        assert worker.poll() is None, "".join(said)
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(60)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        reader.join()
        out = worker.stdout.read()
        worker.stdout.close()
        worker.stderr.close()
    assert "CANARY" not in "".join(said) + out
    assert {json.loads(line)["level"] for line in said} <= {"INFO", "WARNING", "ERROR", "CRITICAL"}


# --- traces ---------------------------------------------------------------------------------------------------------


class Collector:
    """An OTLP/HTTP receiver: every span that came, decoded."""

    def __enter__(self) -> Collector:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.spans: list[dict[str, Any]] = []
        self.bytes = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as real collectors keep them

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.bytes += body
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    service = {a.key: a.value.string_value for a in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        from_port = {"from": self.client_address[1]}
                        collector.spans += [_decoded(span, service) | from_port for span in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [s for s in self.spans if s["name"] == name]


def _decoded(span: Any, service: dict[str, str]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return getattr(value, value.WhichOneof("value"))

    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        "error": span.status.code == 2,
        "events": len(span.events),
        "service": service.get("service.name"),
        **{a.key: plain(a.value) for a in span.attributes},
    }


def tracing(url: str) -> bool:
    return observe.set_up_tracing(Settings(otlp_endpoint=url))


ATTEMPT = """
import sys
from limner.settings import Settings
from limner import observe
trace, attempt = sys.argv[1] or None, int(sys.argv[2])
assert observe.set_up_tracing(Settings())
with observe.job_span(trace, "honey-1", attempt):
    with observe.step_span("select/3"):
        with observe.call_span("selector", "qwen") as tokens:
            tokens(100, 7, 60)
"""


@pytest.mark.parametrize("submitted", [True, False], ids=["traced at submission", "not traced at submission"])
def test_two_attempts_in_two_processes_are_one_trace(submitted: bool) -> None:
    with Collector() as collector:
        trace = None
        if submitted:
            assert tracing(collector.url + "/")
            trace = observe.new_trace()
            assert trace
            assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", trace)  # sampled; 02 says its id is random
            observe.close_tracing()
        env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        for attempt in ("1", "2"):
            subprocess.run([sys.executable, "-c", ATTEMPT, trace or "", attempt], env=env, check=True)
    attempts = collector.named("limner.job")
    assert {s["limner.attempt"] for s in attempts} == {1, 2}
    assert {s["limner.job"] for s in attempts} == {"honey-1"}
    assert len({s["trace"] for s in collector.spans}) == 1
    assert len({s["parent"] for s in attempts}) == 1
    assert {s["service"] for s in collector.spans} == {"limner"}
    if trace:
        (submission,) = collector.named("limner.submit")
        assert attempts[0]["parent"] == submission["id"]
        assert trace.startswith(f"00-{submission['trace']}-{submission['id']}-")
    for step, call in zip(collector.named("limner.step select"), collector.named("chat qwen"), strict=True):
        assert step["parent"] in {s["id"] for s in attempts}
        assert step["limner.step"] == "select/3"
        assert call["parent"] == step["id"]
        assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (100, 7)
        assert (call["limner.role"], call["gen_ai.request.model"]) == ("selector", "qwen")
    assert len(collector.spans) == 6 + submitted


def test_two_jobs_are_two_traces() -> None:
    with Collector() as collector:
        assert tracing(collector.url)
        for job in ("honey", "salt"):
            with observe.job_span("no traceparent", job, 1):
                pass
        assert observe.new_trace() != observe.new_trace()
        observe.close_tracing()
    assert len({s["trace"] for s in collector.spans}) == len(collector.spans) == 4


def test_a_caller_with_a_trace_sees_the_job_in_it() -> None:
    with Collector() as collector:
        assert tracing(collector.url)
        theirs = f"00-{'ab' * 16}-{'cd' * 8}-01"
        trace = observe.new_trace(theirs)
        strange = observe.new_trace("00-zz\r\nX: 1")
        observe.close_tracing()
    assert trace
    assert strange
    assert trace.split("-")[1] == "ab" * 16
    assert strange.split("-")[1] != "ab" * 16
    assert [s["parent"] for s in collector.spans] == ["cd" * 8, ""]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_spans_survive_a_fork() -> None:
    """As in Celery's pool: the parent has a thread that exports and a connection; children must make their own."""
    code = """
import os
from limner.settings import Settings
from limner import observe
assert observe.set_up_tracing(Settings())
with observe.job_span(None, "before", 1):
    pass
observe._provider.force_flush()  # the parent's connection is open from here on
with observe.job_span(None, "parent", 1):
    for child in range(2):
        if os.fork() == 0:
            with observe.job_span(None, f"child-{child}", 1):
                pass
            observe.close_tracing()
            os._exit(0)
    for _ in range(2):
        assert os.wait()[1] == 0
"""
    with Collector() as collector:
        env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, check=True, timeout=120)
    came = {s["limner.job"]: s["from"] for s in collector.spans}
    assert sorted(came) == ["before", "child-0", "child-1", "parent"]
    assert came["before"] not in (came["child-0"], came["child-1"])


def test_what_is_over_can_be_told_afterwards() -> None:
    with Collector() as collector:
        assert tracing(collector.url)
        with observe.job_span(None, "honey", 1):
            observe.call_done("writer", "qwen", 10, 20, 5, seconds=1.5)
            observe.step_done("write", seconds=2.5)
        observe.close_tracing()
    (job,) = collector.named("limner.job")
    (call,), (step,) = collector.named("chat qwen"), collector.named("limner.step write")
    assert call["parent"] == step["parent"] == job["id"]
    assert (round(call["seconds"], 3), round(step["seconds"], 3)) == (1.5, 2.5)
    assert call["gen_ai.usage.cache_read.input_tokens"] == 5


def test_a_failure_shows_its_kind_and_no_words() -> None:
    with Collector() as collector:
        assert tracing(collector.url)
        with pytest.raises(ValueError, match="CANARY"), observe.job_span(None, "honey", 1), observe.step_span("write"):
            raise ValueError("the model wrote CANARY")
        observe.close_tracing()
    assert [(s["error"], s["error.type"], s["events"]) for s in collector.spans] == [(True, "ValueError", 0)] * 2
    assert b"CANARY" not in collector.bytes


def test_a_collector_that_is_gone_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    assert tracing(f"http://127.0.0.1:{free_port()}")
    with observe.job_span(None, "honey", 1):
        pass
    observe.close_tracing()
    assert any(line["logger"].startswith("opentelemetry") for line in lines(stream))


def test_without_an_endpoint_nothing_is_imported() -> None:
    code = """
import sys
from limner.settings import Settings
from limner import observe
assert not observe.set_up_tracing(Settings())
assert observe.new_trace() is None
with observe.job_span(None, "honey", 1), observe.step_span("write"), observe.call_span("writer") as tokens:
    tokens(1, 2, 3)
observe.call_done("writer", "", 1, 2, 3, 0.5)
print([m for m in sys.modules if m.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_sdk_is_said_once_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    set_up_logging(Settings(), stream=stream)
    monkeypatch.setattr(observe, "_installed", lambda name: name != "opentelemetry.sdk.trace")
    assert not tracing("http://127.0.0.1:9")
    assert observe.new_trace() is None
    (line,) = lines(stream)
    assert "limner[otel]" in line["message"]
