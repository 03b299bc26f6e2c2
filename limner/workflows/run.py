"""Run the compose graph: events, checkpoints, questions to a person."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.document import (
    Article,
    Brief,
    Candidate,
    Selection,
    Spot,
)
from limner.errors import ExportFailed, JobUnknown
from limner.settings import private_file, private_folder
from limner.workflows.context import Context
from limner.workflows.inputs import Start
from limner.workflows.state import Event

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.runtime import RunControl
    from langgraph.types import Command


CHECKPOINTS = "jobs.sqlite"  # a file in limner's home


class Asks(Exception):
    """The graph asks a person. `questions`: [{"id", "value"}], JSON."""

    def __init__(self, questions: list[dict[str, Any]]) -> None:
        super().__init__("the graph asks a person")
        self.questions = questions


def run(
    context: Context,
    start: Start | Command | None,
    *,
    checkpointer: BaseCheckpointSaver | None = None,
    job: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    control: RunControl | None = None,
    graph: Any = None,
) -> Article:
    """Run the graph from `start`, or resume `job` if start is None; returns the illustrated article.

    Raises Asks if the graph needs a person's answer; continue with start=Command(resume=answer). control: makes it stop
    at the next node, when it raises langgraph.errors.GraphDrained. graph: your own instead of the compose graph.
    """
    from limner.workflows import compose as graphs

    graph = graph or graphs.build_graph(context, checkpointer)
    writes = isinstance(start, dict) and "article" not in start
    context.check_prices(("writer", "spotter", "selector") if writes else ("spotter", "selector"))
    config: Any = {"configurable": {"thread_id": job}} if job else {}
    # Save before the next step begins, so that a paid step is not lost with the process.
    saving: Any = {"durability": "sync"} if checkpointer else {}
    article = start.get("article") if isinstance(start, dict) else None
    begin: Any = start
    for mode, event in graph.stream(begin, config, stream_mode=["custom", "updates"], control=control, **saving):
        if mode == "custom" and on_event:
            on_event(event)  # type: ignore[arg-type]
        elif mode == "updates":
            for update in event.values():  # type: ignore[union-attr]
                if isinstance(update, dict):  # a question to a person is no error
                    article = update.get("article", article)
    if checkpointer is not None:
        state = graph.get_state(config)
        if state.interrupts:
            raise Asks([{"id": i.id, "value": i.value} for i in state.interrupts])
        article = state.values.get("article", article)
    if article is None:
        raise ExportFailed("The job ended without an article. Run the command again.")
    return article


@contextmanager
def checkpoints(home: Path) -> Iterator[BaseCheckpointSaver]:
    """The file with the checkpoints of each job."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.checkpoint.sqlite import SqliteSaver

    private_file(private_folder(home) / CHECKPOINTS)
    # The graph's checkpointer knows the types of its state; `job_state` reads without a graph.
    serde = JsonPlusSerializer(allowed_msgpack_modules=[Brief, Article, Spot, Candidate, Selection])
    with SqliteSaver.from_conn_string(str(home / CHECKPOINTS)) as saver:
        saver.serde = serde
        yield saver


def new_job(title: str) -> str:
    """A job's name: readable and unique."""
    from limner.exports import slug

    return f"{slug(title)[:40].strip('-')}-{secrets.token_hex(3)}"


def job_state(saver: BaseCheckpointSaver, job: str) -> dict[str, Any]:
    """The state of a job. Raises JobUnknown, naming the latest jobs."""
    found = saver.get_tuple({"configurable": {"thread_id": job}})
    if found is None:
        known = list(dict.fromkeys(_thread(t) for t in saver.list(None, limit=100)))
        names = f" The latest are: {', '.join(known[:5])}." if known else " There are none yet."
        raise JobUnknown(f"There is no job {job!r} to resume.{names}")
    return found.checkpoint["channel_values"]


def _thread(checkpoint: CheckpointTuple) -> str:
    return checkpoint.config.get("configurable", {}).get("thread_id", "")
