"""Spot, retrieve, select and arrange are the same wherever they are called: graph, toolbox, revision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import ARTICLE, ScriptedServer, article_answers, asking

from limner.document import Article, Brief, read_markdown
from limner.notes import note
from limner.settings import Settings
from limner.surfaces.toolbox.desk import Work
from limner.surfaces.toolbox.tools import Toolbox
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Regenerate
from limner.tools.library import image_identity
from limner.workflows.compose import build_graph
from limner.workflows.context import Context, build_context
from limner.workflows.inputs import make_brief
from limner.workflows.references import with_references
from limner.workflows.revise.graph import propose
from limner.workflows.tenants import Tenant

Way = Callable[[Context, Brief, Article], tuple[Article, str]]


def by_graph(context: Context, brief: Brief, article: Article) -> tuple[Article, str]:
    """(the illustrated article, what was said of it)."""
    made = build_graph(context).invoke({"brief": brief, "article": article})["article"]  # type: ignore[typeddict-item]
    return made, " ".join(made.notes)


def by_tools(context: Context, brief: Brief, article: Article) -> tuple[Article, str]:
    tools = Toolbox(context).tools(Tenant())
    name = tools.desk.begin(Work(brief=brief, article=article)).name
    tools.spot(name, brief.images)
    tools.retrieve(name)
    made = tools.select(name).value
    return made, " ".join(made.notes)


def by_revision(context: Context, brief: Brief, article: Article) -> tuple[Article, str]:
    proposal = propose(context, article, Regenerate(what="images"), brief)
    return edited(article, proposal.edits, context.record), proposal.summary


WAYS = pytest.mark.parametrize("way", [by_graph, by_tools, by_revision])


def settings_for(server: ScriptedServer, **more: Any) -> Settings:
    return Settings(model_url=server.url, model="scripted-7b", retries=0, timeout=20, **more)


@WAYS
def test_places_that_the_text_alone_proposed_are_noted_as_such(bees: Path, way: Way) -> None:
    usual = article_answers(sees=True)
    with ScriptedServer(lambda body: "No idea." if asking(body) == "spotter" else usual(body)) as server:
        context = build_context(settings_for(server), library="bees")
        made, said = way(context, make_brief("Honey", images=2), read_markdown(ARTICLE))
    assert str(note("spots-from-text")) in said
    assert len(made.illustrations) == 2


@WAYS
def test_what_a_selector_could_not_do_is_noted(bees: Path, way: Way) -> None:
    with ScriptedServer(article_answers(sees=False)) as server:
        context = build_context(settings_for(server, vision=False), library="bees")
        _made, said = way(context, make_brief("Honey", images=2), read_markdown(ARTICLE))
    assert "does not see images" in said


@WAYS
def test_a_persons_own_images_go_before_all_others(bees: Path, way: Way) -> None:
    """A ship fits an article on bees nowhere: it is in it because it was handed in."""
    with ScriptedServer(article_answers(sees=True)) as server:
        context = build_context(settings_for(server), library="bees")
        brief = with_references(make_brief("Honey", images=2), [bees / "ship.png"], context)
        made, _said = way(context, brief, read_markdown(ARTICLE))
    used = [i.image_id for i in made.illustrations]
    assert image_identity((bees / "ship.png").read_bytes()) in used
    assert len(set(used)) == 2


@WAYS
def test_images_of_other_libraries_than_the_references_stay_candidates(bees: Path, way: Way) -> None:
    """Wherever the library with the references stands among the others."""
    with ScriptedServer(article_answers(sees=True)) as server:
        context = build_context(settings_for(server), library="bees")
        brief = with_references(make_brief("Honey", images=2), [bees / "ship.png"], context)
        context.libraries = list(reversed(context.libraries))
        made, _said = way(context, brief, read_markdown(ARTICLE))
    assert len({i.library for i in made.illustrations}) == 2
