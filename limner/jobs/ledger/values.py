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
    """The broker's queue for jobs of a queue of ours. What was begun has its own, which is served first: a job that
    broke off, was parked, or has its person's answer does not stand in line a second time."""
    return f"{queue}.begun" if begun else queue


class LeaseLost(LimnerError):
    """The job belongs to another attempt by now, or ended. Whoever gets this stops working on it."""

    code = "lease-lost"


@dataclass(frozen=True)
class Death:
    """How a process of a worker ended."""

    worker: str
    """Its name in the ledger."""
    how: Note
    """To be read after "its worker"."""
    own: bool
    """Whether something done in the process ended it."""


class Job(BaseModel):
    """What can be seen of a job. Times are seconds since 1970 by the database's clock."""

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
    """Parts of that step that are done, e.g. spots; of `of`."""
    of: int
    spent: int
    """Tokens, prompts and completions."""
    error: str
    """Why it failed, is parked or was set aside: one line that ends with what to do."""
    error_note: Coded | None = None
    """Code and parameters of `error`."""
    attempt: int
    """How many times work on it was begun."""
    crashes: int
    tries: int
    created: float
    started: float | None
    finished: float | None
    last_event: float
    not_before: float | None
    """When a parked job goes on."""
    question: Any
    """What a waiting job asks."""
    webhook_state: str | None
    webhook_error: str
    now: float
    """When this was read."""

    @property
    def why(self) -> Note:
        """`error` with its code."""
        return with_code(self.error, self.error_note)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED

    @property
    def route(self) -> str:
        """The broker's queue in which to ring for it."""
        return route(self.queue, self.attempt > 0)

    @property
    def elapsed(self) -> float:
        """Seconds since work on it began."""
        return 0.0 if self.started is None else (self.finished or self.now) - self.started

    def stuck(self, after: float) -> bool:
        """Whether it is running and nothing was heard of it for so many seconds."""
        return self.state == "running" and self.now - self.last_event > after


class Event(BaseModel):
    """Something that happened to a job. `seq` counts 1, 2, 3 … without a gap."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: float
    attempt: int
    kind: str
    """queued, started, step, text, again (the text so far is void; what follows replaces it), note, parked, waiting,
    put_back, lapsed, retried, the ends: done, failed, cancelled, set_aside; and after them edited."""
    step: str
    data: dict[str, Any]


@dataclass(frozen=True)
class News:
    """An event on its way into the ledger."""

    kind: str
    step: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None
    """If an event with this mark is there already, this one is not added."""


@dataclass(frozen=True)
class Order:
    """What is asked for: a job before it has an id."""

    title: str
    request: Mapping[str, Any]
    """JSON that `runner.start_of` understands."""
    queue: Queue = "interactive"
    webhook: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    trace: str | None = None

    @property
    def digest(self) -> str:
        """Of all that makes two submissions the same."""
        return digest([self.title, self.request, self.queue, self.webhook])


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
    """What a person answered to the question the job waited with, {"value": …}, or None."""
    budget: int | None
    """Tokens the owner may still spend today; None is no limit."""


@dataclass(frozen=True)
class Swept:
    """What a sweep did: ids."""

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
