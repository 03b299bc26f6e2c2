"""The events of a job: one schema for HTTP, webhooks' readers, the studio and Python.

`kind` identifies an event. The ledger numbers events in order and without a gap.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from limner.jobs.ledger.values import Queue
from limner.workflows.review.protocol import Question
from limner.workflows.review.unchecked import Unchecked


class Data(BaseModel):
    """Base of the data of events."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Nothing(Data):
    """No data: the kind is enough."""


class Coded(Data):
    """A sentence's code and parameters, beside its text; absent if a person or a model worded it."""

    code: str = ""
    params: dict[str, Any] = {}


class QueuedData(Data):
    """The queue of the job."""

    queue: Queue


class StartedData(Data):
    """Number of the attempt."""

    attempt: int


class StepData(Data):
    """Progress of a step."""

    done: int
    """Finished parts, out of `of`."""
    of: int


class TextData(Data):
    """A piece of the text, or all of it after `again`."""

    text: str


class NoteData(Coded):
    """A fallback."""

    text: str


class WhyData(Coded):
    """The error: one line that ends with what to do."""

    why: str


class ParkedData(WhyData):
    """The reason for the wait, and its length."""

    seconds: float | None = None


class Interrupted(Data):
    """One question."""

    id: str
    value: Annotated[Question | Any, Unchecked()]
    """A question of a review point, or of your own graph."""


class WaitingData(Data):
    """The question."""

    question: Annotated[list[Interrupted] | Any, Unchecked()]


class DoneData(Data):
    """The article."""

    title: str
    images: int


class EditedData(Coded):
    """A change by a person or a model to the finished article."""

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
    """Discard the text so far; this event replaces it."""

    kind: Literal["again"]
    data: TextData


class NoteEvent(_Event):
    """A fallback was taken."""

    kind: Literal["note"]
    data: NoteData


class ParkedEvent(_Event):
    """The job lacks something and resumes by itself."""

    kind: Literal["parked"]
    data: ParkedData


class LapsedEvent(_Event):
    """Its worker is gone; another continues."""

    kind: Literal["lapsed"]
    data: WhyData


class WaitingEvent(_Event):
    """The job asks a person."""

    kind: Literal["waiting"]
    data: WaitingData


class MovedEvent(_Event):
    """The job is queued again: its wait is over, a person answered or retried it, or its worker stopped in order."""

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
                        "what": "Edited paragraph 3",
                        "code": "did-set-text-of",
                        "params": {
                            "part": {"code": "part-paragraph", "params": {"n": 3}, "text": "paragraph 3"},
                        },
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
