"""limner over MCP, as the official SDK's client meets it: in a child over stdio, and over HTTP behind the guard."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp
import mcp_types as types
import pytest
from langchain_openai import ChatOpenAI
from mcp import StdioServerParameters
from parts import NAMES, served, working
from PIL import Image
from revising import command, revising_answers
from scripted import Delayed, ScriptedServer, Status, article_answers, asking, last_text
from servers import until
from shell import Shell

import limner
from limner.jobs.service import Jobs
from limner.surfaces.mcp import build_server
from limner.surfaces.mcp_http import http_app
from limner.surfaces.toolbox.background import AT_ONCE
from limner.surfaces.toolbox.tools import Toolbox
from limner.workflows.context import build_context
from limner.workflows.roles import models_for


def toolbox(server: ScriptedServer, **parts: Any) -> Toolbox:
    model = ChatOpenAI(base_url=server.url, model="scripted-7b", api_key="none", max_retries=0)  # type: ignore[arg-type]
    return Toolbox(build_context(library="bees", models=models_for(model, None)), **parts)


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
            command=sys.executable, args=["-m", "limner.surfaces.cli.app", "mcp", "--library", "bees"], env=environment
        )
        async with mcp.Client(command) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == NAMES
            assert tools[0].input_schema["properties"]["brief"]["description"]
            order = {"brief": "Honey", "images": 2, "wait_seconds": 60}
            done = await client.call_tool("compose_article", order, progress_callback=hear)
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
        ("compose_article", {"brief": "Honey", "images": 101}, "less than or equal to 100"),
        ("compose_article", {"brief": " "}, "The brief is empty"),
        ("compose_article", None, "brief: Field required"),
        ("answer_review", {"article": "a-1", "type": "yes", "version": "1"}, "Correct the arguments and call it again"),
        ("answer_review", {"article": "a-1", "type": "accept", "version": "1"}, "There is no article"),
        ("get_article", {"article": "../x"}, "There is no article"),
        ("steal", {}, "There is no tool 'steal'"),
    ],
)
def test_a_mistake_is_a_result_that_says_so(bees: Path, tool: str, arguments: dict[str, Any] | None, says: str) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server))) as client:
            answer = await client.call_tool(tool, arguments)
        assert answer.is_error
        assert says in text(answer)
        assert "\n" not in text(answer)

    with ScriptedServer(article_answers()) as server:
        anyio.run(talk, server)


def test_a_resource_that_is_not_there_says_so(bees: Path) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server))) as client:
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

        async with mcp.Client(build_server(toolbox(server))) as client:
            with anyio.CancelScope() as scope:
                await client.call_tool("write", {"brief": "Honey"}, progress_callback=hear)
            assert scope.cancelled_caught
            other = await client.call_tool("search_images", {"query": "bee"})  # the session lives on
            assert not other.is_error

    with ScriptedServer(slow) as server:
        anyio.run(talk, server)
        until(server.hung_up.is_set, "the call to the model to be given up")
        assert [asking(body) for body in server.requests if asking(body) != "probe"] == ["writer"]
    assert heard


# --- a client that gives up ----------------------------------------------------------------------------------------


class Held:
    """Answers of a model, those of one role held back until they are let go."""

    def __init__(self, role: str) -> None:
        self.role, self.asked, self.go = role, threading.Event(), threading.Event()

    def __call__(self, body: dict[str, Any]) -> Any:
        if asking(body) == self.role:
            self.asked.set()
            self.go.wait(60)
        return article_answers(sees=True)(body)


async def finished(client: Any, handle: Any) -> Any:
    """The article of a handle, asked for as a model asks."""
    later = {"article": handle.structured_content["article"], "wait_seconds": 60}
    return await client.call_tool("get_article", later)


def test_a_handle_comes_at_once_and_the_work_goes_on_when_the_client_gives_up(bees: Path) -> None:
    held = Held("writer")

    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server))) as client:
            handle = await client.call_tool("compose_article", {"brief": "Honey", "images": 1})
            assert "Accepted as article" in text(handle)
            assert [part.type for part in handle.content] == ["text"]
            await anyio.to_thread.run_sync(held.asked.wait)
            far = await client.call_tool("get_article", {"article": handle.structured_content["article"]})
            assert "is not done yet" in text(far)
            with anyio.move_on_after(0.3) as gave_up:
                await finished(client, handle)
            assert gave_up.cancelled_caught
            held.go.set()
            done = await finished(client, handle)
        assert done.structured_content["title"] == "How Bees Make Honey", text(done)
        assert done.structured_content["article"] == handle.structured_content["article"]

    with ScriptedServer(held) as server:
        anyio.run(talk, server)
        assert sum(asking(body) == "writer" for body in server.requests) == 1


def test_a_composition_that_fails_says_so_to_who_asks(bees: Path) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server))) as client:
            handle = await client.call_tool("compose_article", {"brief": "Honey"})
            assert not handle.is_error
            for _ in range(2):
                failed = await finished(client, handle)
                assert failed.is_error
                assert "no article" in text(failed).lower() or "model" in text(failed).lower()
            other = await client.call_tool("search_images", {"query": "bee"})
            assert not other.is_error

    with ScriptedServer(lambda body: Status(500, {"error": "broken"})) as server:
        anyio.run(talk, server)


def test_more_compositions_at_once_than_a_process_takes_are_refused(bees: Path) -> None:
    held = Held("writer")

    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server))) as client:
            handles = [await client.call_tool("compose_article", {"brief": f"Honey {n}"}) for n in range(AT_ONCE)]
            one_more = await client.call_tool("compose_article", {"brief": "Honey"})
            assert (one_more.is_error, "being composed already" in text(one_more)) == (True, True)
            held.go.set()
            for handle in handles:
                assert not (await finished(client, handle)).is_error

    with ScriptedServer(held) as server:
        anyio.run(talk, server)


@pytest.mark.real
def test_another_process_goes_on_with_what_one_had_begun(bees: Path, home: Path) -> None:
    """The client ends its server, as clients do, while images are chosen: the text is not written again."""
    held = Held("selector")

    async def talk(url: str) -> None:
        environment = {**os.environ, "LIMNER_HOME": str(home), "LIMNER_MODEL_URL": url}
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "limner.surfaces.cli.app", "mcp", "--library", "bees"], env=environment
        )
        async with mcp.Client(command) as client:
            handle = await client.call_tool("compose_article", {"brief": "Honey", "images": 1})
            await anyio.to_thread.run_sync(held.asked.wait)
        held.go.set()
        async with mcp.Client(command) as client:
            done = await finished(client, handle)
        assert done.structured_content["title"] == "How Bees Make Honey", text(done)

    with ScriptedServer(held) as server:
        anyio.run(talk, server.url)
        assert sum(asking(body) == "writer" for body in server.requests) == 1


# --- review points: the tool, and a form of the client's -----------------------------------------------------------

ORDER = {"brief": "Honey", "images": 1, "review": ["draft", "images"], "wait_seconds": 60}
SWEET = {"do": "set_title", "block": 0, "image": 0, "where": "after", "text": "Sweet"}


def wished(body: dict[str, Any]) -> Any:
    """A model that can be told to call it Sweet."""
    if "The editor wishes:" in last_text(body):
        return json.dumps({"commands": [SWEET], "cannot": ""})
    return article_answers(sees=True)(body)


def answer_to(result: Any, kind: str, **args: Any) -> dict[str, Any]:
    made = result.structured_content
    given = {"article": made["article"], "type": kind, "version": made["question"]["version"]}
    return {**given, "wait_seconds": 60, **args}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_question_comes_back_with_a_handle_and_is_answered_by_the_tool(bees: Path, home: Path, mode: str) -> None:
    """Start, progress, question, answers, result, over stdio, with a client that has no forms."""
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async def talk(url: str) -> None:
        environment = {**os.environ, "LIMNER_HOME": str(home), "LIMNER_MODEL_URL": url}
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "limner.surfaces.cli.app", "mcp", "--library", "bees"], env=environment
        )
        async with mcp.Client(command, mode=mode) as client:
            draft = await client.call_tool("compose_article", ORDER, progress_callback=hear)
            assert draft.structured_content["question"]["action_request"]["action"] == "review_draft"
            assert f'version "{draft.structured_content["question"]["version"]}"' in text(draft)
            assert [part.type for part in draft.content] == ["text"]
            article = draft.structured_content["article"]
            shown = await client.call_tool("get_article", {"article": article})
            assert shown.structured_content == draft.structured_content
            exported = await client.call_tool("export_article", {"article": article})
            assert (exported.is_error, "waits for an answer" in text(exported)) == (True, True)
            instruction = answer_to(draft, "response", args="Call it Sweet.")
            again = await client.call_tool("answer_review", instruction)
            assert again.structured_content["question"]["action_request"]["args"]["title"] == "Sweet"
            late = await client.call_tool("answer_review", answer_to(draft, "accept"))
            assert (late.is_error, "an earlier version" in text(late)) == (True, True)
            odd = await client.call_tool("answer_review", answer_to(again, "edit", args="Honey"))
            assert (odd.is_error, 'an "edit" needs' in text(odd)) == (True, True)
            images = await client.call_tool("answer_review", answer_to(again, "accept"))
            assert images.structured_content["question"]["point"] == "images"
            assert [part.type for part in images.content] == ["text", "image"]
        # The server has ended and another one goes on.
        async with mcp.Client(command, mode=mode) as client:
            done = await client.call_tool("answer_review", answer_to(images, "accept"), progress_callback=hear)
            assert done.structured_content["title"] == "Sweet", text(done)
            assert [part.type for part in done.content] == ["text", "image", "resource_link"]
            twice = await client.call_tool("answer_review", answer_to(images, "accept"))
            assert (twice.is_error, "answered already" in text(twice)) == (True, True)
            unknown = await client.call_tool("answer_review", {**answer_to(images, "accept"), "article": "no-such"})
            assert (unknown.is_error, "There is no article" in text(unknown)) == (True, True)

    with ScriptedServer(wished) as server:
        anyio.run(talk, server.url)
        assert sum(asking(body) == "writer" for body in server.requests) == 1
    assert any("writing" in message for message in heard)


class Person:
    """Fills the client's forms, in turn."""

    def __init__(self, *answers: types.ElicitResult) -> None:
        self.answers, self.shown = list(answers), []

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.shown.append(params)
        return self.answers.pop(0)


def fills(**content: str) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content=dict(content))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_with_forms_asks_its_user_and_the_call_goes_on(bees: Path, mode: str) -> None:
    person = Person(fills(answer="response", say="Call it Sweet."), fills(answer="accept"), fills(answer="accept"))

    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server)), mode=mode, elicitation_callback=person) as client:
            done = await client.call_tool("compose_article", ORDER)
        assert done.structured_content["title"] == "Sweet", text(done)
        assert [part.type for part in done.content] == ["text", "image", "resource_link"]

    with ScriptedServer(wished) as server:
        anyio.run(talk, server)
        assert sum(asking(body) == "writer" for body in server.requests) == 1
    first, second, third = person.shown
    assert first.requested_schema["properties"]["answer"]["enum"] == ["accept", "response"]
    assert "A worker bee leaves the hive" in first.message
    assert 'title "Sweet"' in second.message
    assert "chosen" in third.message


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_user_who_does_not_answer_a_form_loses_nothing(bees: Path, mode: str) -> None:
    person = Person(types.ElicitResult(action="decline"), fills(answer="accept"))

    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server)), mode=mode, elicitation_callback=person) as client:
            left = await client.call_tool("compose_article", {**ORDER, "review": ["draft", "final"]})
            assert not left.is_error
            article = re.findall(r"Article ([\w-]+) waits", text(left))[0]
            asked = await client.call_tool("get_article", {"article": article})
            done = await client.call_tool("answer_review", answer_to(asked, "accept"))
            assert done.structured_content["article"] == article

    with ScriptedServer(wished) as server:
        anyio.run(talk, server)
    assert [form.message.split(".")[0] for form in person.shown] == ["The text", "The article as it would be"]


@pytest.mark.parametrize("state", ["", "null", "{", '{"article": "../x", "version": "1"}', "[" * 100_000])
def test_a_state_that_limner_did_not_give_is_refused(bees: Path, state: str) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with mcp.Client(build_server(toolbox(server)), elicitation_callback=Person()) as client:
            answers: Any = {"answer": fills(answer="accept")}
            odd = await client.call_tool("compose_article", ORDER, request_state=state, input_responses=answers)
        assert odd.is_error
        assert re.search("not one that limner gave|There is no article", text(odd))

    with ScriptedServer(wished) as server:
        anyio.run(talk, server)
        assert server.requests == []


def test_what_mcp_composes_and_changes_is_in_the_shells_history_with_undo(bees: Path, jobs: Jobs, shell: Shell) -> None:
    retitled = revising_answers([command("set_title", text="Sweet")])

    async def talk(server: ScriptedServer) -> str:
        async with mcp.Client(build_server(toolbox(server, jobs=jobs, workers=False))) as client:
            made = await client.call_tool("compose_article", {"brief": "Honey", "images": 1, "wait_seconds": 60})
            article = {"article": made.structured_content["article"]}
            changed = await client.call_tool("revise_article", {**article, "instruction": "Call it Sweet."})
            assert not changed.is_error, text(changed)
            listed = (await client.list_resources()).resources
            assert [resource.name for resource in listed] == [article["article"]]
        return article["article"]

    with ScriptedServer(retitled) as server:
        article = anyio.run(talk, server)
    lines = shell("revise", "versions", article).out.splitlines()
    assert [line.partition("limner: ")[2] or line.partition("local: ")[2] for line in lines] == [
        "Composed",
        "Call it Sweet.",
    ]
    assert "Sweet (version 2" in shell("revise", "show", article).out
    assert shell("revise", "undo", article).code == 0
    assert "How Bees Make Honey (version 1" in shell("revise", "show", article).out


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

    with ScriptedServer(article_answers(sees=True)) as server, served(http_app(toolbox(server), jobs.owners)) as url:
        made = anyio.run(talk, url, tokens["acme"], "compose_article", {**ORDER, "review": []})
        article = {"article": made.structured_content["article"]}
        mine = anyio.run(talk, url, tokens["acme"], "get_article", article)
        theirs = anyio.run(talk, url, tokens["rival"], "get_article", article)
    assert not mine.is_error
    assert theirs.is_error
    assert "How Bees" not in text(theirs)


@pytest.mark.parametrize("forms", [False, True])
def test_over_http_a_job_asks_and_is_answered(bees: Path, jobs: Jobs, forms: bool) -> None:
    """With --jobs: the workers of the installation compose, and a question is its owner's alone."""
    from mcp.client.streamable_http import streamable_http_client

    tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("acme", "rival")}
    person = Person(fills(answer="accept"))

    @contextlib.asynccontextmanager
    async def client_of(url: str, owner: str, **given: Any) -> AsyncIterator[Any]:
        async with (
            httpx.AsyncClient(headers={"Authorization": f"Bearer {tokens[owner]}"}, timeout=90) as http,
            mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http), **given) as client,
        ):
            yield client

    async def talk(url: str) -> None:
        order = {**ORDER, "review": ["draft"]}
        if forms:
            async with client_of(url, "acme", elicitation_callback=person) as client:
                done = await client.call_tool("compose_article", order)
        else:
            async with client_of(url, "acme") as client:
                asked = await client.call_tool("compose_article", order)
                async with client_of(url, "rival") as other:
                    theirs = await other.call_tool("answer_review", answer_to(asked, "accept"))
                    assert (theirs.is_error, "There is no article" in text(theirs)) == (True, True)
                said = await client.call_tool("answer_review", answer_to(asked, "accept", wait_seconds=0))
                twice = await client.call_tool("answer_review", answer_to(asked, "accept"))
                assert (twice.is_error, "asks nothing" in text(twice)) == (True, True)
                assert "goes on" in text(said), text(said)
                later = {"article": said.structured_content["article"], "wait_seconds": 60}
                done = await client.call_tool("get_article", later)
        assert [part.type for part in done.content] == ["text", "image", "resource_link"]

    with ScriptedServer(wished) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_MODEL_URL", server.url)
        with working(jobs), served(http_app(toolbox(server, jobs=jobs), jobs.owners)) as url:
            anyio.run(talk, url)
    assert len(person.shown) == forms


def test_over_http_a_client_that_goes_away_stops_its_call(bees: Path, jobs: Jobs) -> None:
    """Its connection is closed while the writer writes: the model is hung up on, and others are served."""
    writing = threading.Event()

    def slow(body: dict[str, Any]) -> Any:
        answer = article_answers(sees=True)(body)
        if asking(body) != "writer":
            return answer
        writing.set()
        return Delayed(str(answer), 5)

    async def leave(url: str) -> None:
        async def hear(progress: float, total: float | None, message: str | None) -> None:
            scope.cancel()

        with anyio.CancelScope() as scope:
            async with mcp.Client(url) as client:
                await client.call_tool("write", {"brief": "Honey"}, progress_callback=hear)

    async def search(url: str) -> Any:
        async with mcp.Client(url) as client:
            return await client.call_tool("search_images", {"query": "bee"})

    with ScriptedServer(slow) as server, served(http_app(toolbox(server), jobs.owners)) as url:
        anyio.run(leave, f"{url}/mcp")
        assert writing.is_set()
        until(server.hung_up.is_set, "the call to the model to be given up")
        assert not anyio.run(search, f"{url}/mcp").is_error
        assert [asking(body) for body in server.requests if asking(body) != "probe"] == ["writer"]


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
        with ScriptedServer(article_answers()) as server, served(http_app(toolbox(server), jobs.owners)) as url:
            accept = {"Accept": "application/json, text/event-stream"}
            answer = httpx.post(f"{url}/mcp", json=hello, headers={**accept, **headers})
    finally:
        jobs.close()
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_importing_the_server_needs_no_torch_and_no_web_framework() -> None:
    import subprocess

    code = "import sys, limner.surfaces.mcp; print([m for m in ('torch', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
    assert limner.__version__
