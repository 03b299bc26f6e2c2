"""The values of the ledger: jobs, events, leases, orders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from limner.errors import BadInput, LimnerError
from limner.notes import Coded, Note, with_code

State = Literal["queued", "running", "parked", "waiting", "done", "failed", "cancelled", "set_aside"]
Queue = Literal["interactive", "batch"]
QUEUES: tuple[Queue, ...] = ("interactive", "batch")
OPEN: tuple[State, ...] = ("queued", "running", "parked", "waiting")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled", "set_aside")
DAY = 86_400


def route(queue: Queue, begun: bool) -> str:
    """The broker's queue for jobs of one of limner's queues. Jobs that already began have their own, served first, so
    that a job that was interrupted, parked or answered does not queue a second time."""
    return f"{queue}.begun" if begun else queue


class LeaseLost(LimnerError):
    """The job ended or belongs to another attempt. Stop working on it."""

    code = "lease-lost"


@dataclass(frozen=True)
class Death:
    """How a process of a worker ended."""

    worker: str
    """Its name in the ledger."""
    how: Note
    """A phrase that follows "its worker"."""
    own: bool
    """Whether the process itself caused its end."""


class Job(BaseModel):
    """A job as callers see it. Times are seconds since 1970 by the database's clock."""

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    title: str
    state: State
    queue: Queue
    batch: str | None
    step: str
    """The step it is at: write, spot, retrieve, select, arrange."""
    done: int
    """Finished parts of that step, e.g. spots, out of `of`."""
    of: int
    spent: int
    """Tokens of prompts and completions."""
    cost: float = 0.0
    """US dollars; 0 for models without a known price."""
    error: str
    """Why it failed, is parked or was set aside: one line that ends with what to do."""
    error_note: Coded | None = None
    """Code and parameters of `error`."""
    attempt: int
    """Number of attempts so far."""
    crashes: int
    tries: int
    created: float
    started: float | None
    finished: float | None
    last_event: float
    not_before: float | None
    """When a parked job resumes."""
    question: Any
    """The question of a waiting job."""
    webhook_state: str | None
    webhook_error: str
    now: float
    """When the job was read."""

    @property
    def why(self) -> Note:
        """`error` with its code."""
        return with_code(self.error, self.error_note)

    @property
    def ended(self) -> bool:
        """Whether the job ended: nothing more happens by itself."""
        return self.state in ENDED

    @property
    def route(self) -> str:
        """The broker's queue for its message."""
        return route(self.queue, self.attempt > 0)

    @property
    def elapsed(self) -> float:
        """Seconds since work on it began."""
        return 0.0 if self.started is None else (self.finished or self.now) - self.started

    def stuck(self, after: float) -> bool:
        """Whether the job runs without an event for that many seconds."""
        return self.state == "running" and self.now - self.last_event > after


class Event(BaseModel):
    """Something that happened to a job. `seq` counts 1, 2, 3 … without a gap."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: float
    attempt: int
    kind: str
    """queued, started, step, text, again (discard the text so far; this event replaces it), note, parked, waiting,
    put_back, lapsed, retried; an end: done, failed, cancelled, set_aside; after it edited."""
    step: str
    data: dict[str, Any]


@dataclass(frozen=True)
class News:
    """An event on its way into the ledger."""

    kind: str
    step: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None
    """Mark of the event; an event whose mark exists already is not added."""


@dataclass(frozen=True)
class Order:
    """A request to the ledger: a job before it has an id."""

    title: str
    request: Mapping[str, Any]
    """The request as JSON, for `request.read_request`."""
    queue: Queue = "interactive"
    webhook: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    trace: str | None = None

    @property
    def digest(self) -> str:
        """Digest of everything that makes two submissions the same."""
        return digest([self.title, self.request, self.queue, self.webhook])


@dataclass(frozen=True)
class Left:
    """Tokens and US dollars that an owner may still spend today over all jobs; None means no limit."""

    tokens: int | None = None
    dollars: float | None = None

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.tokens is not None or self.dollars is not None

    @property
    def spent(self) -> bool:
        """Whether a limit is reached."""
        return any(left is not None and left <= 0 for left in (self.tokens, self.dollars))


@dataclass(frozen=True)
class Lease:
    """The right to work on a job until it lapses. `attempt` is the fencing number."""

    job: str
    attempt: int
    worker: str
    owner: str
    queue: Queue
    request: Mapping[str, Any]
    trace: str | None
    answer: Any
    """The person's answer to the job's question, {"value": …}, or None."""
    left: Left
    """Tokens and US dollars that the owner may still spend today."""


@dataclass(frozen=True)
class Swept:
    """Ids of the jobs that a sweep changed."""

    put_back: list[str]
    set_aside: list[str]
    due: list[str]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=dict).encode()).hexdigest()


def check_queue(name: str) -> Queue:
    """A queue's name. Raises BadInput."""
    if name not in QUEUES:
        raise BadInput(f"Unknown queue {name[:40]!r}. Choose interactive or batch.")
    return name
