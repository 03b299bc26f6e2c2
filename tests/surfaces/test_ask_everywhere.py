"""The same question by the shell, Python, LangChain's tools and MCP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from scripted import ScriptedServer, article_answers, asking, by_colour, images_of, text_of
from shell import Shell

import limner
from limner.surfaces.mcp import build_server
from limner.surfaces.toolbox.tools import Toolbox
from limner.workflows.context import build_context

SAID = json.dumps({"answer": "A bee.", "rests_on": [{"block": 2, "quote": "bee"}, {"block": 99, "quote": "bee"}]})


def seeing(body: dict[str, Any]) -> str:
    return by_colour(body) if asking(body) == "probe" else SAID


def blind(body: dict[str, Any]) -> str:
    return '{"image": 1}' if asking(body) == "probe" else SAID


def test_the_shell_prints_the_answer_and_what_it_rests_on(made: Path, shell: Shell) -> None:
    with ScriptedServer(seeing) as server:
        said = shell("ask", made, "What does this", "show?", "--image", "2", "--model-url", server.url)
        asked = server.requests[-1]
        data = json.loads(shell("ask", made, "What?", "--json", "--model-url", server.url).out)
        cut = shell("ask", made, "What?", "--max-tokens", "5", "--model-url", server.url)
    assert (said.code, said.out) == (0, "A bee.\n[b2] bee\n")
    assert said.err.endswith("tokens, saw picture 2)\n")
    assert len(images_of(asked)) == 1
    assert text_of(asked).endswith("The question: What does this show?")
    assert [p["number"] for p in data["pictures"]] == [1, 2]
    assert cut.code == 2
    assert cut.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([""], "The text is empty"),
        (["What?", "--image", "9"], "no picture 9; it has 2"),
        (["What?", "--image", "99999999999999999999"], "no picture"),
        (["What?"], "The embedded model answers no questions"),
    ],
)
def test_the_shell_refuses_in_one_line(made: Path, shell: Shell, words: list[str], line: str) -> None:
    said = shell("ask", made, *words)
    assert (said.code, said.out) == (2, "")
    assert line in said.err
    assert said.err.count("\n") == 1
    assert shell("ask", made / "nowhere", "What?").code == 2


def test_python_takes_a_folder_an_article_and_files(made: Path, bees: Path, shell: Shell) -> None:
    with ScriptedServer(blind) as server:
        settings = limner.Settings(model_url=server.url, retries=0)
        answer = limner.ask("What?", made, settings=settings)
        article = limner.illustrate(made.parent / "draft.md", library="bees", images=1)
        other = limner.ask("What?", article, settings=settings.model_copy(update={"vision": True}))
    assert isinstance(answer, limner.Answer)
    assert [(c.block, c.quote) for c in answer.blocks] == [("b2", "bee")]
    assert [n.code for n in answer.notes] == ["answer-blind"]
    assert [p.number for p in other.pictures] == [1]


def test_agents_ask_by_langchain_and_mcp(bees: Path) -> None:
    compose = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Any:
        return SAID if "The question: " in text_of(body) else compose(body)

    async def talk(toolbox: Toolbox) -> Any:
        async with mcp.Client(build_server(toolbox)) as client:
            done = await client.call_tool("compose_article", {"brief": "Honey", "images": 2, "wait_seconds": 60})
            about = {"article": done.structured_content["article"], "question": "What?", "pictures": [2]}
            wrong = await client.call_tool("ask_article", about | {"pictures": [7]})
            file = await client.call_tool("ask_article", about | {"pictures": ["/etc/passwd"]})
            return wrong, file, await client.call_tool("ask_article", about)

    with ScriptedServer(answer) as server:
        settings = limner.Settings(model_url=server.url, retries=0)
        tools = {tool.name: tool for tool in limner.toolbox(library="bees", settings=settings)}
        order = {"name": "compose_article", "args": {"brief": "Honey", "images": 2}, "id": "1", "type": "tool_call"}
        article = tools["compose_article"].invoke(order).text.split()[1].rstrip(":")
        about = {"article": article, "question": "What does it show?"}
        made = tools["ask_article"].invoke({"name": "ask_article", "args": about, "id": "2", "type": "tool_call"})
        wrong, file, done = anyio.run(talk, Toolbox(build_context(settings, library="bees")))
    assert made.status == "success", made.text
    assert made.text.startswith('The answer: "A bee."')
    assert "Pictures that were looked at: 1, 2." in made.text
    assert made.artifact.blocks[0].block == "b2"
    assert (wrong.is_error, file.is_error, done.is_error) == (True, True, False)
    assert "no picture 7; it has 2" in wrong.content[0].text
    assert [p["number"] for p in done.structured_content["pictures"]] == [2]
