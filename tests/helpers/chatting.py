"""limner as a chat client meets it: an installation with two owners, a worker and a scripted model."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import openai
import pytest
from parts import served, working
from scripted import ScriptedServer, article_answers, asking, last_text

from limner.jobs.service import Jobs
from limner.surfaces.http.app import create_app

LINK = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def commanded(body: dict[str, Any]) -> str | None:
    """The reviser's answer to a wish that this script knows; None for any other prompt."""
    wish = last_text(body).partition("The editor wishes: ")[2]
    if not wish:
        return None
    nothing = {"block": 0, "image": 0, "where": "after", "text": ""}
    known = {
        "Take the second picture out.": [{**nothing, "do": "remove_image", "image": 2}],
        "Call it Sweet.": [{**nothing, "do": "set_title", "text": "Sweet"}],
    }
    return json.dumps({"commands": known.get(wish, []), "cannot": "" if wish in known else "I cannot do that."})


class Place:
    """An installation with two owners, a worker and a model."""

    def __init__(self, url: str, jobs: Jobs, model: ScriptedServer, tokens: dict[str, str]) -> None:
        self.url, self.jobs, self.model, self.tokens = url, jobs, model, tokens

    def client(self, owner: str = "alice") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.tokens[owner], max_retries=0)


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@contextmanager
def place_to_chat(slow: threading.Event) -> Iterator[Place]:
    """The installation; its writer's answer is held back while `slow` is not set."""
    write: Callable[[dict[str, Any]], Any] = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Any:
        if asking(body) == "writer" or "The editor wishes: Call it Sweet." in last_text(body):
            slow.wait(60)
        if "You plan articles" in json.dumps(body["messages"][0]):
            return "# How Bees Make Honey\n\n- nectar\n- wax\n"
        return commanded(body) or write(body)

    with ScriptedServer(answer) as model, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_MODEL_URL", model.url)
        with closing(Jobs()) as jobs:
            tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("alice", "bob")}
            with working(jobs), served(create_app(jobs.settings, jobs)) as url:
                yield Place(url, jobs, model, tokens)


class Talk:
    """A conversation as a chat client has it: it sends everything each time, streamed or not."""

    def __init__(self, place: Place, stream: bool, owner: str = "alice", **wishes: Any) -> None:
        self.place, self.stream, self.owner, self.wishes = place, stream, owner, {"images": 1, **wishes}
        self.messages: list[Any] = []
        self.reasoning = ""

    def say(self, text: str) -> str:
        messages = [*self.messages, {"role": "user", "content": text}]
        with self.place.client(self.owner) as client:
            wanted: dict[str, Any] = {"model": "limner/bees", "messages": messages}
            made = client.chat.completions.create(
                **wanted, stream=self.stream, extra_body={"limner": self.wishes}, timeout=120
            )
            if self.stream:
                deltas = [c.choices[0].delta for c in made if c.choices]
                content = "".join(d.content or "" for d in deltas)
                self.reasoning = "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
            else:
                content, self.reasoning = made.choices[0].message.content, made.choices[0].message.reasoning_content
        self.messages = [*messages, {"role": "assistant", "content": content}]
        return content
