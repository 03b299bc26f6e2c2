"""docs/chatbots.md: its Python runs, in order, against a scripted model and a real installation."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calling import Calls
from parts import served, working
from scripted import ScriptedServer, article_answers, asking

import limner
from limner.jobs.service import Jobs
from limner.surfaces.http.app import create_app
from limner.tools.encoders import default_encoders
from limner.tools.library import index

PAGE = Path(__file__).parents[2] / "docs" / "chatbots.md"


def test_the_examples_of_the_page_run(
    bees: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    index(home, "photos", [bees], default_encoders())
    turns: list[Any] = [
        ("compose_article", {"brief": "Honey", "images": 2}),
        "Here it is.",
        ("compose_article", {"images": 2}),
    ]
    write = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Any:
        if asking(body) != "chat":
            return write(body)
        turn = turns.pop(0)
        return turn if isinstance(turn, str) else Calls([turn], stream=bool(body.get("stream")))

    page = re.sub(
        r"(?s)\n## LangGraph server and AG-UI\n.*?(?=\n## )", "", PAGE.read_text(encoding="utf-8")
    )  # -m server
    examples = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with ScriptedServer(answer) as model:
        monkeypatch.setenv("LIMNER_MODEL_URL", model.url)
        with closing(Jobs()) as jobs, working(jobs), served(create_app(jobs.settings, jobs)) as url:
            examples = examples.replace("http://localhost:8000/v1", model.url).replace("http://localhost:8642", url)
            exec(compile(examples, "chatbots.md", "exec", dont_inherit=True), {})
    said = capfd.readouterr().out
    assert "I wrote “How Bees Make Honey”." in said
    assert "Here it is." in said
    assert "['text', 'image', 'resource_link']" in said
    assert "limner:job=" in said
    assert "**Review of the draft.** The text." in said
    assert turns == []


def test_langgraph_json_names_graphs_that_are_there() -> None:
    from importlib import import_module

    root = PAGE.parents[1]
    graphs = json.loads((root / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    for name, place in graphs.items():
        path, _, factory = place.partition(":")
        module = import_module(path.removeprefix("./").removesuffix(".py").replace("/", "."))
        made = getattr(module, factory)({})
        assert made.get_input_jsonschema()["properties"], name
    assert limner.__version__
