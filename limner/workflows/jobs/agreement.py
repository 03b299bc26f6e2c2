"""How often the selector agreed with people, on one's own articles (the paper's Table 10 asks it of a test set).

Counted are the images that the selector placed, in articles that a person changed, accepted or was asked about at the
images: each was kept, swapped for another, or taken out. What nobody has looked at says nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, computed_field
from sqlalchemy import select

from limner.document import Article, Selection
from limner.errors import JobUnknown
from limner.workflows.jobs.ledger import Ledger
from limner.workflows.jobs.schema import jobs
from limner.workflows.jobs.versions import Versions


class Agreement(BaseModel):
    """Counts of images."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    kept: int = 0
    """Placed by the selector, and left there."""
    swapped: int = 0
    """Another image stands there."""
    swapped_to_candidate: int = 0
    """Of those: the other one is among the candidates that the selector had."""
    removed: int = 0
    """No image is there any more."""
    added: int = 0
    """Placed by a person where the selector had none; not part of `n`."""

    @computed_field
    @property
    def n(self) -> int:
        """Picks that people had a look at."""
        return self.kept + self.swapped + self.removed

    @computed_field
    @property
    def agreement(self) -> float | None:
        """The share that was kept, 0 to 1; null without any."""
        return self.kept / self.n if self.n else None

    def __add__(self, other: Agreement) -> Agreement:
        fields = ("kept", "swapped", "swapped_to_candidate", "removed", "added")
        return Agreement(**{name: getattr(self, name) + getattr(other, name) for name in fields})


class JobAgreement(Agreement):
    """Of one job."""

    job: str
    title: str


class Report(BaseModel):
    """Of all jobs that people had a look at."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    total: Agreement
    by: dict[str, Agreement]
    """By what the choices were made: pixels, captions, similarity; person: what was decided at the images' review."""
    jobs: list[JobAgreement]
    """Newest first."""


def report(ledger: Ledger, owner: str | None = None) -> Report:
    """What people did about the selector's picks. owner: None counts all."""
    total, by, rows = Agreement(), {}, []
    for job, title, first, last in _looked_at(ledger, owner):
        counts = picks(first, last)
        here = sum(counts.values(), Agreement())
        total = total + here
        for name, count in counts.items():
            by[name] = by.get(name, Agreement()) + count
        fields = here.model_dump(exclude={"n", "agreement"})
        rows.append(JobAgreement(job=job, title=title, **fields))
    return Report(total=total, by={name: by[name] for name in sorted(by) if name}, jobs=rows)


def picks(first: Article, last: Article) -> dict[str, Agreement]:
    """What became of the picks in the article as the model left it, by what they were made by; "" for images added."""
    now = {i.id: i.image_id for i in last.illustrations}
    known: set[str] = set()
    found: dict[str, Agreement] = {}
    for selection in first.selections:
        picked = _picked(selection)
        figure = f"f-{selection.spot.id}"
        if picked is None:
            continue
        known.add(figure)
        name = selection.by
        found[name] = found.get(name, Agreement()) + _fate(selection, picked, now.get(figure))
    added = sum(1 for i in last.illustrations if i.id not in known)
    if added:
        found[""] = Agreement(added=added)
    return found


def _picked(selection: Selection) -> str | None:
    return selection.instead_of if selection.by == "person" else selection.placed


def _fate(selection: Selection, picked: str, now: str | None) -> Agreement:
    if now == picked:
        return Agreement(kept=1)
    if now is None:
        return Agreement(removed=1)
    return Agreement(swapped=1, swapped_to_candidate=int(any(c.image_id == now for c in selection.candidates)))


def _looked_at(ledger: Ledger, owner: str | None) -> Iterator[tuple[str, str, Article, Article]]:
    """(job, title, the article as the model left it, the article now) of those that people had a look at."""
    versions = Versions(ledger)
    query = select(jobs.c.id, jobs.c.title, jobs.c.version).where(jobs.c.state == "done")
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    with ledger.database.read() as c:
        rows = c.execute(query.order_by(jobs.c.created.desc(), jobs.c.id.desc())).all()
    for row in rows:
        try:
            pair = _ends(ledger, versions, row.id, row.version)
        except JobUnknown:  # deleted since
            continue
        if pair is not None:
            yield row.id, row.title, *pair


def _ends(ledger: Ledger, versions: Versions, job: str, head: int | None) -> tuple[Article, Article] | None:
    """The first article and the one now; None if nobody had a look at it."""
    if head is None:
        article = ledger.article(job)
        return (article, article) if article is not None and _reviewed(article) else None
    first = versions.one(job, 1)[1]
    if versions.one(job, head)[0].parent is None and not _reviewed(first):
        return None
    return first, versions.one(job, head)[1]


def _reviewed(article: Article) -> bool:
    return any(s.by == "person" for s in article.selections)
