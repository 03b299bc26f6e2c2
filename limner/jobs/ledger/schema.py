"""The tables of the job ledger, on SQLite and on Postgres, and the clock that all of them use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData()

Json = JSON(none_as_null=True)  # None is NULL, not the JSON text "null"


class now(FunctionElement[float]):  # an SQL function, lower case as in a query
    """Seconds since 1970 by the database's clock, because leases must not depend on workers' clocks."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgres_now(_element: Any, _compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


owners = Table(
    "owners",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("libraries", Json),  # names of libraries besides the starter; null is all
    Column("jobs_at_a_time", Integer),  # running at once; null is no limit, here and below
    Column("jobs_a_minute", Integer),  # submitted
    Column("tokens_a_day", BigInteger),
    Column("dollars_a_day", Double),
    Column("created", Double, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the token, so that the ledger cannot leak tokens
    Column("owner", String(64), ForeignKey("owners.name", ondelete="CASCADE"), nullable=False),
    Column("label", String(100), nullable=False),
    Column("created", Double, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("title", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("batch", String(80)),
    Column("request", Json, nullable=False),
    Column("trace", String(64)),  # W3C traceparent of the submission: one job is one trace
    Column("idempotency_key", String(200)),
    Column("request_digest", String(64), nullable=False),
    # who works on it
    Column("attempt", Integer, nullable=False, default=0),  # the fencing number: each lease has a higher one
    Column("worker", String(200)),
    Column("lease_until", Double),
    Column("crashes", Integer, nullable=False, default=0),  # in a row that it caused while alone in its process
    Column("losses", Integer, nullable=False, server_default="0"),  # in a row that broke off otherwise
    Column("tries", Integer, nullable=False, default=0),  # times it was parked
    Column("not_before", Double),
    Column("rung", Double),
    # shown to people
    Column("step", String(40), nullable=False, default=""),
    Column("done", Integer, nullable=False, default=0),
    Column("of", Integer, nullable=False, default=0),
    Column("spent", BigInteger, nullable=False, default=0),  # tokens
    Column("cost", Double, nullable=False, server_default="0"),  # US dollars
    Column("error", Text, nullable=False, default=""),
    Column("error_note", Json),  # its code and parameters, or null
    Column("last_seq", Integer, nullable=False, default=0),
    Column("last_event", Double, nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("finished", Double),
    # review
    Column("question", Json),
    Column("answer", Json),
    # result
    Column("article", Json),  # as its newest revision has it
    Column("version", Integer),  # number of that revision; null before the first request for one
    # receiver
    Column("webhook", Json),  # {"url", "secret"}
    Column("webhook_state", String(16)),  # due, sent, failed; null without a webhook
    Column("webhook_tries", Integer, nullable=False, default=0),
    Column("webhook_next", Double),
    Column("webhook_error", Text, nullable=False, default=""),
    UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
    Index("jobs_by_owner", "owner", "created", "id"),
    Index("jobs_by_state", "state", "queue", "created"),
    Index("jobs_by_batch", "batch"),
    Index("jobs_by_webhook", "webhook_state", "webhook_next"),
)

events = Table(
    "events",
    metadata,
    Column("job", String(80), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),  # 1, 2, 3 … without a gap
    Column("at", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("step", String(40), nullable=False, default=""),
    Column("data", Json, nullable=False),
    Column("once", String(120)),  # a step that runs again does not repeat its events
    UniqueConstraint("job", "once", name="events_once"),
)

versions = Table(
    "versions",
    metadata,
    Column("job", String(80), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # 1, 2, 3 … in the order they were made
    Column("parent", Integer),  # the version that this one was made from; null for the first
    Column("forward", Integer),  # the version made from this one that redo goes to
    Column("folded", Integer),  # the later version of the same typing that absorbed this one, or null
    Column("began", Double),  # when the typing of this version began, or null
    Column("article", LargeBinary, nullable=False),  # JSON, deflated
    Column("edits", Json, nullable=False),
    Column("who", String(100), nullable=False),
    Column("by", String(8), nullable=False),  # model, person
    Column("what", String(300), nullable=False),
    Column("what_note", Json),  # its code and parameters; null for text by a person or a model
    Column("at", Double, nullable=False),
    Column("key", String(64)),  # idempotency key of the change
    Index("versions_by_key", "job", "key"),
)

calls = Table(
    "calls",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False),  # may be deleted; its tokens of today still count
    Column("owner", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", String(40), nullable=False),
    Column("role", String(20), nullable=False),
    Column("digest", String(64), nullable=False),  # of model, messages and options
    Column("answer", Text),  # null: broke off after it was charged
    Column("prompt", Integer, nullable=False),
    Column("completion", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost", Double, nullable=False, server_default="0"),  # US dollars
    Column("at", Double, nullable=False),
    Column("once", String(40), nullable=False),  # counts once, even if written again after a broken connection
    UniqueConstraint("job", "once", name="calls_once"),
    Index("calls_by_job", "job", "step", "digest"),
    Index("calls_by_owner", "owner", "at"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("name", String(60), primary_key=True),  # a Prometheus counter's name without limner_ and _total
    Column("labels", String(200), primary_key=True),  # JSON object, keys sorted
    Column("value", Double, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("seen", Double, nullable=False),
    Column("info", Json, nullable=False),
)
