"""Processes that do one worker's share of a job and can be killed, forked from one that has imported everything.

`Nursery` is the side of the tests; run as a program, this file is the process that forks. A child is a process like a
worker's: its own connections, its own threads, its own name in the ledger.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Self

WORKED, NOT_THERE, RAISED = 0, 3, 4  # exit codes of a child
WAIT = 60  # seconds; a child takes about one


class Child:
    """A forked process that works on a job."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.nursery, self.pid = nursery, pid

    def poll(self) -> int | None:
        """Its exit code, minus the signal that killed it, None while it lives."""
        return self.nursery.ask("poll", pid=self.pid)

    def wait(self) -> int:
        """Until it ends."""
        end = time.monotonic() + WAIT
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"process {self.pid} did not end; {self.nursery.log.read_text()[-2000:]}"
            time.sleep(0.01)
        return code


class Nursery:
    """Forks children on request."""

    def __init__(self, log: Path) -> None:
        self.log = log
        # numpy's threads would be started on import, and must not be forked.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env={name: value for name, value in env.items() if not name.startswith("LIMNER_")},
            )

    def start(self, job: str, settings: dict[str, Any], *, crash: str = "", graph: str = "", passed: str = "") -> Child:
        """A child that works on `job`. settings: of Settings, JSON. crash: where it kills itself.

        passed: a file that gets, as JSON, how often each point was passed.
        """
        made = self.ask("start", job=job, settings=settings, crash=crash, graph=graph, passed=passed)
        return Child(self, made)

    def work(self, job: str, settings: dict[str, Any], **more: str) -> int:
        """The same, waited for; returns its exit code."""
        return self.start(job, settings, **more).wait()

    def ask(self, do: str, **what: Any) -> Any:
        """A line out, a line back."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the nursery ended: {self.log.read_text()[-2000:]}"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()  # it ends by itself, unless a stray process still holds the pipe
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()


# --- the process that forks ----------------------------------------------------------------------------------------


def main() -> None:
    """Import, then fork for every line on stdin."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    loaded = _import()
    answers, sys.stdout = os.dup(1), sys.stderr
    os.dup2(2, 1)
    codes: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        said = _fork(asked, loaded) if asked.pop("do") == "start" else _code(asked["pid"], codes)
        os.write(answers, json.dumps(said).encode() + b"\n")


def _import() -> Any:
    """What a worker loads before it forks; returns the encoders."""
    import langchain_openai.chat_models.base
    import langgraph.checkpoint.postgres
    import openai
    import psycopg

    from limner.jobs.worker import runner
    from limner.tools import arrange, encoders, illustrate, library, retrieve
    from limner.workflows import compose

    modules = (langchain_openai, langgraph, openai, psycopg)
    assert all((*modules, arrange, illustrate, library, retrieve, compose, runner))
    for late in ("httpcore2", "openai.resources.chat", "highspy", "jiter", "langchain_core.tracers.stdout"):
        with contextlib.suppress(ImportError):  # imported at their first use, and not by every version
            importlib.import_module(late)
    made = encoders.default_encoders(threads=1)
    assert isinstance(made.caption, encoders.MiniLM)
    made.caption.load()
    gc.collect()
    gc.freeze()
    return made


def _fork(asked: dict[str, Any], encoders: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = RAISED
    try:
        code = _work(encoders=encoders, **asked)
    except BaseException:  # noqa: BLE001  # it goes to the log, and the exit code tells
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _code(pid: int, codes: dict[int, int]) -> int | None:
    if pid not in codes:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            return None
        codes[pid] = os.waitstatus_to_exitcode(status)
    return codes[pid]


def _work(encoders: Any, job: str, settings: dict[str, Any], crash: str, graph: str, passed: str) -> int:
    from limner.jobs import crash as points
    from limner.jobs.ledger import Ledger
    from limner.jobs.ledger.database import Database, database_url
    from limner.jobs.worker import process
    from limner.jobs.worker.runner import Runner
    from limner.settings import Settings

    made = Settings(**settings)
    points.arm(crash or "nowhere")
    with contextlib.closing(Database(database_url(made))) as database:
        ledger = Ledger(database, lease=made.lease, crashes=made.crashes)
        own = {"asking": asking_graph, "filing": filing_graph}.get(graph)
        runner = Runner(made, ledger, process.name(), graph=own, encoders=encoders)
        worked = runner.work(job)
    if passed:
        Path(passed).write_text(json.dumps(points._passed))
    return WORKED if worked else NOT_THERE


def asking_graph(context: Any, saver: Any) -> Any:
    """A graph that writes, asks a person, and puts the answer into the article's notes."""
    from langgraph.config import get_stream_writer
    from langgraph.types import interrupt

    def write(state: Any) -> dict[str, Any]:
        context.enter("write")
        send = get_stream_writer()
        return {"article": context.write(state["brief"], lambda t: send({"kind": "text", "step": "write", "text": t}))}

    def review(state: Any) -> dict[str, Any]:
        said = interrupt({"ask": "Is it good?"})
        return {"article": state["article"].noted(f"The reader said: {said}")}

    return chained(saver, write=write, review=review)


def filing_graph(context: Any, saver: Any) -> Any:
    """A graph that writes, and files the text where `home/file` says."""

    def write(state: Any) -> dict[str, Any]:
        context.enter("write")
        return {"article": context.write(state["brief"], lambda _text: None)}

    def file(state: Any) -> dict[str, Any]:
        context.enter("file")
        Path((context.settings.home / "file").read_text()).write_text(state["article"].source)
        return {"article": state["article"].noted("Filed.")}

    return chained(saver, write=write, file=file)


def chained(saver: Any, **nodes: Any) -> Any:
    """A graph of these nodes, one after the other."""
    from langgraph.graph import StateGraph

    from limner.workflows.state import ComposeState

    built = StateGraph(ComposeState)
    built.add_sequence(list(nodes.items()))
    built.set_entry_point(next(iter(nodes)))
    built.set_finish_point(next(reversed(nodes)))
    return built.compile(checkpointer=saver)


if __name__ == "__main__":
    main()
