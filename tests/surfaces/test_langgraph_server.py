"""langgraph.json as a LangGraph server serves it, met with RemoteGraph: start, stream, interrupt, resume, result.

`langgraph dev` (langgraph-cli[inmem]) wants other versions of grpcio and protobuf than limner's own parts, so it lives
in an environment of its own: .ci/server makes it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import APIStatusError
from packages import in_own_environment
from scripted import ScriptedServer, article_answers, asking, last_text
from servers import free_port, until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "chatbots.md"
pytestmark = in_own_environment("langgraph_api", "LangGraph's server")


@pytest.fixture(scope="module")
def writing() -> threading.Event:
    """While it is not set, the writer's answer is held back."""
    return threading.Event()


@pytest.fixture
def slow(writing: threading.Event) -> threading.Event:
    """The same, set from the start of a test."""
    writing.set()
    return writing


@pytest.fixture(scope="module")
def served(
    indexed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, writing: threading.Event
) -> Iterator[str]:
    """A server over limner's langgraph.json, with a scripted model behind it."""
    write = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Any:
        if asking(body) == "writer":
            writing.wait(60)
        if "The editor wishes: " in last_text(body):
            command = {"do": "set_title", "block": 0, "image": 0, "where": "after", "text": "Sweet"}
            return json.dumps({"commands": [command], "cannot": ""})
        return write(body)

    folder = tmp_path_factory.mktemp("served")
    app = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    graphs = {name: str(ROOT / path) for name, path in app["graphs"].items()}
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    shutil.copytree(indexed[0], folder / "home")
    port = free_port()
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload"]
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("LIMNER_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_"))}
    with ScriptedServer(answer) as model, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--config", "langgraph.json"],
            cwd=folder,
            env={
                **ours,
                "LIMNER_HOME": str(folder / "home"),
                "LIMNER_MODEL_URL": model.url,
                "LANGSMITH_TRACING": "false",
                "LANGGRAPH_CLI_NO_ANALYTICS": "1",  # nothing of a test leaves the machine
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"

            def there() -> bool:
                assert process.poll() is None, (folder / "log").read_text()[-3000:]
                try:
                    return httpx.get(f"{address}/ok").status_code == 200
                except httpx.TransportError:
                    return False

            until(there, "langgraph dev")
            yield address
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@pytest.fixture
def url(served: str, slow: threading.Event) -> str:
    return served


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """The SDK's client, closed in the end: RemoteGraph would leave one of its own open."""
    made = get_sync_client(url=url)
    yield made
    made.http.client.close()


def thread(url: str) -> Any:
    made = httpx.post(f"{url}/threads", json={}).json()["thread_id"]
    return {"configurable": {"thread_id": made}}


def rendered(value: dict[str, Any]) -> None:
    """A question has what agent-inbox and agent-chat-ui ask for before they show it with buttons."""
    request, config = value["action_request"], value["config"]
    assert isinstance(request["action"], str)
    assert isinstance(request["args"], dict)
    assert {k: type(v) for k, v in config.items()} == {
        f"allow_{k}": bool for k in ("ignore", "respond", "edit", "accept")
    }
    assert isinstance(value["description"], str)
    (asked,), (reviewed,) = value["action_requests"], value["review_configs"]
    assert isinstance(asked["name"], str)
    assert isinstance(asked["args"], dict)
    assert reviewed["action_name"] == asked["name"]
    assert set(reviewed["allowed_decisions"]) <= {"approve", "edit", "reject"}


def test_an_article_is_composed_reviewed_and_revised(url: str, client: Any) -> None:
    compose = RemoteGraph("compose", sync_client=client)
    config = thread(url)
    start = {"brief": {"text": "Honey", "images": 1, "review": ["draft"]}}
    events = list(compose.stream(start, config, stream_mode=["custom", "updates"], subgraphs=True))
    texts = [event for _, mode, event in events if mode == "custom" and event.get("kind") == "text"]
    assert texts
    (asked,) = compose.get_state(config).interrupts
    assert asked.value["action_request"]["action"] == "review_draft"
    rendered(asked.value)
    compose.invoke(Command(resume={"decisions": [{"type": "reject"}]}), config)  # without a word of what is wrong
    (asked,) = compose.get_state(config).interrupts
    assert "could not be taken" in asked.value["description"]
    done = compose.invoke(Command(resume={"type": "accept", "args": None}), config)
    assert done["article"]["title"] == "How Bees Make Honey"
    assert compose.get_state(config).next == ()

    revise = RemoteGraph("revise", sync_client=client)
    config = thread(url)
    revise.invoke({"article": done["article"], "instruction": "Call it Sweet."}, config)
    (asked,) = revise.get_state(config).interrupts
    assert asked.value["action_request"]["args"]["edits"][0]["do"] == "set_title"
    assert revise.invoke(Command(resume={"type": "accept", "args": None}), config)["article"]["title"] == "Sweet"


def test_a_conversation_goes_on_in_its_thread(url: str, client: Any) -> None:
    chat = RemoteGraph("chat", sync_client=client)
    config = thread(url)
    asked = chat.invoke({"messages": [{"role": "user", "content": "An article, please"}]}, config)
    assert asked["messages"][-1]["content"].startswith("What is the article about?")
    made = chat.invoke({"messages": [{"role": "user", "content": "How bees make honey"}]}, config)
    assert made["article"]["title"] == "How Bees Make Honey"
    locked = chat.invoke({"messages": [{"role": "user", "content": "/lock b2"}]}, config)
    assert locked["article"]["locked"] == ["b2"]
    renamed = chat.invoke({"messages": [{"role": "user", "content": "Call it Sweet."}]}, config)
    assert renamed["article"]["title"] == "Sweet"


def test_a_conversation_stops_for_a_review_and_takes_a_decision_of_agent_chat_ui(url: str, client: Any) -> None:
    chat = RemoteGraph("chat", sync_client=client)
    config = thread(url)
    said = {"messages": [{"role": "user", "content": "/review draft,images How bees make honey"}]}
    events = list(chat.stream(said, config, stream_mode=["custom", "messages-tuple"], subgraphs=True))
    assert any(mode == "custom" and event.get("kind") == "text" for _, mode, event in events)
    (asked,) = chat.get_state(config).interrupts
    rendered(asked.value)
    args = {**asked.value["action_requests"][0]["args"], "title": "Sweet"}
    args["blocks"] = json.dumps(args["blocks"])  # as the inboxes send what is no text
    edited = {"type": "edit", "edited_action": {"name": "review_draft", "args": args}}
    chat.invoke(Command(resume={"decisions": [edited]}), config)
    (asked,) = chat.get_state(config).interrupts
    rendered(asked.value)
    done = chat.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert done["article"]["title"] == "Sweet"
    assert len(done["article"]["illustrations"]) > 0


def test_a_client_that_goes_away_finds_its_question_later(url: str, client: Any, slow: threading.Event) -> None:
    slow.clear()
    compose = RemoteGraph("compose", sync_client=client)
    config = thread(url)
    start = {"brief": {"text": "Honey", "images": 0, "review": ["draft"]}}
    with httpx.stream(
        "POST",
        f"{url}/threads/{config['configurable']['thread_id']}/runs/stream",
        json={"assistant_id": "compose", "input": start, "stream_mode": ["custom"]},
    ) as stream:
        next(stream.iter_lines())
    slow.set()
    until(lambda: len(compose.get_state(config).interrupts) == 1, "the question")
    done = compose.invoke(Command(resume={"type": "accept"}), config)
    assert done["article"]["title"] == "How Bees Make Honey"


def test_two_clients_on_one_thread_do_not_both_run(url: str, client: Any, slow: threading.Event) -> None:
    """The second is refused while the first is at work, as its strategy wants, and the first ends as if alone."""
    slow.clear()
    config = thread(url)
    name = config["configurable"]["thread_id"]
    start = {"brief": {"text": "Honey", "images": 0}}
    first = client.runs.create(name, "compose", input=start)
    with pytest.raises(APIStatusError) as refused:
        client.runs.create(name, "compose", input=start, multitask_strategy="reject")
    assert refused.value.status_code in (409, 422)
    slow.set()
    assert client.runs.join(name, first["run_id"])["article"]["title"] == "How Bees Make Honey"


def test_a_graph_that_is_not_there_is_said(url: str, client: Any) -> None:
    with pytest.raises(APIStatusError, match="nothing") as refused:
        RemoteGraph("nothing", sync_client=client).invoke({"brief": {"text": "Honey"}}, thread(url))
    assert refused.value.status_code in (404, 422)


def test_an_answer_for_a_thread_that_is_not_there_composes_nothing(url: str, client: Any) -> None:
    """RemoteGraph makes the thread; there is nothing in it that could go on, which is LangGraph's to say."""
    nowhere: Any = {"configurable": {"thread_id": "00000000-0000-0000-0000-000000000000"}}
    compose = RemoteGraph("compose", sync_client=client)
    with pytest.raises(RemoteException):
        compose.invoke(Command(resume={"type": "accept"}), nowhere)
    assert not compose.get_state(nowhere).values.get("article")


def test_a_brief_that_is_none_fails_its_run_and_says_why(url: str, client: Any) -> None:
    config = thread(url)
    with pytest.raises(RemoteException, match="images"):
        RemoteGraph("compose", sync_client=client).invoke({"brief": {"text": "Honey", "images": "many"}}, config)


def test_the_example_of_the_page_runs(url: str, client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## LangGraph server and AG-UI\n")[2].partition("\n## ")[0]
    examples = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert examples
    code = "\n".join(examples).replace("http://localhost:2024", url)
    exec(compile(code, "chatbots.md", "exec", dont_inherit=True), {})
    assert "How Bees Make Honey" in capsys.readouterr().out
