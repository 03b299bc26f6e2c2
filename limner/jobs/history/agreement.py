"""How often people agree with the selector on their own articles (the paper's Table 10 measures it on a test set).

The figure counts the images that the selector placed in articles that a person changed, accepted or reviewed at
`images`: each was kept, swapped or removed. Articles that nobody looked at are left out.

Only a person's choice counts against a pick. If somebody asks a model for other images, its new picks replace those
that people had left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, computed_field
from sqlalchemy import select

from limner.document import Article, Selection
from limner.errors import JobUnknown
from limner.jobs.history.versions import Versions
from limner.jobs.ledger import Ledger
from limner.jobs.ledger.schema import jobs

Steps = Sequence[tuple[Article, Article]]


class Agreement(BaseModel):
    """Counts of images."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    kept: int = 0
    """Placed by the selector and kept."""
    swapped: int = 0
    """Replaced by another image."""
    swapped_to_candidate: int = 0
    """Swapped images whose replacement was one of the selector's candidates."""
    removed: int = 0
    """Removed without a replacement."""
    added: int = 0
    """Placed by a person where the selector placed none; not part of `n`."""

    @computed_field
    @property
    def n(self) -> int:
        """Picks that people looked at."""
        return self.kept + self.swapped + self.removed

    @computed_field
    @property
    def agreement(self) -> float | None:
        """Share of picks that people kept, 0 to 1; null if `n` is 0."""
        return self.kept / self.n if self.n else None

    def __add__(self, other: Agreement) -> Agreement:
        fields = ("kept", "swapped", "swapped_to_candidate", "removed", "added")
        return Agreement(**{name: getattr(self, name) + getattr(other, name) for name in fields})


class JobAgreement(Agreement):
    """The counts of one job."""

    job: str
    title: str


class Report(BaseModel):
    """Over all jobs that people looked at."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    total: Agreement
    by: dict[str, Agreement]
    """By the basis of the choice: pixels, captions, similarity; person (decided at the review point `images`); proposal
    (proposed by a model later, without a record of the choice)."""
    jobs: list[JobAgreement]
    """Newest first."""


def report(ledger: Ledger, owner: str | None = None) -> Report:
    """Count what people did with the selector's picks. owner: None counts all owners."""
    total, by, rows = Agreement(), {}, []
    for job, title, first, last, proposed in _looked_at(ledger, owner):
        counts = picks(first, last, proposed)
        here = sum(counts.values(), Agreement())
        total = total + here
        for name, count in counts.items():
            by[name] = by.get(name, Agreement()) + count
        fields = here.model_dump(exclude={"n", "agreement"})
        rows.append(JobAgreement(job=job, title=title, **fields))
    return Report(total=total, by={name: by[name] for name in sorted(by) if name}, jobs=rows)


@dataclass(frozen=True)
class _Pick:
    """An image placed by the selector, or by a model later: the image, the basis of the choice, and the candidates."""

    image: str
    by: str
    candidates: frozenset[str]


def picks(first: Article, last: Article, proposed: Sequence[tuple[Article, Article]] = ()) -> dict[str, Agreement]:
    """Outcomes of the picks by their basis; "" for images that people added.

    first: the article as the model left it. last: the article now. proposed: the articles before and after each step
    that a model proposed, in order.
    """
    here = {figure: pick for s in first.selections if (pick := _pick(s, _picked(s))) for figure in [f"f-{s.spot.id}"]}
    found: dict[str, Agreement] = {}

    def count(pick: _Pick, now: str | None) -> None:
        found[pick.by] = found.get(pick.by, Agreement()) + _fate(pick, now)

    for before, after in proposed:
        old, new = _images(before), _images(after)
        records = {f"f-{s.spot.id}": s for s in after.selections if s.placed}
        for figure in [f for f in {**old, **new} if old.get(f) != new.get(f)]:
            pick = here.pop(figure, None)
            if pick is not None and old.get(figure) != pick.image:  # a person had already decided
                count(pick, old.get(figure))
            if image := new.get(figure):
                record = records.get(figure)
                known = _pick(record, image) if record and record.placed == image else None
                here[figure] = known or _Pick(image, "proposal", frozenset())
    now = _images(last)
    for figure, pick in here.items():
        count(pick, now.get(figure))
    if added := len(now.keys() - here.keys()):
        found[""] = Agreement(added=added)
    return found


def _images(article: Article) -> dict[str, str]:
    return {i.id: i.image_id for i in article.illustrations}


def _pick(selection: Selection, image: str | None) -> _Pick | None:
    return _Pick(image, selection.by, frozenset(c.image_id for c in selection.candidates)) if image else None


def _picked(selection: Selection) -> str | None:
    return selection.instead_of if selection.by == "person" else selection.placed


def _fate(pick: _Pick, now: str | None) -> Agreement:
    if now == pick.image:
        return Agreement(kept=1)
    if now is None:
        return Agreement(removed=1)
    return Agreement(swapped=1, swapped_to_candidate=int(now in pick.candidates))


def _looked_at(ledger: Ledger, owner: str | None) -> Iterator[tuple[str, str, Article, Article, Steps]]:
    """(job, title, first article, current article, steps of a model) of the articles that people looked at."""
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


def _ends(ledger: Ledger, versions: Versions, job: str, head: int | None) -> tuple[Article, Article, Steps] | None:
    """The first article, the current one, and the steps of models between them; None if nobody looked at it."""
    if head is None:
        article = ledger.article(job)
        return (article, article, []) if article is not None and _reviewed(article) else None
    first = versions.one(job, 1)[1]
    if versions.one(job, head)[0].parent is None and not _reviewed(first):
        return None
    steps = [(v.parent, v.number) for v in versions.line(job, head) if v.by == "model" and v.parent is not None]
    proposed = [(versions.one(job, before)[1], versions.one(job, after)[1]) for before, after in steps]
    return first, versions.one(job, head)[1], proposed


def _reviewed(article: Article) -> bool:
    return any(s.by == "person" for s in article.selections)
