"""What may happen to a job, as events: the one schema of HTTP, webhooks' readers, the studio and Python.

An event is known by its `kind`. The ledger gives their numbers, in order and without a gap.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from limner.jobs.ledger.values import Queue
from limner.workflows.review.protocol import Question
from limner.workflows.review.unchecked import Unchecked


class Data(BaseModel):
    """What an event says."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Nothing(Data):
    """The kind says all."""


class Coded(Data):
    """A sentence's code and parameters, beside its text; absent where a person or a model worded it."""

    code: str = ""
    params: dict[str, Any] = {}


class QueuedData(Data):
    """Where it waits."""

    queue: Queue


class StartedData(Data):
    """Which attempt it is."""

    attempt: int


class StepData(Data):
    """How far a step is."""

    done: int
    """Parts that are done, of `of`."""
    of: int


class TextData(Data):
    """A piece of the text, or all of it after `again`."""

    text: str


class NoteData(Coded):
    """What was done instead of what should have been."""

    text: str


class WhyData(Coded):
    """What went wrong: one line that ends with what to do."""

    why: str


class ParkedData(WhyData):
    """Why it waits, and for how long."""

    seconds: float | None = None


class Interrupted(Data):
    """One question."""

    id: str
    value: Annotated[Question | Any, Unchecked()]
    """A question of a review point, or what a graph of your own asks."""


class WaitingData(Data):
    """What it asks."""

    question: Annotated[list[Interrupted] | Any, Unchecked()]


class DoneData(Data):
    """The article."""

    title: str
    images: int


class EditedData(Coded):
    """What a person or a model did to the finished article."""

    version: int
    title: str
    who: str
    by: Literal["model", "person"]
    what: str


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    seq: int
    """1, 2, 3 … without a gap; also the id of the server-sent event."""
    at: float
    """Seconds since 1970."""
    attempt: int
    step: str


class QueuedEvent(_Event):
    """It was submitted."""

    kind: Literal["queued"]
    data: QueuedData


class StartedEvent(_Event):
    """A worker began an attempt."""

    kind: Literal["started"]
    data: StartedData


class StepEvent(_Event):
    """A step advanced."""

    kind: Literal["step"]
    data: StepData


class TextEvent(_Event):
    """A piece of text was written."""

    kind: Literal["text"]
    data: TextData


class AgainEvent(_Event):
    """The text so far is void; this replaces it."""

    kind: Literal["again"]
    data: TextData


class NoteEvent(_Event):
    """A fallback was taken."""

    kind: Literal["note"]
    data: NoteData


class ParkedEvent(_Event):
    """Something that it needs is missing; it goes on by itself."""

    kind: Literal["parked"]
    data: ParkedData


class LapsedEvent(_Event):
    """Its worker is gone; another goes on."""

    kind: Literal["lapsed"]
    data: WhyData


class WaitingEvent(_Event):
    """It asks a person."""

    kind: Literal["waiting"]
    data: WaitingData


class MovedEvent(_Event):
    """It goes on: its time to wait is over, a person answered or retried it, or its worker stopped in order."""

    kind: Literal["due", "answered", "put_back", "retried"]
    data: Nothing


class DoneEvent(_Event):
    """The article is finished."""

    kind: Literal["done"]
    data: DoneData


class FailedEvent(_Event):
    """It cannot succeed as it is, or its attempts took their workers down."""

    kind: Literal["failed", "set_aside"]
    data: WhyData


class CancelledEvent(_Event):
    """A person ended it."""

    kind: Literal["cancelled"]
    data: Nothing


class EditedEvent(_Event):
    """The finished article was changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "seq": 31,
                    "at": 1790000100.0,
                    "attempt": 1,
                    "kind": "edited",
                    "step": "",
                    "data": {
                        "version": 2,
                        "title": "Honey",
                        "who": "ann",
                        "by": "person",
                        "what": "Edited a block",
                        "code": "did-set-text",
                        "params": {},
                    },
                }
            ]
        }
    )

    kind: Literal["edited"]
    data: EditedData


JobEvent = Annotated[
    QueuedEvent
    | StartedEvent
    | StepEvent
    | TextEvent
    | AgainEvent
    | NoteEvent
    | ParkedEvent
    | LapsedEvent
    | WaitingEvent
    | MovedEvent
    | DoneEvent
    | FailedEvent
    | CancelledEvent
    | EditedEvent,
    Field(discriminator="kind"),
]
JOB_EVENT: TypeAdapter[Any] = TypeAdapter(JobEvent)
