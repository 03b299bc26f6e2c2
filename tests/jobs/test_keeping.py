"""Articles of a chat in the one history: what the chat changes the shell undoes, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from scripted import ScriptedServer, article_answers
from shell import Shell

import limner
from limner.jobs.history.keeping import Keeping
from limner.jobs.service import Jobs


@pytest.fixture
def jobs(bees: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    with ScriptedServer(article_answers(sees=True)) as server, closing(Jobs()) as made:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        yield made


class Talk:
    """A thread of a chat by commands."""

    def __init__(self, jobs: Jobs) -> None:
        self.graph = limner.build_chat_graph(library="bees", checkpointer=InMemorySaver(), keeper=Keeping(jobs))
        self.config: Any = {"configurable": {"thread_id": "1"}}

    def say(self, text: str) -> str:
        return self.graph.invoke({"messages": [("user", text)]}, self.config)["messages"][-1].text

    def __getitem__(self, name: str) -> Any:
        return self.graph.get_state(self.config).values[name]


def history(shell: Shell, job: str) -> list[str]:
    return [line.partition("  ")[2].split(": ", 1)[1] for line in shell("revise", "versions", job).out.splitlines()]


def test_what_a_chat_changes_is_in_the_shells_history_and_undone_on_either_side(jobs: Jobs, shell: Shell) -> None:
    talk = Talk(jobs)
    assert "picture 1 [" in talk.say("How bees make honey")
    [job] = talk["jobs"]
    images = len(talk["article"].illustrations)
    talk.say("/remove 1")
    assert len(talk["article"].illustrations) == images - 1
    assert history(shell, job) == ["Composed", "Removed image 1"]
    assert shell("revise", "undo", job).code == 0
    assert "picture 1 [" in talk.say("/show")
    assert shell("revise", "edit", job, "--title", "Sweet").code == 0
    assert '"Sweet"' in talk.say("/show")
    assert "The last change is undone." in talk.say("/undo")
    assert "Sweet" not in talk.say("/show")
    assert talk.say("/undo") == "There is nothing to undo."
    assert talk.graph.get_state(talk.config).values.get("past", []) == []


def test_the_article_before_a_new_one_is_gone_back_to(jobs: Jobs) -> None:
    talk = Talk(jobs)
    talk.say("How bees make honey")
    talk.say("/new Wax")
    first, second = talk["jobs"]
    assert first != second
    assert "The last change is undone." in talk.say("/undo")
    assert talk["jobs"] == [first]


def test_a_chat_goes_on_with_what_it_remembers_of_an_article_that_was_deleted(jobs: Jobs) -> None:
    talk = Talk(jobs)
    talk.say("How bees make honey")
    jobs.delete(talk["jobs"][0])
    assert "How Bees Make Honey" in talk.say("/show")
