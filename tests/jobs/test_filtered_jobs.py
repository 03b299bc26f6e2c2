"""Filters of jobs: they hold for each attempt, for revisions, and by the articles of the job's owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, built
from scripted import Answer, Status, asking

from limner.document import Article
from limner.tools.encoders import default_encoders
from limner.tools.library import Library


@pytest.fixture
def house(bees: Path, home: Path) -> Iterator[House]:
    with built(home) as made:
        yield made


def found(home: Path, article: Article | None) -> set[str]:
    """Names of the files among the article's candidates."""
    assert article is not None
    library = Library.open(home, "bees", default_encoders())
    return {Path(library.record(c.image_id).path).name for s in article.selections for c in s.candidates}


@pytest.mark.parametrize("role", ["spotter", "selector"])
def test_a_job_that_is_taken_up_again_keeps_its_filters(house: House, home: Path, role: str) -> None:
    good, failed = house.answers, []

    def once(body: dict[str, Any]) -> Answer:
        if asking(body) == role and not failed:
            failed.append(role)
            return Status(503, "busy")
        return good(body)

    house.answers = once
    job = house.submit(only=["credit=Photo 1|Photo 3|Photo 5"])
    assert house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "parked"
    house.due(job)
    assert house.runner().work(job.id)
    article = house.ledger.article(job.id)
    assert failed == [role]
    assert found(home, article) == {"flower.png", "jar.png", "ship.png"}
    assert article is not None
    assert article.made_with["only"] == ["credit=Photo 1|Photo 3|Photo 5"]


def test_unused_counts_the_articles_of_the_jobs_owner(house: House, home: Path) -> None:
    first, other = house.submit(), house.submit("ben")
    for job in (first, other):
        assert house.runner().work(job.id)
    shown = house.ledger.article(first.id)
    assert shown is not None
    assert {i.image_id for i in shown.illustrations} == house.ledger.shown_lately(1, "local")
    again = house.submit(only=["unused=1"])
    stranger = house.submit("ada", only=["unused=1"])
    for job in (again, stranger):
        assert house.runner().work(job.id)
    every = found(home, shown)
    names = {Path(i).name for i in found(home, house.ledger.article(again.id))}
    library = Library.open(home, "bees", default_encoders())
    used = {Path(library.record(i.image_id).path).name for i in shown.illustrations}
    assert len(used) == 2
    assert names == every - used
    assert found(home, house.ledger.article(stranger.id)) == every
