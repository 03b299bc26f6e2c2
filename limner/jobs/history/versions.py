"""The history of a job's article: every version, as a tree, and the current one.

    1 ── 2 ── 3          a change makes a version from the current one, the head
         └─── 4 ── 5     undo goes to the version it was made from, redo back; no version is ever removed

    1 ── 2 ── 5          while a person keeps typing in one block, each save absorbs the version before it:
         (3, 4)          3 and 4 stay for those who saw them, but are no longer steps

`jobs.article`, which exports read, is always the head's article: both change in one transaction, together with the
event for watchers. The first version is the model's; it is stored on first request.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from limner.document import Article
from limner.errors import BadInput, JobConflict, LimitReached
from limner.jobs.ledger import Ledger, News
from limner.jobs.ledger.database import Encoded
from limner.jobs.ledger.schema import jobs, now, versions
from limner.notes import Note, coded, note, with_code

By = Literal["model", "person"]
KEPT = 16  # cached articles; one of 60 blocks and 20 images takes about a third of a megabyte
MAX_VERSIONS = 10_000  # versions per article, without absorbed ones
TYPING = 300  # seconds for which saves of one block form one step, so that undo has places to stop
FOLDED = 86_400  # seconds for which an absorbed version is kept for people who still see it


class Version(BaseModel):
    """A version, without its article. Times are seconds since 1970 by the database's clock."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    number: int
    """1, 2, 3 … in the order of creation."""
    parent: int | None
    """The version that it was made from; null for the first."""
    who: str
    """The name of the person, or limner."""
    by: By
    """Whether a person or a model made the change."""
    what: str
    """The change, in one line."""
    code: str = ""
    """Code of `what`, for programs; "" if a person or a model worded it."""
    params: dict[str, Any] = {}
    """Parameters of `what`, by name."""
    at: float

    @property
    def done(self) -> Note:
        """`what` with its code."""
        return with_code(self.what, {"code": self.code, "params": self.params})


class Head(BaseModel):
    """The current version of an article."""

    model_config = ConfigDict(frozen=True)

    version: Version
    article: Article
    redo: int | None
    """The version that redo goes to, None if there is none."""


class Moved(Exception):
    """The head is no longer the version that a change was made for."""


_ABOUT = [versions.c[name] for name in ("number", "parent", "who", "by", "what", "what_note", "at")]


class Versions:
    """All reads and writes of versions. Safe to use from threads and after a fork."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.database = ledger, ledger.database
        self._known: dict[tuple[str, int], Article] = {}
        self._lock = threading.Lock()

    # -- looking

    def head(self, job: str, owner: str | None = None) -> Head:
        """The current version of a job's article. Raises JobUnknown, and JobConflict before there is an article."""
        found = self._head(job, owner)
        if found is None:
            self._begin(job, owner)
            found = self._head(job, owner)
        if found is None:  # raises JobUnknown if it was deleted just now
            self.ledger.job(job, owner)
            raise JobConflict(note("changed-just-now", job=job))
        return found

    def _head(self, job: str, owner: str | None) -> Head | None:
        # One statement, so that times and numbers are consistent.
        here = select(*_ABOUT, versions.c.forward).join(jobs, jobs.c.id == versions.c.job)
        here = here.where(jobs.c.id == job, versions.c.number == jobs.c.version)
        if owner is not None:
            here = here.where(jobs.c.owner == owner)
        with self.database.read() as c:
            row = c.execute(here).first()
            article = self._article(c, job, row.number) if row else None
        if row is None or article is None:
            return None
        return Head(version=_version(row), article=article, redo=row.forward)

    def _article(self, c: Connection, job: str, number: int) -> Article | None:
        """A version's article; None if the job was deleted. Versions never change, so the latest are cached."""
        known = self._known.get((job, number))
        if known is None:
            here = select(versions.c.article).where(versions.c.job == job, versions.c.number == number)
            packed = c.execute(here).scalar()
            if packed is None:
                return None
            known = self._remember(job, number, _unpacked(packed))
        return known

    def _remember(self, job: str, number: int, article: Article) -> Article:
        with self._lock:
            self._known[job, number] = article
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
        return article

    def list(self, job: str, owner: str | None = None) -> tuple[int, list[Version]]:
        """(number of the head, all versions, oldest first). Raises JobUnknown, JobConflict."""
        at = self.head(job, owner).version.number
        with self.database.read() as c:
            shown = (versions.c.job == job, versions.c.folded.is_(None))
            rows = c.execute(select(*_ABOUT).where(*shown).order_by(versions.c.number))
            return at, [_version(row) for row in rows]

    def one(self, job: str, number: int, owner: str | None = None) -> tuple[Version, Article]:
        """A version with its article. Raises JobUnknown, JobConflict, and BadInput for an unknown number."""
        self.head(job, owner)
        query = select(*_ABOUT).where(versions.c.job == job, versions.c.number == number)
        with self.database.read() as c:
            row = c.execute(query).first()
            article = self._article(c, job, number) if row else None
        if row is None or article is None:
            raise no_version(job, number)
        return _version(row), article

    def holding(self, job: str, image_id: str) -> int | None:
        """The number of the newest version that shows an image, None if none does."""
        query = select(versions.c.number, versions.c.article).where(versions.c.job == job)
        with self.database.read() as c:
            for row in c.execute(query.order_by(versions.c.number.desc())):
                if any(i.image_id == image_id for i in _unpacked(row.article).illustrations):
                    return row.number
        return None

    def made(self, job: str, key: str) -> bool:
        """Whether a change with this idempotency key was made; absorbed versions count for a day."""
        query = select(versions.c.number).where(versions.c.job == job, versions.c.key == key)
        with self.database.read() as c:
            return c.execute(query.limit(1)).first() is not None

    def line(self, job: str, number: int) -> list[Version]:
        """The versions from the first to this one, each made from the one before it."""
        query = select(*_ABOUT).where(versions.c.job == job, versions.c.number <= number)
        with self.database.read() as c:
            known = {row.number: _version(row) for row in c.execute(query)}
        found: list[Version] = []
        at: int | None = number
        while at is not None and at in known:
            found.append(known[at])
            at = known[at].parent
        return found[::-1]

    # -- changing

    def add(
        self,
        job: str,
        expected: int,
        article: Article,
        edits: Sequence[Any],
        who: str,
        by: By,
        what: str,
        *,
        typing: bool = False,
        key: str | None = None,
    ) -> Head:
        """Add a version to the head, and make it the head. Raises Moved if the head is not `expected`.

        edits: JSON of its commands. typing: somebody is still typing; if the head comes from the same person's typing
        in the same block, without anything between them, both are one step. key: see `made`.
        """
        encoded = _encoded(article)  # before the lock, which blocks all writers on SQLite
        with self.database.write() as c:
            self._expect(c, job, expected)
            number, count = self._next(c, job)
            if count >= MAX_VERSIONS:
                raise LimitReached(note("versions-full", job=job, most=MAX_VERSIONS))
            before = self._typed_before(c, job, expected, edits, who) if typing else None
            if before is not None:
                parent, edits = before.parent, _joined(before.edits, edits)
                made = self._insert(c, job, number, parent, encoded, edits, who, by, what, began=before.began, key=key)
                self._fold(c, job, expected, number)
            else:
                parent = expected
                began = now() if typing else None
                made = self._insert(c, job, number, parent, encoded, edits, who, by, what, began=began, key=key)
            here = (versions.c.job == job, versions.c.number == parent)
            c.execute(update(versions).where(*here).values(forward=number))
            event = {"title": article.title, "who": who, "by": by, "what": str(what), **coded(what)}
            self._point(c, job, number, encoded, event)
        return Head(version=made, article=self._remember(job, number, article), redo=None)

    def go(self, job: str, expected: int, to: int, who: str, what: str) -> None:
        """Make another version the head. Redo then leads back to the former one. Raises Moved, BadInput."""
        with self.database.write() as c:
            self._expect(c, job, expected)
            rows = {
                row.number: row
                for row in c.execute(select(versions.c.number, versions.c.parent).where(versions.c.job == job))
            }
            if to not in rows:
                raise no_version(job, to)
            for end in (expected, to):  # redo follows the last path
                at = end
                while (parent := rows[at].parent) is not None and parent in rows:
                    here = (versions.c.job == job, versions.c.number == parent)
                    c.execute(update(versions).where(*here).values(forward=at))
                    at = parent
            here = (versions.c.job == job, versions.c.number == to)
            # Going to a version ends its typing: further typing begins another step, and an absorbed version counts
            # again.
            c.execute(update(versions).where(*here).values(folded=None, began=None))
            article = _unpacked(c.execute(select(versions.c.article).where(*here)).scalar_one())
            event = {"title": article.title, "who": who, "by": "person", "what": str(what), **coded(what)}
            self._point(c, job, to, _encoded(article), event)

    def _begin(self, job: str, owner: str | None) -> None:
        """Store the model's article as the first version."""
        with self.database.write() as c:
            row = self.ledger.lock(c, job, owner)
            if row.version is not None:
                return
            if not row.article or row.state != "done":
                why = "revise-waiting" if row.state == "waiting" else "revise-unfinished"
                raise JobConflict(note(why, job=job, state=row.state.replace("_", " ")))
            article = Article.model_validate(row.article)
            what = note("illustrated" if article.made_with.get("draft") else "composed")
            self._insert(c, job, 1, None, _encoded(article), [], "limner", "model", what, at=row.finished)
            c.execute(update(jobs).where(jobs.c.id == job).values(version=1))

    def _expect(self, c: Connection, job: str, expected: int) -> None:
        here = select(jobs.c.version).where(jobs.c.id == job)
        if c.execute(here.with_for_update()).scalar() != expected:  # on SQLite, BEGIN IMMEDIATE has locked everything
            raise Moved

    def _next(self, c: Connection, job: str) -> tuple[int, int]:
        """The number of the next version, and the count of versions without absorbed ones."""
        counted = func.count().filter(versions.c.folded.is_(None))
        last, count = c.execute(select(func.max(versions.c.number), counted).where(versions.c.job == job)).one()
        return last + 1, count

    def _typed_before(self, c: Connection, job: str, number: int, edits: Sequence[Any], who: str) -> Any:
        """The head, if it belongs to the same typing: same block and person, recent, and without versions made from
        it."""
        columns = (versions.c.parent, versions.c.edits, versions.c.began)
        here = select(*columns).where(versions.c.job == job, versions.c.number == number)
        same = (versions.c.who == who[:100], versions.c.by == "person", versions.c.forward.is_(None))
        found = c.execute(here.where(*same, versions.c.began > now() - TYPING)).first()
        return found if found is not None and _place(found.edits) == _place(edits) is not None else None

    def _fold(self, c: Connection, job: str, number: int, into: int) -> None:
        here = versions.c.job == job
        c.execute(update(versions).where(here, versions.c.number == number).values(folded=into))
        old = (here, versions.c.folded.is_not(None), versions.c.at < now() - FOLDED)
        c.execute(delete(versions).where(*old))

    def _insert(
        self,
        c: Connection,
        job: str,
        number: int,
        parent: int | None,
        article: Encoded,
        edits: Sequence[Any],
        who: str,
        by: By,
        what: str,
        at: float | None = None,
        began: Any = None,
        key: str | None = None,
    ) -> Version:
        row = {"job": job, "number": number, "parent": parent, "edits": list(edits), "by": by, "began": began}
        row |= {"key": key}
        fields = {"who": who[:100], "what": what[:300], "article": _packed(article)}
        fields["what_note"] = coded(what) if isinstance(what, Note) and what.code else None
        added = insert(versions).values(**row, **fields, at=now() if at is None else at)
        return _version(c.execute(added.returning(*_ABOUT)).one())

    def _point(self, c: Connection, job: str, number: int, article: Encoded, fields: dict[str, Any]) -> None:
        c.execute(update(jobs).where(jobs.c.id == job).values(version=number, article=article))
        self.ledger.tell(c, job, News("edited", data={"version": number, **fields}))


def _place(edits: Sequence[Any]) -> str | None:
    """The block being typed in, if the edits do nothing else."""
    places = {e["block"] if e["do"] == "set_text" else None for e in edits}
    return places.pop() if len(places) == 1 else None


def _joined(before: Sequence[Any], edits: Sequence[Any]) -> list[Any]:
    """The edits of one step: the later of two texts of a block, unless the earlier split it into several blocks."""
    return [*(before if "\n\n" in before[-1]["text"] else before[:-1]), *edits]


def no_version(job: str, number: int) -> BadInput:
    """The error for an unknown version number."""
    return BadInput(note("no-version", job=job, n=number))


def _version(row: Row[Any]) -> Version:
    kept = {name: value for name, value in row._mapping.items() if name in Version.model_fields}
    return Version.model_validate({**kept, **(row.what_note or {})})


def _encoded(article: Article) -> Encoded:
    """An article as JSON, which is most of the cost of saving it."""
    try:
        return Encoded(article.model_dump_json())
    except PydanticSerializationError:  # a lone surrogate, which UTF-8 cannot encode
        return Encoded(json.dumps(article.model_dump(mode="json")))


def _packed(encoded: str) -> bytes:
    return zlib.compress(encoded.encode(), 1)  # higher levels save little


def _unpacked(data: bytes) -> Article:
    return Article.model_validate(json.loads(zlib.decompress(data)))
