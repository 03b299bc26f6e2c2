"""Which image libraries a job may use: those that it names, those of its article's images, what its owner uploaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from limner.document import Article, Brief, Reference
from limner.tools.library import Library, Record, libraries
from limner.workflows.allowed import STARTER
from limner.workflows.context import Context

if TYPE_CHECKING:
    from limner.jobs.owners import Owner
    from limner.jobs.service import Jobs
    from limner.tools.editing.apply import ImageOf

Open = Callable[[str], Library]
"""Opens a library by name. Raises LibraryError."""


def names_for(jobs: Jobs, job: str, article: Article, owner: Owner | None = None) -> list[str]:
    """Names of the existing libraries that a job's images may come from.

    owner: who asks; None means the job's owner. Raises JobUnknown.
    """
    owner = owner or jobs.owners.get(jobs.ledger.job(job).owner)
    named = jobs.ledger.request(job).get("library") or [STARTER]
    used = [i.library for i in article.illustrations if i.library]
    known = set(libraries(jobs.settings.home))
    wanted = dict.fromkeys([*named, *used, owner.own_library])
    return [name for name in wanted if name in known and owner.may_use(name)]


def opener(context: Context) -> Open:
    """A function that opens this installation's libraries with a context's encoders and connection."""
    return lambda name: Library.open(context.settings.home, name, context.encoders, connect=context.connect)


def record_of(open_: Open) -> ImageOf:
    """A function that looks up an image by (library, image id) and opens each library once."""
    opened: dict[str, Library] = {}

    def record(name: str, image_id: str) -> Record:
        if name not in opened:
            opened[name] = open_(name)
        return opened[name].record(image_id)

    return record


def with_uploads(brief: Brief, image_ids: Sequence[str], library: Library) -> Brief:
    """The brief with its owner's uploads as reference images. Raises LibraryError for a deleted one."""
    records = [library.record(image_id) for image_id in dict.fromkeys(image_ids)]
    references = tuple(Reference(image_id=r.id, caption=r.caption, library=library.name) for r in records)
    return brief.model_copy(update={"references": references})
