"""A session of MCP over HTTP belongs to the owner who opened it: another's token does not reach it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from lives import bearer
from parts import served
from scripted import ScriptedServer, article_answers
from test_mcp import toolbox

from limner.jobs.service import Jobs
from limner.surfaces.mcp import http_app

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
