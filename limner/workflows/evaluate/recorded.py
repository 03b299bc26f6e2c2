"""Read an article's record of choices: how probable its images are, and which of them people changed."""

from __future__ import annotations

from statistics import fmean

from limner.document import Article
from limner.tools.arrange import relevance
from limner.tools.evaluation.measured import Measured


def recorded(article: Article) -> Measured:
    """From `Article.selections`, without a model. Measures: `measures.RECORD`."""
    found = Measured()
    selections = [s for s in article.selections if s.candidates]
    _probability(found, article)
    twice = [
        s
        for s in selections
        # after "choice-once" the second answer could not be read: it is no other answer
        if len(s.shown) > 1
        and len(s.answers) > 1
        and s.by in ("pixels", "captions")
        and s.fallback.code != "choice-once"
    ]
    if twice:
        found.values["asked_twice_differs"] = sum(s.confidence < 1 for s in twice) / len(twice)
    else:
        found.absent("no choice was asked for twice", "asked_twice_differs")
    people = [s for s in article.selections if s.by == "person" and s.instead_of]
    if people:
        found.values["person_kept"] = sum(s.choice == s.instead_of for s in people) / len(people)
    else:
        found.absent("no person chose where limner had placed an image", "person_kept")
    return found


def _probability(found: Measured, article: Article) -> None:
    """The mean probability of the figures that still show what was placed."""
    now = {(i.after, i.image_id) for i in article.illustrations}
    rows = zip(article.selections, relevance(article.selections), strict=True)
    known = [row[s.placed] for s, row in rows if s.placed in row and (s.spot.after, s.placed) in now]
    if known:
        found.values["probability"] = fmean(known)
    else:
        found.absent("the record has no choice for its figures", "probability")
