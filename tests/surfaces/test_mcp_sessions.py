"""MCP over HTTP: a session belongs to the owner who opened it, and an owner's limits hold without workers, too."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp
import pytest
from lives import bearer
from mcp.client.streamable_http import streamable_http_client
from parts import served
from scripted import ScriptedServer, article_answers
from test_mcp import toolbox

from limner.jobs.service import Jobs
from limner.surfaces.mcp_http import http_app

ACCEPT = {"Accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}


def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_another_s_session_is_not_found(bees: Path) -> None:
    with closing(Jobs()) as jobs, ScriptedServer(article_answers()) as server:
        tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("acme", "rival")}
        with served(http_app(toolbox(server), jobs.owners)) as url:

            def post(name: str, body: dict[str, Any], session: str = "") -> httpx.Response:
                of = {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-06-18"} if session else {}
                return httpx.post(f"{url}/mcp", json=body, headers={**ACCEPT, **bearer(tokens[name]), **of}, timeout=60)

            opened = post("acme", call("initialize", HELLO))
            assert opened.status_code == 200, opened.text
            session = opened.headers["mcp-session-id"]
            tools = call("tools/list", {})
            assert "compose_article" in post("acme", tools, session).text
            for answer in (post("rival", tools, session), post("rival", tools, "0" * 32)):
                assert answer.status_code == 404, "as if it did not exist"
            with httpx.stream(
                "GET", f"{url}/mcp", headers={**ACCEPT, **bearer(tokens["rival"]), "Mcp-Session-Id": session}
            ) as listening:
                assert listening.status_code == 404
            ended = httpx.delete(f"{url}/mcp", headers={**bearer(tokens["rival"]), "Mcp-Session-Id": session})
            assert ended.status_code == 404
            assert "compose_article" in post("acme", tools, session).text, "nobody else ended it"


@pytest.mark.parametrize("path", ["/", "/health", "/static/app.js", "/v1/shared/a/b/c"])
def test_paths_that_need_no_token_lead_nowhere(path: str, bees: Path) -> None:
    """They have no owner, and were "nobody foresaw"."""
    with (
        closing(Jobs()) as jobs,
        ScriptedServer(article_answers()) as server,
        served(http_app(toolbox(server), jobs.owners)) as url,
    ):
        assert httpx.get(f"{url}{path}").status_code == 404


def test_an_owner_s_limits_hold_where_this_process_composes(bees: Path) -> None:
    released = threading.Event()
    good = article_answers(sees=True)

    def slow(body: dict[str, Any]) -> Any:
        assert released.wait(60)
        return good(body)

    async def compose(url: str, token: str) -> Any:
        async with (
            httpx.AsyncClient(headers=bearer(token), timeout=60) as http,
            mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            return await client.call_tool("compose_article", {"brief": "Honey", "images": 0, "wait_seconds": 0})

    with closing(Jobs()) as jobs, ScriptedServer(slow) as server:
        tokens = {name: jobs.owners.add_token(name, libraries=["bees"]) for name in ("acme", "rival", "quick")}
        jobs.owners.limit("acme", jobs_at_a_time=1)
        jobs.owners.limit("quick", jobs_a_minute=2)
        try:
            with served(http_app(toolbox(server), jobs.owners)) as url:
                first, second = (anyio.run(compose, url, tokens["acme"]) for _ in range(2))
                others = [anyio.run(compose, url, tokens["rival"]) for _ in range(2)]
                quick = [anyio.run(compose, url, tokens["quick"]) for _ in range(3)]
                released.set()
        finally:
            released.set()
    assert (first.is_error, second.is_error) == (False, True)
    assert [o.is_error for o in others] == [False, False]
    assert [q.is_error for q in quick] == [False, False, True]
    assert "2 articles a minute" in quick[2].content[0].text
