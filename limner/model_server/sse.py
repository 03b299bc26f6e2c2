"""Server-sent events, framed as TGI frames them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

HEADERS = {"x-accel-buffering": "no", "cache-control": "no-cache"}
QUIET = 15  # seconds of silence before a comment, as in TGI: beams send nothing until they end


def sse(data: dict[str, Any] | str) -> str:
    """One event. The space after the colon matters, because some clients cut the line at its sixth character."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n"


async def kept_alive(lines: AsyncGenerator[str, None], quiet: float = QUIET) -> AsyncIterator[str]:
    """Yield the lines, and a comment after each `quiet` seconds of silence, so that no client or proxy gives up."""
    pending: asyncio.Future[str] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(lines, ""))
            done, _ = await asyncio.wait({pending}, timeout=quiet)
            if not done:
                yield ":\n\n"
                continue
            line, pending = pending.result(), None
            if not line:
                return
            yield line
    finally:
        if pending:
            pending.cancel()
            with suppress(asyncio.CancelledError):
                await pending
        await lines.aclose()
