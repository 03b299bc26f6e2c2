"""uvicorn that can be stopped while streams are open."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

KEEP_ALIVE = 75  # seconds a connection may idle: uvicorn's own 5 are httpx's too, and a request can meet its closing
GRACE = 5  # seconds for requests that are being answered when it is told to stop; a reader may take none of its answer


class Server(uvicorn.Server):
    """Serves an application of `create_app`.

    uvicorn tells the application of its end only after the last connection is gone, for which an open stream would let
    it wait. So the streams are ended first; their readers come back to whoever listens next, and miss nothing.
    """

    def __init__(self, app: FastAPI, **options: object) -> None:
        """options: as of `uvicorn.Config`."""
        quiet: dict[str, object] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "on"}
        times: dict[str, object] = {"timeout_keep_alive": KEEP_ALIVE, "timeout_graceful_shutdown": GRACE}
        super().__init__(uvicorn.Config(app, **{**quiet, **times, **options}))  # type: ignore[arg-type]
        self._hub = app.state.parts.hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with the streams ended first."""
        self._hub.close()
        await super().shutdown(sockets)
