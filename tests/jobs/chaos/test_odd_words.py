"""Characters that a database refuses, in a model's answers: cleaned at the door, on both databases alike."""

from __future__ import annotations

from typing import Any

import pytest
from nursery import WORKED, Nursery
from place import Place
from served import answers, article

ODD = "\0\x1b\x0b\x7f\x85\uffff"


@pytest.fixture(autouse=True)
def _odd_answers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of the model has such characters after its first, and after its last but one."""

    def odd(body: dict[str, Any]) -> str:
        words = answers(body)
        return words[:1] + ODD + words[1:-1] + ODD + words[-1:]

    monkeypatch.setattr(place.book, "_answer", odd)


def test_the_article_is_as_without_them(place: Place, nursery: Nursery) -> None:
    job, mark = place.submit()

    assert nursery.work(job.id, place.given) == WORKED

    found = place.ledger.job(job.id)
    assert (found.state, found.attempt, found.error) == ("done", 1, "")
    made = place.ledger.article(job.id)
    assert made is not None
    assert made.source == article(mark)
    assert place.objections(job.id) == []
