"""Store articles between calls of tools: a folder per owner, a file per version.

A model cannot pass a whole article from one tool to the next, so it passes a name. `home/desk` stores the articles
behind the names, so that they outlive the process. A version is written once and never changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock, Timeout
from pydantic import ValidationError

from limner.document import Article, Brief, Candidate, Selection, Spot, Value
from limner.errors import BadInput, JobConflict, JobUnknown
from limner.settings import private_folder
from limner.workflows.run import CHECKPOINTS, checkpoints, new_job

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_NAME = re.compile(r"[^\W_][\w-]{0,79}")


class Work(Value):
    """An article and its intermediate results; the keys are those of `ComposeState`."""

    brief: Brief
    article: Article
    spots: tuple[Spot, ...] | None = None
    candidates: dict[str, tuple[Candidate, ...]] | None = None
    selections: tuple[Selection, ...] | None = None
    what: str = ""
    """The origin of this version; one line."""


class Version(NamedTuple):
    """A work at a version."""

    name: str
    number: int
    """From 1."""
    work: Work
    head: int | None = None
    """The version of the job's article that it was made from, where the article is a job."""


class Desk:
    """The works of one owner. Safe to use from threads and processes."""

    def __init__(self, home: Path, owner: str) -> None:
        # An owner's name may be any string of a product, so it never becomes a path.
        self.home = home
        self.folder = home / "desk" / hashlib.sha256(owner.encode()).hexdigest()[:24]

    def begin(self, work: Work, name: str = "", head: int | None = None) -> Version:
        """Store a new work under a new name, or the reserved one."""
        name = name or new_job(work.article.title or work.brief.text[:60])
        self._put(name, 1, work)
        return Version(name, 1, work, head)

    def has(self, name: str) -> bool:
        """Whether there is a work of this name."""
        return bool(self._numbers(name))

    def latest(self, name: str, others: Sequence[str] = ()) -> Version:
        """The current version of a work. Raises JobUnknown, naming `others` and the latest works, and JobConflict while
        it waits for an answer."""
        numbers = self._numbers(name)
        if not numbers and self.waits(name):
            raise JobConflict(f"The article {name} waits for an answer. get_article shows it, answer_review answers.")
        if not numbers:
            names = ", ".join([*others, *self.names()[:5], *self.waiting_names()[:5]]) or "none yet"
            raise JobUnknown(f"There is no article {name[:80]!r}. Use the id of one of yours: {names}.")
        return Version(name, numbers[-1], self._get(name, numbers[-1]))

    def go_on(self, version: Version, **changes: object) -> Version:
        """Store the next version. Raises JobConflict if it exists already, because somebody else changed the work
        meanwhile."""
        work = version.work.model_copy(update=changes)
        self._put(version.name, version.number + 1, work)
        return Version(version.name, version.number + 1, work, version.head)

    @contextmanager
    def waiting(self) -> Iterator[BaseCheckpointSaver]:
        """The checkpoints of compositions that wait for an answer; the thread is the work's name."""
        with checkpoints(self.folder) as saver:
            yield saver

    def waits(self, name: str) -> bool:
        """Whether a composition of that name waits for an answer."""
        if not (_NAME.fullmatch(name) and (self.folder / CHECKPOINTS).is_file()):  # the name comes from a model
            return False
        with self.waiting() as saver:
            return saver.get_tuple({"configurable": {"thread_id": name}}) is not None

    def waiting_names(self) -> list[str]:
        """Names of the compositions that wait for an answer."""
        if not (self.folder / CHECKPOINTS).is_file():
            return []
        with self.waiting() as saver:
            return list(
                dict.fromkeys(c.config.get("configurable", {})["thread_id"] for c in saver.list(None, limit=100))
            )

    @contextmanager
    def answering(self, name: str) -> Iterator[None]:
        """Lock a work for one answer. Raises JobConflict while another answer is processed; the lock ends with the
        process."""
        lock = FileLock(self.folder / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as e:
            raise JobConflict(
                f"The article {name} was answered already and goes on. get_article shows how far it is."
            ) from e
        try:
            yield
        finally:
            if not self.waits(name):  # done, or it never reached a question
                (self.folder / f"{name}.lock").unlink(missing_ok=True)
            lock.release()

    def names(self) -> list[str]:
        """All works, latest first."""
        if not self.folder.is_dir():
            return []
        folders = [f for f in self.folder.iterdir() if f.is_dir()]
        return [f.name for f in sorted(folders, key=lambda f: f.stat().st_mtime, reverse=True)]

    def _numbers(self, name: str) -> list[int]:
        if not _NAME.fullmatch(name):  # the name comes from a model
            return []
        return sorted(int(f.stem) for f in (self.folder / name).glob("*.json"))

    def _get(self, name: str, number: int) -> Work:
        try:
            return Work.model_validate_json((self.folder / name / f"{number}.json").read_bytes())
        except (OSError, ValidationError) as e:
            raise BadInput(f"Version {number} of the article {name} cannot be read. Compose it again.") from e

    def _put(self, name: str, number: int, work: Work) -> None:
        folder = self.folder / name
        private_folder(self.home)
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False)  # noqa: SIM115  # removed below
        try:
            with file:
                file.write(work.model_dump_json().encode())
            os.link(file.name, folder / f"{number}.json")  # unlike a rename, it fails if the name is taken
        except FileExistsError as e:
            raise JobConflict(f"Somebody changed the article {name} meanwhile. Get it again, then try again.") from e
        finally:
            os.unlink(file.name)
