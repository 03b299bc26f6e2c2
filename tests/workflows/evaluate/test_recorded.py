"""Measures of an article's record of choices."""

from __future__ import annotations

from limner.document import Article, Candidate, Paragraph, Selection, Spot
from limner.notes import note
from limner.workflows.evaluate.recorded import recorded


def twice(confidence: float, code: str = "") -> Selection:
    """A choice that a model was asked for twice."""
    pair = tuple(
        Candidate(image_id=f"{n:032x}", library="l", score=0.5, caption="c", width=9, height=9) for n in range(2)
    )
    ids = tuple(c.image_id for c in pair)
    made = Selection(
        spot=Spot(id="s", after="b0", caption="c", search="c"),
        candidates=pair,
        shown=(ids, ids[::-1]),
        answers=("1", "2"),
        choice=ids[0],
        by="captions",
        confidence=confidence,
    )
    return made.model_copy(update={"fallback": note(code)}) if code else made


def test_an_unreadable_second_answer_is_no_other_answer() -> None:
    article = Article(title="T", body=(Paragraph(id="b0", text="Words."),))
    chosen = (twice(1.0), twice(0.4), twice(0.4, "choice-once"))
    assert recorded(article.model_copy(update={"selections": chosen})).values["asked_twice_differs"] == 0.5
    only = recorded(article.model_copy(update={"selections": chosen[2:]}))
    assert "asked_twice_differs" in only.missing
