"""langgraph.json as a LangGraph server serves it, met with RemoteGraph: start, stream, interrupt, resume, result.

`langgraph dev` (langgraph-cli[inmem]) wants other versions of grpcio and protobuf than limner's own parts, so it lives
in an environment of its own: put its bin folder at the end of PATH to run these tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_sync_client
from scripted import ScriptedServer, article_answers, last_text
from servers import free_port, until

ROOT = Path(__file__).parents[2]
LANGGRAPH = shutil.which("langgraph")
pytestmark = pytest.mark.skipif(LANGGRAPH is None, reason="langgraph-cli[inmem] is not on PATH")


@pytest.fixture
def url(bees: Path, home: Path, tmp_path: Path) -> Iterator[str]:
    """A server over limner's langgraph.json, with a scripted model behind it."""
    write = article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Any:
        if "The editor wishes: " in last_text(body):
            command = {"do": "set_title", "block": 0, "image": 0, "where": "after", "text": "Sweet"}
            return json.dumps({"commands": [command], "cannot": ""})
        return write(body)

    app = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    graphs = {name: str(ROOT / path) for name, path in app["graphs"].items()}
    (tmp_path / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    port = free_port()
    with ScriptedServer(answer) as model, (tmp_path / "log").open("wb") as log:
        assert LANGGRAPH
        process = subprocess.Popen(
            [LANGGRAPH, "dev", "--no-browser", "--no-reload", "--port", str(port), "--config", "langgraph.json"],
            cwd=tmp_path,
            env={**os.environ, "LIMNER_HOME": str(home), "LIMNER_MODEL_URL": model.url, "LANGSMITH_TRACING": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"

            def there() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
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
def client(url: str) -> Iterator[Any]:
    """The SDK's client, closed in the end: RemoteGraph would leave one of its own open."""
    made = get_sync_client(url=url)
    yield made
    made.http.client.close()


def thread(url: str) -> Any:
    made = httpx.post(f"{url}/threads", json={}).json()["thread_id"]
    return {"configurable": {"thread_id": made}}


def test_an_article_is_composed_reviewed_and_revised(url: str, client: Any) -> None:
    compose = RemoteGraph("compose", sync_client=client)
    config = thread(url)
    start = {"brief": {"text": "Honey", "images": 1, "review": ["draft"]}}
    events = list(compose.stream(start, config, stream_mode=["custom", "updates"], subgraphs=True))
    texts = [event for _, mode, event in events if mode == "custom" and event.get("kind") == "text"]
    assert texts
    (asked,) = compose.get_state(config).interrupts
    assert asked.value["action_request"]["action"] == "review_draft"
    done = compose.invoke(Command(resume={"type": "accept", "args": None}), config)
    assert done["article"]["title"] == "How Bees Make Honey"
    assert compose.get_state(config).next == ()

    revise = RemoteGraph("revise", sync_client=client)
    config = thread(url)
    revise.invoke({"article": done["article"], "wish": "Call it Sweet."}, config)
    (asked,) = revise.get_state(config).interrupts
    assert asked.value["action_request"]["args"]["edits"][0]["do"] == "set_title"
    assert revise.invoke(Command(resume={"type": "accept", "args": None}), config)["article"]["title"] == "Sweet"


def test_a_conversation_goes_on_in_its_thread(url: str, client: Any) -> None:
    chat = RemoteGraph("chat", sync_client=client)
    config = thread(url)
    asked = chat.invoke({"messages": [{"role": "user", "content": "An article, please"}]}, config)
    assert asked["messages"][-1]["content"].startswith("What shall the article be about?")
    made = chat.invoke({"messages": [{"role": "user", "content": "How bees make honey"}]}, config)
    assert made["article"]["title"] == "How Bees Make Honey"
    locked = chat.invoke({"messages": [{"role": "user", "content": "/lock b2"}]}, config)
    assert locked["article"]["locked"] == ["b2"]
    renamed = chat.invoke({"messages": [{"role": "user", "content": "Call it Sweet."}]}, config)
    assert renamed["article"]["title"] == "Sweet"
