"""limner over MCP, as the official SDK's client meets it: in a child over stdio, and over HTTP behind the guard."""

from __future__ import annotations

import base64
import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp
import pytest
from langchain_openai import ChatOpenAI
from mcp import StdioServerParameters
from parts import served
from PIL import Image
from scripted import Delayed, ScriptedServer, article_answers, asking
from servers import until

import limner
from limner.workflows.jobs.service import Jobs
from limner.workflows.mcp import build_server, http_app
from limner.workflows.run import build_context, models_for
from limner.workflows.toolbox.craft import Shop

from test_toolbox import NAMES  # isort: skip


def shop(server: ScriptedServer, **parts: Any) -> Shop:
    model = ChatOpenAI(base_url=server.url, model="scripted-7b", api_key="none", max_retries=0)  # type: ignore[arg-type]
    return Shop(build_context(library="bees", models=models_for(model, None)), **parts)


def text(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


def test_over_stdio_an_article_is_composed_shown_and_read(bees: Path, home: Path) -> None:
    """Start, progress, result, resources: `limner mcp` as a client starts it."""
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async def talk(url: str) -> None:
        environment = {**os.environ, "LIMNER_HOME": str(home), "LIMNER_MODEL_URL": url}
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "limner.workflows.cli", "mcp", "--library", "bees"], env=environment
        )
        async with mcp.Client(command) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == NAMES
            assert tools[0].input_schema["properties"]["brief"]["description"]
            done = await client.call_tool("compose_article", {"brief": "Honey", "images": 2}, progress_callback=hear)
            assert not done.is_error, text(done)
            assert "How Bees Make Honey" in text(done)
            pictures = [part for part in done.content if part.type == "image"]
            assert len(pictures) == 2
            assert Image.open(io.BytesIO(base64.b64decode(pictures[0].data))).format == "WEBP"
            article = done.structured_content["article"]
            (listed,) = (await client.list_resources()).resources
            assert listed.uri == f"limner://articles/{article}/article.md"
            (page,) = (await client.read_resource(listed.uri)).contents
            assert page.text.startswith("# How Bees Make Honey")
            image = done.structured_content["images"][0]["image_id"]
            assert f"](images/{image}.webp)" in page.text
            uri = f"limner://articles/{article}/images/{image}.webp"
            (blob,) = (await client.read_resource(uri)).contents
            assert Image.open(io.BytesIO(base64.b64decode(blob.blob))).width > 100
            found = await client.call_tool("search_images", {"query": "bee", "count": 2})
            assert [part.type for part in found.content] == ["text", "image", "image"]

    with ScriptedServer(article_answers(sees=True)) as server:
        anyio.run(talk, server.url)
    assert [p for p, _ in heard] == sorted({p for p, _ in heard})
    assert any("writing" in (m or "") for _, m in heard)
    assert any("choosing images" in (m or "") for _, m in heard)


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("compose_article", {"brief": "Honey", "images": "many"}, "Correct the arguments and call it again"),
        ("compose_article", {"brief": " "}, "The brief is empty"),
        ("get_article", {"article": "../x"}, "There is no article"),
        ("steal", {}, "There is no tool 'steal'"),
    ],
)
def test_a_mistake_is_a_result_that_says_so(bees: Path, tool: str, arguments: dict[str, Any], says: str) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(shop(server))) as client:
            answer = await client.call_tool(tool, arguments)
        assert answer.is_error
        assert says in text(answer)
        assert "\n" not in text(answer)

    with ScriptedServer(article_answers()) as server:
        anyio.run(talk, server)


def test_a_resource_that_is_not_there_says_so(bees: Path) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(shop(server))) as client:
            for uri in (
                "limner://articles/no-such/article.md",
                "limner://articles/%2e%2e/article.md",
                "file:///etc/hosts",
            ):
                with pytest.raises(mcp.MCPError, match="There is no"):
                    await client.read_resource(uri)

    with ScriptedServer(article_answers()) as server:
        anyio.run(talk, server)


def test_a_cancelled_call_stops_asking_the_model(bees: Path) -> None:
    """The writer's words are on their way when the client gives up: no further call is made for it."""
    writing, heard = threading.Event(), []

    def slow(body: dict[str, Any]) -> Any:
        answer = article_answers(sees=True)(body)
        if asking(body) != "writer":
            return answer
        writing.set()
        return Delayed(str(answer), 3)

    async def talk(server: ScriptedServer) -> None:
        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(message)
            scope.cancel()

        async with mcp.Client(build_server(shop(server))) as client:
            with anyio.CancelScope() as scope:
                await client.call_tool("compose_article", {"brief": "Honey"}, progress_callback=hear)
            assert scope.cancelled_caught
            other = await client.call_tool("search_images", {"query": "bee"})  # the session lives on
            assert not other.is_error

    with ScriptedServer(slow) as server:
        anyio.run(talk, server)
        until(server.hung_up.is_set, "the call to the model to be given up")
        assert [asking(body) for body in server.requests if asking(body) != "probe"] == ["writer"]
    assert heard


# --- HTTP ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def test_over_http_each_token_has_its_own_articles(bees: Path, jobs: Jobs) -> None:
    tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("acme", "rival")}

    async def talk(url: str, token: str, tool: str, arguments: dict[str, Any]) -> Any:
        from mcp.client.streamable_http import streamable_http_client

        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
            transport = streamable_http_client(f"{url}/mcp", http_client=http)
            async with mcp.Client(transport) as client:
                return await client.call_tool(tool, arguments)

    with ScriptedServer(article_answers(sees=True)) as server, served(http_app(shop(server), jobs.owners)) as url:
        made = anyio.run(talk, url, tokens["acme"], "compose_article", {"brief": "Honey", "images": 1})
        article = {"article": made.structured_content["article"]}
        mine = anyio.run(talk, url, tokens["acme"], "get_article", article)
        theirs = anyio.run(talk, url, tokens["rival"], "get_article", article)
    assert not mine.is_error
    assert theirs.is_error
    assert "How Bees" not in text(theirs)


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({}, 401, "token"),
        ({"Authorization": "Bearer wrong"}, 401, "token"),
        ({"Origin": "https://evil.example", "Authorization": "Bearer right"}, 403, "LIMNER_HOSTS"),
        ({"Host": "evil.example", "Authorization": "Bearer right"}, 403, "LIMNER_HOSTS"),
    ],
)
def test_over_http_a_stranger_gets_nothing(
    bees: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int, says: str
) -> None:
    monkeypatch.setenv("LIMNER_TOKEN", "right")
    jobs = Jobs()
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    try:
        with ScriptedServer(article_answers()) as server, served(http_app(shop(server), jobs.owners)) as url:
            accept = {"Accept": "application/json, text/event-stream"}
            answer = httpx.post(f"{url}/mcp", json=hello, headers={**accept, **headers})
    finally:
        jobs.close()
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_importing_the_server_needs_no_torch_and_no_web_framework() -> None:
    import subprocess

    code = (
        "import sys, limner.workflows.mcp; print([m for m in ('torch', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
    assert limner.__version__
