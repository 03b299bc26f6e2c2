"""Lines for agents: what they say of images that were found."""

from __future__ import annotations

from limner.document import Candidate
from limner.workflows.listing import found


def test_machine_made_words_are_marked() -> None:
    about = {"image_id": "a" * 32, "library": "photos", "score": 1.0, "caption": "Two boats", "width": 9, "height": 9}
    theirs, made = found([Candidate(**about), Candidate(**about, machine_made=("caption",))])  # type: ignore[arg-type]
    assert "machine-made" not in theirs
    assert made == theirs.replace('"Two boats"', '"Two boats" (words machine-made)')
