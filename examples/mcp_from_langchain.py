"""limner's MCP server from a LangChain program: `pip install langchain-mcp-adapters`, then run this file.

python examples/mcp_from_langchain.py "How bees make honey"
"""

from __future__ import annotations

import asyncio
import os
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient


async def main(brief: str) -> None:
    """Compose an article and list what came back."""
    command = {"transport": "stdio", "command": "limner", "args": ["mcp"], "env": dict(os.environ)}
    tools = await MultiServerMCPClient({"limner": command}).get_tools()
    compose = next(tool for tool in tools if tool.name == "compose_article")
    said = await compose.ainvoke({"brief": brief, "images": 2, "wait_seconds": 60})
    for part in said if isinstance(said, list) else [said]:
        kind = part.get("type") if isinstance(part, dict) else "text"
        print(kind, part["text"][:200] if kind == "text" and isinstance(part, dict) else "")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "How bees make honey"))
