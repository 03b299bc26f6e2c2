"""Reach the ledger's database, a SQLite file or Postgres by DATABASE_URL, and migrate its schema."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from limner.errors import BadInput, LedgerError, NotInstalled
from limner.settings import Settings, private_file, private_folder

HEAD = "0008"
"""The schema revision of this version of limner: the newest file in migrations/versions."""
log = logging.getLogger("limner.database")

START = 60  # seconds that a service waits for its database before it gives up
BUSY = 30  # seconds to wait for another writer of a SQLite file
ANSWER = 10.0  # seconds for Postgres to answer a statement; after that the connection counts as lost
SLOW = 3600.0  # the same for a change of the schema, and for waiting until another process has made it
_LOCK = 7205759403792793  # Postgres advisory lock while the schema is brought up to date; an arbitrary number

_POOL: dict[str, Any] = {"pool_size": 20, "max_overflow": 0, "pool_timeout": BUSY}
"""Connections of one process, opened on first use and kept, because opening one costs more than a query."""


def database_url(settings: Settings) -> str:
    """The database's address for SQLAlchemy. Raises BadInput, NotInstalled."""
    given = settings.database_url.get_secret_value()
    if not given:
        return f"sqlite:///{private_folder(settings.home) / 'jobs.sqlite'}"
    scheme, separator, rest = given.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg"
    try:
        url = make_url(f"{scheme}://{rest}")
    except ArgumentError:
        url = None
    if url is None or not separator or url.get_backend_name() not in ("postgresql", "sqlite"):
        raise BadInput("DATABASE_URL is not an address of Postgres. Write postgresql://USER:PASSWORD@HOST/DATABASE.")
    return url.render_as_string(hide_password=False)


class Database:
    """Connections to the ledger. Safe to use from threads, and after a fork: a child opens its own."""

    def __init__(self, url: str, *, answer: float = ANSWER) -> None:
        """answer: seconds until Postgres has answered a statement; a worker's are below its lease."""
        self.url, self.answer = url, answer
        self.sqlite = url.startswith("sqlite")
        self._engine: Engine | None = None
        self._owner = 0
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """This process's engine."""
        if self._engine is None or self._owner != os.getpid():
            with self._lock:
                if self._engine is not None and self._owner != os.getpid():
                    self._engine.dispose(close=False)  # never use the parent's connections
                    self._engine = None
                if self._engine is None:
                    self._engine, self._owner = _engine(self.url, self.answer), os.getpid()
        return self._engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction, isolated from other writers. Raises LedgerError if the database cannot be reached."""
        with driver_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; each statement sees everything committed when it starts."""
        with driver_errors(), self.engine.connect() as connection:
            yield connection.execution_options(reading=True)

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose(close=self._owner == os.getpid())
            self._engine = None


def _engine(url: str, answer: float) -> Engine:
    try:
        if not url.startswith("sqlite"):
            pool = {**_POOL, "pool_timeout": answer}
            return _bounded(create_engine(url, json_serializer=_as_json, pool_pre_ping=True, **pool), answer)
        path = make_url(url).database
        if path and path != ":memory:":
            with suppress(OSError):  # SQLite says better what is wrong with its folder
                private_file(Path(path))
        apart = {"timeout": BUSY, "check_same_thread": False}
        engine = create_engine(url, json_serializer=_as_json, connect_args=apart, **_POOL)
    except (NoSuchModuleError, ModuleNotFoundError) as e:
        raise NotInstalled("Postgres needs psycopg: pip install 'limner[postgres]'.") from e
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _bounded(engine: Engine, answer: float) -> Engine:
    """The same engine; its connections wait for no answer longer than `answer` seconds."""
    from limner.jobs.ledger.deadline import Bounded  # psycopg comes with an extra

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        return Bounded.reach(*args, answer=answer, **options)

    return engine


class Encoded(str):
    """Text that is JSON already; a JSON column stores it unchanged."""


def _as_json(value: Any) -> str:
    return value if isinstance(value, Encoded) else json.dumps(value)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # limner begins transactions itself, see below
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE waits for the other writer now; a transaction that reads first and writes later would fail instead.
    if not connection.get_execution_options().get("reading"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def wait_until_there(database: Database, seconds: float = START) -> None:
    """Wait until Postgres answers, so that a service and its database may start in any order.

    Raises LedgerError after START seconds, and at once for errors that waiting cannot solve, e.g. a wrong password.
    """
    end = time.monotonic() + seconds
    while not database.sqlite:
        try:
            with database.read():
                return
        except LedgerError as e:
            if _final(str(e)) or time.monotonic() > end:
                raise
            log.warning("%s Waiting for it.", e)
            time.sleep(min(2, seconds))


def _final(reason: str) -> bool:
    """Whether Postgres answered with a permanent refusal."""
    return "FATAL" in reason and not any(
        passing in reason for passing in ("starting up", "shutting down", "recovery mode", "too many", "reserved")
    )


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turn a database driver's error into a LedgerError that says what to do."""
    try:
        yield
    except PoolTimeout as e:
        raise LedgerError("The job database has no connection free. Start fewer workers, or allow it more.") from e
    except DatabaseError as e:
        if isinstance(e, IntegrityError | ProgrammingError | DataError):
            raise  # these concern the statement, not the database
        reason = " ".join(str(e.orig).split())[:200]
        if "disk is full" in reason or "No space left" in reason:
            raise LedgerError(f"The job database has no room left ({reason}). Free some disk.") from e
        raise LedgerError(f"The job database cannot be used now ({reason}). Check DATABASE_URL.") from e


# --- the schema ----------------------------------------------------------------------------------------------------


def schema_of(database: Database) -> str:
    """The schema's revision, "" for an empty database."""
    with database.read() as connection:
        return _revision(connection)


def migrate(database: Database, to: str = HEAD) -> None:
    """Migrate the schema, in one process at a time. Raises LedgerError for the database of a newer limner.

    to: the revision to stop at, for data of an earlier one.
    """
    if schema_of(database) == to:
        return
    engine = create_engine(database.url, poolclass=NullPool)  # Alembic manages its own transactions
    if not database.sqlite:
        _bounded(engine, SLOW)
    try:
        with driver_errors(), _alone(database, engine), engine.connect() as connection:
            found = _revision(connection)
            connection.rollback()
            if found == to:
                return
            _upgrade(connection, found, to)
    finally:
        engine.dispose()


def _upgrade(connection: Connection, found: str, to: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    try:
        if found:
            ScriptDirectory.from_config(config).get_revision(found)
        command.upgrade(config, to)
    except CommandError as e:
        raise LedgerError(
            f"The job database has schema {found!r}, which this limner ({HEAD}) does not know: it was made by a newer "
            "one. Update limner, or give another DATABASE_URL."
        ) from e
    connection.commit()


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("limner_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM limner_version")).scalar() or ""


@contextmanager
def _alone(database: Database, engine: Engine) -> Iterator[None]:
    """One process at a time changes the schema."""
    if database.sqlite:
        from filelock import FileLock

        with FileLock(f"{make_url(database.url).database}.migrating", timeout=60):
            yield
        return
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _LOCK})
            connection.rollback()
