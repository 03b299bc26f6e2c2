"""Embargo and expiry between the steps of a composition: handed-in pictures, and a job that waited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive import picture
from scripted import ScriptedServer, article_answers

from limner.document import Brief, Reference, Spot, read_markdown
from limner.settings import Settings
from limner.tools.candidates import Wanted, candidates
from limner.tools.library import facts as kept
from limner.workflows import steps
from limner.workflows.context import Context, build_context

TEXT = "# Wheat\n\nThe wheat is cut in August.\n"
JUNE, AUGUST = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def context(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A library of two pictures of wheat, of which one expires at the end of June; it is June."""
    for name, shade, more in (("old", 1, {"expires": "2026-06-30"}), ("new", 2, {})):
        picture(tmp_path / "wheat" / f"{name}.png", (300, 200), shade)
        said = {"caption": f"The {name} wheat is cut", **more}
        (tmp_path / "wheat" / f"{name}.json").write_text(json.dumps(said))
    monkeypatch.setattr(kept, "now", lambda: JUNE)
    with ScriptedServer(article_answers(sees=False)) as server:
        settings = Settings(home=home, model_url=server.url, model="scripted-7b", retries=0, timeout=20, vision=False)
        yield build_context(settings, library=str(tmp_path / "wheat"))


def ids(context: Context) -> dict[str, str]:
    return {Path(r.path).stem: r.id for r in context.libraries[0].records()}


def test_a_picture_that_expired_meanwhile_is_not_placed(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    article, brief, known = read_markdown(TEXT), Brief(text="Wheat", images=2), ids(context)
    spots = [Spot(id="s1", after=article.paragraphs[0].id, caption="old wheat", search="The old wheat is cut")]
    found = context.retrieve(spots, brief)
    assert {c.image_id for c in found["s1"]} == set(known.values())
    selections = steps.select_all(context, article, spots, found, brief)
    selections = [s.model_copy(update={"choice": known["old"]}) for s in selections]
    monkeypatch.setattr(kept, "now", lambda: AUGUST)
    [selection] = steps.select_all(context, article, spots, found, brief)
    assert [c.image_id for c in selection.candidates] == [known["new"]]
    made = steps.arrange(context, article, selections, brief).article
    assert known["old"] not in {i.image_id for i in made.illustrations}
    assert "outside-time" in {n.code for n in made.notes}
    anytime = brief.model_copy(update={"only": ("anytime=yes",)})
    made = steps.arrange(context, article, selections, anytime).article
    assert [i.image_id for i in made.illustrations] == [known["old"]]
    noted = steps.outside_noted(context, made, brief)  # as after a review that took days
    assert [n.code for n in noted.notes if n not in made.notes] == ["placed-outside-time"]


def test_a_handed_in_picture_outside_its_time_is_placed_with_a_note(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "now", lambda: AUGUST)
    article, known = read_markdown(TEXT), ids(context)
    handed = Reference(image_id=known["old"], caption="", library=context.libraries[0].name)
    brief = Brief(text="Wheat", images=1, references=(handed,))
    spots = [Spot(id="s1", after=article.paragraphs[0].id, caption="old wheat", search="The old wheat is cut")]
    found = context.retrieve(spots, brief)
    assert [c.image_id for c in found["s1"]] == [known["old"]]
    selections = steps.select_all(context, article, spots, found, brief)
    made = steps.arrange(context, article, selections, brief).article
    assert [i.image_id for i in made.illustrations] == [known["old"]]
    codes = {n.code for n in made.notes}
    assert "placed-outside-time" in codes
    assert "outside-time" not in codes


def test_other_pictures_for_a_place_are_in_their_time(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    article, brief, known = read_markdown(TEXT), Brief(text="Wheat", images=0), ids(context)
    spots = [Spot(id="s1", after=article.paragraphs[0].id, caption="old wheat", search="The old wheat is cut")]
    selections = steps.select_all(context, article, spots, context.retrieve(spots, brief), brief)
    article = article.model_copy(update={"selections": tuple(selections)})
    monkeypatch.setattr(kept, "now", lambda: AUGUST)
    for wanted in ({"caption": "The old wheat"}, {"like": known["new"]}, {"spot": "s1"}):
        now = candidates(article, Wanted(**wanted), context.libraries)
        anytime = candidates(article, Wanted(**wanted, only=("anytime=yes",)), context.libraries)
        assert known["old"] not in {one.candidate.image_id for one in now}
        assert known["old"] in {one.candidate.image_id for one in anytime}


def test_limits_are_read_once_for_a_choice_however_many_places(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    article, brief = read_markdown("# Wheat\n\n" + "The wheat is cut in August.\n\n" * 6), Brief(text="Wheat", images=2)
    spots = [Spot(id=f"s{n}", after=p.id, caption="wheat", search="wheat") for n, p in enumerate(article.paragraphs)]
    found = context.retrieve(spots, brief)
    asked: list[int] = []
    outside = Context.outside
    monkeypatch.setattr(Context, "outside", lambda self, brief: asked.append(1) or outside(self, brief))
    selections = steps.select_all(context, article, spots, found, brief)
    assert len(asked) <= len(spots)
    asked.clear()
    steps.arrange(context, article, selections, brief)
    assert len(asked) <= 2


def test_where_the_choice_has_expired_the_others_compete(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    article, brief, known = read_markdown(TEXT), Brief(text="Wheat", images=1), ids(context)
    spots = [Spot(id="s1", after=article.paragraphs[0].id, caption="wheat", search="The wheat is cut")]
    [selection] = steps.select_all(context, article, spots, context.retrieve(spots, brief), brief)
    chosen = selection.model_copy(update={"choice": known["old"], "by": "captions"})
    monkeypatch.setattr(kept, "now", lambda: AUGUST)
    made = steps.arrange(context, article, [chosen], brief).article
    assert [i.image_id for i in made.illustrations] == [known["new"]]
