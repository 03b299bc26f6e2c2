"""examples/ag_ui_server.py, met with the client of AG-UI that front ends such as CopilotKit use: npm's @ag-ui/client.

Its environment, that of .ci/server.txt, has a node and the client in it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from packages import in_own_environment
from parts import served
from scripted import ScriptedServer, article_answers, asking

import limner

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "chatbots.md"
pytestmark = [
    *in_own_environment("ag_ui_langgraph", "AG-UI"),
    pytest.mark.filterwarnings("ignore:`get_config_jsonschema` is deprecated"),  # which ag-ui-langgraph calls
]


def node(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("node")), *arguments]


ENVIRONMENT = {**os.environ, "NODE_PATH": str(Path(sys.prefix) / "node_modules")}


class Front:
    """A front end in one thread."""

    def __init__(self, url: str, thread: str) -> None:
        command = node(str(Path(__file__).with_name("ag_ui_client.cjs")), url, thread)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )

    def run(self, **asked: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """(events of the run, how it ended)."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        events = []
        for line in self.process.stdout:
            event = json.loads(line)
            if event.get("end"):
                return events, event
            events.append(event)
        raise AssertionError(f"the client ended with {self.process.wait()}")

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(article_answers(sees=True)) as server:
        yield server


@pytest.fixture(scope="module")
def url(indexed: tuple[Path, Path], model: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example; and the same with AG-UI's own word for an interrupt, at /outcomes."""
    from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
    from langgraph.checkpoint.memory import InMemorySaver

    home = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(indexed[0], home)
    spec = importlib.util.spec_from_file_location("ag_ui_server", ROOT / "examples" / "ag_ui_server.py")
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_HOME", str(home))
        patch.setenv("LIMNER_MODEL_URL", model.url)
        spec.loader.exec_module(example)
        graph = limner.build_chat_graph(library="bees", checkpointer=InMemorySaver())
    outcomes = LangGraphAgent(name="outcomes", graph=graph, emit_interrupt_outcome=True)
    add_langgraph_fastapi_endpoint(example.app, outcomes, "/outcomes")
    with served(example.app) as address:
        yield address


@pytest.fixture
def front(url: str, request: pytest.FixtureRequest) -> Iterator[Front]:
    made = Front(f"{url}{getattr(request, 'param', '/')}", request.node.name)
    yield made
    made.close()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_an_article_is_asked_about_answered_and_shown(front: Front, model: ScriptedServer) -> None:
    """Start, stream, interrupt, resume, result, by the event that CopilotKit knows."""
    before = sum(asking(body) == "writer" for body in model.requests)
    events, _ = front.run(say="/review draft,images How bees make honey")
    assert kinds(events)[0] == "RUN_STARTED"
    assert kinds(events)[-1] == "RUN_FINISHED"
    assert {"write", "review_draft"} <= {e["stepName"] for e in events if e["type"] == "STEP_STARTED"}
    written = [
        e["event"]["data"]["chunk"] for e in events if e["type"] == "RAW" and "chunk" in e["event"].get("data", {})
    ]
    assert any("A worker bee" in json.dumps(chunk) for chunk in written)
    (asked,) = [json.loads(e["value"]) for e in events if e["type"] == "CUSTOM" and e["name"] == "on_interrupt"]
    assert asked["action_request"]["action"] == "review_draft"
    assert "TEXT_MESSAGE_CONTENT" not in kinds(events)  # prompts and answers within stay within

    events, _ = front.run(say="Hello?")  # no answer: it is asked again, and nothing is lost
    (again,) = [json.loads(e["value"]) for e in events if e["type"] == "CUSTOM" and e["name"] == "on_interrupt"]
    assert again["version"] == asked["version"]

    events, _ = front.run(props={"command": {"resume": {"type": "accept", "version": asked["version"]}}})
    (images,) = [json.loads(e["value"]) for e in events if e["type"] == "CUSTOM" and e["name"] == "on_interrupt"]
    assert images["point"] == "images"
    events, ended = front.run(props={"command": {"resume": {"type": "accept"}}})
    assert kinds(events)[-1] == "RUN_FINISHED"
    assert ended["state"]["article"]["title"] == "How Bees Make Honey"
    assert ended["messages"][-1]["role"] == "assistant"
    assert "picture 1 [" in ended["messages"][-1]["content"]
    assert sum(asking(body) == "writer" for body in model.requests) == before + 1
    _, ended = front.run(say="/lock b2")
    assert ended["state"]["article"]["locked"] == ["b2"]


@pytest.mark.parametrize("front", ["/outcomes"], indirect=True)
def test_an_interrupt_is_an_outcome_and_resumed_by_its_id(front: Front) -> None:
    """The same by AG-UI's own protocol for interrupts."""

    def interrupt(events: list[dict[str, Any]]) -> dict[str, Any]:
        (asked,) = events[-1]["outcome"]["interrupts"]
        return asked

    events, _ = front.run(say="/review draft How bees make honey")
    asked = interrupt(events)
    assert asked["metadata"]["langgraph"]["raw"]["action_request"]["action"] == "review_draft"
    odd = {"interruptId": asked["id"], "status": "resolved", "payload": {"type": "perhaps"}}
    events, _ = front.run(resume=[odd])
    again = interrupt(events)
    assert "could not be taken" in again["metadata"]["langgraph"]["raw"]["description"]
    accepted = {"interruptId": again["id"], "status": "resolved", "payload": {"type": "accept"}}
    events, ended = front.run(resume=[accepted])
    assert kinds(events)[-1] == "RUN_FINISHED"
    assert ended["state"]["article"]["title"] == "How Bees Make Honey"


def test_two_threads_have_nothing_in_common(url: str, front: Front) -> None:
    front.run(say="How bees make honey")
    other = Front(f"{url}/", "another")
    _, ended = other.run(say="/show")
    other.close()
    assert "There is no article yet" in ended["messages"][-1]["content"]


def test_a_client_that_goes_away_finds_its_thread_again(url: str, front: Front, request: pytest.FixtureRequest) -> None:
    body = {
        "threadId": request.node.name,
        "runId": "1",
        "messages": [{"id": "1", "role": "user", "content": "/review draft How bees make honey"}],
        "state": {},
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }
    with httpx.stream("POST", f"{url}/", json=body, headers={"Accept": "text/event-stream"}) as stream:
        next(stream.iter_lines())
    events, _ = front.run(say="/review draft How bees make honey")
    assert any(e["type"] == "CUSTOM" and e["name"] == "on_interrupt" for e in events)
    _, ended = front.run(props={"command": {"resume": {"type": "accept"}}})
    assert ended["state"]["article"]["title"] == "How Bees Make Honey"


@pytest.mark.parametrize(
    "body", [{}, {"threadId": "1", "runId": "1", "messages": "Honey", "state": {}, "tools": [], "context": []}]
)
def test_what_is_no_run_is_refused(url: str, body: Any) -> None:
    assert httpx.post(f"{url}/", json=body).status_code == 422


def test_the_example_of_the_page_runs(url: str, tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## LangGraph server and AG-UI\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```js\n(.*?)```", section, re.DOTALL)
    (tmp_path / "page.mjs").write_text(code.replace("http://localhost:8765", url))
    (tmp_path / "node_modules").symlink_to(Path(sys.prefix) / "node_modules")  # as `npm install` leaves it
    done = subprocess.run(node(str(tmp_path / "page.mjs")), capture_output=True, text=True, timeout=120)
    assert (done.returncode, "How Bees Make Honey" in done.stdout) == (0, True), done.stderr
