"""MCP's answers name paths to whoever sits at the same machine, and to nobody else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp
from lives import bearer
from mcp.client.streamable_http import streamable_http_client
from parts import served
from scripted import ScriptedServer, article_answers
from test_mcp import ORDER, toolbox

from limner.jobs.service import Jobs
from limner.surfaces.mcp import build_server
from limner.surfaces.mcp_http import http_app
from limner.tools.encoders import default_encoders
from limner.tools.library import Library


async def composed_and_exported(client: mcp.Client) -> tuple[Any, Any]:
    made = await client.call_tool("compose_article", {**ORDER, "review": []})
    article = made.structured_content["article"]
    return made, await client.call_tool("export_article", {"article": article, "format": "html"})


def test_over_http_no_answer_names_a_path_of_the_server(bees: Path, home: Path) -> None:
    async def talk(url: str, token: str) -> tuple[str, str]:
        async with (
            httpx.AsyncClient(headers=bearer(token), timeout=120) as http,
            mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            made, exported = await composed_and_exported(client)
            assert not exported.is_error
            shown = exported.model_dump_json()
            paths = [Path(record.path) for record in Library.open(home, "bees", default_encoders()).records()]
            for path in paths:
                path.rename(path.with_suffix(".away"))
            try:
                refused = await client.call_tool(
                    "export_article", {"article": made.structured_content["article"], "format": "html"}
                )
            finally:
                for path in paths:  # other tests have the same folder
                    path.with_suffix(".away").rename(path)
            assert refused.is_error
            return shown, refused.model_dump_json()

    with closing(Jobs()) as jobs, ScriptedServer(article_answers(sees=True)) as server:
        token = jobs.owners.add_token("acme", libraries=["bees"])
        with served(http_app(toolbox(server), jobs.owners)) as url:
            for said in anyio.run(talk, url, token):
                assert str(home) not in said
                assert str(bees) not in said
                assert str(home.parent) not in said


def test_on_the_same_machine_it_names_the_file(bees: Path, home: Path) -> None:
    async def talk(server: ScriptedServer) -> str:
        async with mcp.Client(build_server(toolbox(server))) as client:
            return (await composed_and_exported(client))[1].model_dump_json()

    with ScriptedServer(article_answers(sees=True)) as server:
        assert str(home / "exports") in anyio.run(talk, server)
