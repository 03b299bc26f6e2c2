"""What does each surface for chatbots add to the bare graph, and what does importing limner cost?

    uv run bench/chat.py [--runs N]

surfaces  The same article of two images through each surface, against a scripted model server that answers at once, so
          that all the time is ours: seconds for an article over those of the bare graph in the same round, and events
          that reach the caller a second. Jobs are worked on by a thread of the same process, which looks every 50 ms.
           LangGraph's server and AG-UI are measured where they are installed: .ci/server.txt, and limner[mcp].
import    `import limner`, and the first `limner.build_graph(...)` over a library with a chat model that is handed in,
          against `import langgraph.graph`: in processes of their own, in turn, bytecode warm.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from parts import served, working  # noqa: E402  # pyright: ignore[reportMissingImports]  # tests' helpers
from pictures import make_folder  # noqa: E402  # pyright: ignore[reportMissingImports]
from scripted import ScriptedServer, article_answers  # noqa: E402  # pyright: ignore[reportMissingImports]

BRIEF = "How bees make honey"


def main() -> None:
    """Measure and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    runs = options.parse_args().runs
    load = os.getloadavg()[0]
    print(
        f"{date.today()}; {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} before; fastest of {runs} runs"
    )
    print(", ".join(f"{name} {version(name)}" for name in ("langgraph", "langchain-core", "mcp", "openai", "fastapi")))
    print("\n| surface | seconds for an article | over the bare graph | events a second |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home, ScriptedServer(article_answers(sees=True)) as model:
        os.environ.update(LIMNER_HOME=home, LIMNER_MODEL_URL=model.url)
        for name, bare, took, events in measured(surfaces(Path(home), model.url), runs):
            print(f"| {name} | {took:.3f} | {took - bare:+.3f} | {events / took:.0f} |")
        print("\n| import | seconds | over langgraph |\n|---|---|---|")
        seconds = imported(2 * runs + 1)
        for name, took in seconds.items():
            print(f"| {name} | {took:.3f} | {took / seconds['langgraph.graph']:.2f} x |")


def measured(surfaces: Iterator[tuple[str, Callable[[], int]]], runs: int) -> Iterator[tuple[str, float, float, float]]:
    """(surface, seconds of the bare graph beside it, seconds, events of a run)."""
    _, bare = next(surfaces)
    timed(bare)  # opens the library, probes the model
    yield "bare graph", *row(bare, bare, runs)
    for name, run in surfaces:
        timed(run)
        yield name, *row(bare, run, runs)


def row(bare: Callable[[], int], run: Callable[[], int], runs: int) -> tuple[float, float, float]:
    """Both in turn, so that they meet the same machine; of each the fastest, which other programs slowed least."""
    pairs = [(timed(bare), timed(run)) for _ in range(runs)]
    return (
        min(b[0] for b, _ in pairs),
        min(r[0] for _, r in pairs),
        statistics.median(r[1] for _, r in pairs),
    )


def timed(run: Callable[[], int]) -> tuple[float, int]:
    """(seconds, events)."""
    begun = time.perf_counter()
    events = run()
    return time.perf_counter() - begun, events


def surfaces(home: Path, url: str) -> Iterator[tuple[str, Callable[[], int]]]:
    """Each surface as a function that makes an article and counts the events that reached it."""
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph
    from pydantic import SecretStr
    from typing_extensions import TypedDict

    import limner
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index
    from limner.workflows.roles import models_for

    index(home, "bees", [make_folder(home / "photos")], default_encoders())
    model = ChatOpenAI(base_url=url, model="scripted-7b", api_key=SecretStr("none"))
    context = limner.build_context(library="bees", models=models_for(model, None))
    compose = limner.build_graph(context=context)
    start: Any = {"brief": limner.Brief(text=BRIEF, images=2)}
    yield "bare graph", lambda: sum(1 for _ in compose.stream(start, stream_mode="custom"))

    class Mine(TypedDict):
        title: str

    def node(state: Mine) -> Mine:
        return {"title": compose.invoke(start)["article"].title}

    parent = StateGraph(Mine)
    parent.add_node("node", node)
    parent.add_edge(START, "node")
    parent.add_edge("node", END)
    graph = parent.compile(checkpointer=InMemorySaver())
    threads = iter(range(10**9))

    def config() -> Any:
        return {"configurable": {"thread_id": str(next(threads))}}

    yield (
        "within a parent graph",
        lambda: sum(1 for _ in graph.stream({"title": ""}, config(), stream_mode="custom", subgraphs=True)),
    )
    tool = limner.toolbox(context=context, only=("compose_article",))[0]
    yield "LangChain tool", lambda: len([tool.invoke({"brief": BRIEF, "images": 2})])
    yield "LangChain tool, asked once on the way", lambda: asked_on_the_way(limner.toolbox(context=context))
    chat = limner.build_chat_graph(context=context, checkpointer=InMemorySaver())
    said: Any = {"messages": [("user", BRIEF)]}
    yield (
        "chat graph",
        lambda: sum(1 for _ in chat.stream(said, config(), stream_mode="custom", subgraphs=True)),
    )
    from limner.surfaces.mcp import build_server
    from limner.surfaces.mcp_http import http_app
    from limner.surfaces.toolbox.tools import Toolbox

    server = build_server(Toolbox(context))
    yield "MCP, in memory", by_mcp(lambda: server)
    with by_http(http_app, Toolbox(context)) as place:
        yield "MCP, by HTTP", by_mcp(lambda: place)
    with by_completions() as run:
        yield "chat completions, through a job", run
    if find_spec("ag_ui_langgraph"):
        with by_ag_ui(context) as run:
            yield "AG-UI, by HTTP", run
    if find_spec("langgraph_api"):
        with by_langgraph_server(home) as run:
            yield "LangGraph server", run


def asked_on_the_way(tools: list[Any]) -> int:
    """compose_article with a review of the draft, and answer_review: what keeping the composition meanwhile adds."""
    compose, answer = (next(t for t in tools if t.name == name) for name in ("compose_article", "answer_review"))
    order = {"brief": BRIEF, "images": 2, "review": ["draft"]}
    asked = compose.invoke({"name": compose.name, "args": order, "id": "1", "type": "tool_call"})
    article = asked.text.partition("Article ")[2].partition(" ")[0]
    answer.invoke({"article": article, "type": "accept", "version": asked.artifact["version"]})
    return 2


def by_mcp(place: Callable[[], Any]) -> Callable[[], int]:
    """compose_article over an MCP session of its own; its progress notifications are counted."""
    import anyio
    import mcp

    async def ask() -> int:
        heard = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(message)

        async with mcp.Client(place()) as client:
            done = await client.call_tool("compose_article", {"brief": BRIEF, "images": 2}, progress_callback=hear)
            assert not done.is_error, done
        return len(heard)

    return lambda: anyio.run(ask)


@contextmanager
def by_http(app: Any, shop: Any) -> Iterator[str]:
    """The MCP server behind the guard of limner's API."""
    from limner.jobs.service import Jobs

    with closing(Jobs()) as jobs, served(app(shop, jobs.owners)) as url:
        yield f"{url}/mcp"


@contextmanager
def by_ag_ui(context: Any) -> Iterator[Callable[[], int]]:
    """The chat graph behind `ag-ui-langgraph`; the server's events are counted."""
    import httpx
    from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint  # pyright: ignore[reportMissingImports]
    from fastapi import FastAPI
    from langgraph.checkpoint.memory import InMemorySaver

    import limner

    app, rounds = FastAPI(), iter(range(10**9))
    graph = limner.build_chat_graph(context=context, checkpointer=InMemorySaver())
    add_langgraph_fastapi_endpoint(app, LangGraphAgent(name="limner", graph=graph), "/")
    with served(app) as url, httpx.Client(timeout=60) as client:

        def run() -> int:
            said = [{"id": "1", "role": "user", "content": BRIEF}]
            body = {"threadId": str(next(rounds)), "runId": "1", "messages": said}
            body |= {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
            with client.stream("POST", url, json=body, headers={"Accept": "text/event-stream"}) as stream:
                return sum(line.startswith("data:") for line in stream.iter_lines())

        yield run


@contextmanager
def by_langgraph_server(home: Path) -> Iterator[Callable[[], int]]:
    """`langgraph dev` over limner's langgraph.json, met with RemoteGraph; custom events are counted."""
    import httpx
    from langgraph.pregel.remote import RemoteGraph
    from langgraph_sdk import get_sync_client
    from servers import free_port, until  # pyright: ignore[reportMissingImports]

    graphs = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    graphs = {name: str(ROOT / path) for name, path in graphs.items()}
    (home / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload"]
    quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    process = subprocess.Popen(
        [*command, "--port", url.rpartition(":")[2]],
        cwd=home,
        env={**os.environ, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def there() -> bool:
        try:
            return httpx.get(f"{url}/ok").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(there, "langgraph dev")
        with get_sync_client(url=url) as client:
            remote = RemoteGraph("compose", sync_client=client)

            def run() -> int:
                thread = client.threads.create()["thread_id"]
                config: Any = {"configurable": {"thread_id": thread, "limner_libraries": ["bees"]}}
                start = {"brief": {"text": BRIEF, "images": 2}}
                return sum(1 for _ in remote.stream(start, config, stream_mode=["custom"], subgraphs=True))

            yield run
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextmanager
def by_completions() -> Iterator[Callable[[], int]]:
    """The openai SDK over HTTP, with a worker in a thread; chunks are counted."""
    import openai

    from limner.jobs.service import Jobs
    from limner.surfaces.http.app import create_app

    with closing(Jobs()) as jobs, working(jobs), served(create_app(jobs.settings, jobs)) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        rounds = iter(range(10**9))

        def run() -> int:
            said: Any = [{"role": "user", "content": f"{BRIEF}, {next(rounds)}"}]
            stream: Any = client.chat.completions.create(
                model="limner/bees", messages=said, stream=True, extra_body={"limner": {"images": 2}}
            )
            return sum(1 for _ in stream)

        yield run
        client.close()


_MODEL = "from langchain_core.language_models import FakeListChatModel as Model"
IMPORTS = {
    "langgraph.graph": "import langgraph.graph",
    "limner": "import limner",
    "langgraph.graph and a chat model": f"import langgraph.graph; {_MODEL}",
    "limner, a chat model and build_graph": (
        f"import limner; {_MODEL}; limner.build_graph(library='bees', model=Model(responses=[]))"
    ),
}


def imported(runs: int) -> dict[str, float]:
    """Seconds of processor time that each takes in a process of its own, the median; a first run compiles."""
    took: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as bytecode:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": bytecode}
        for _ in range(runs + 1):
            for name, code in IMPORTS.items():
                command = [sys.executable, "-c", f"{code}; import time; print(time.process_time())"]
                done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
                took[name].append(float(done.stdout))
    return {name: statistics.median(times[1:]) for name, times in took.items()}


if __name__ == "__main__":
    main()
