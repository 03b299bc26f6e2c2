"""uvicorn that can be stopped while streams are open."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from limner.surfaces.http.door import Connection, Doors

if TYPE_CHECKING:
    from fastapi import FastAPI

KEEP_ALIVE = 75  # seconds a connection may idle: uvicorn's own 5 are httpx's too, and a request can meet its closing
GRACE = 5  # seconds for running requests after a stop signal; a client may never read its answer


class Server(uvicorn.Server):
    """Serves an application of `create_app`.

    uvicorn shuts the application down only after the last connection has closed, and an open stream would keep it
    waiting. So this server ends the streams first; their readers reconnect to the next server and miss nothing.
    """

    def __init__(self, app: FastAPI, **options: object) -> None:
        """options: as for `uvicorn.Config`."""
        quiet: dict[str, object] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "on"}
        times: dict[str, object] = {"timeout_keep_alive": KEEP_ALIVE, "timeout_graceful_shutdown": GRACE}
        settings = app.state.parts.settings
        doors = Doors(settings.connections, settings.connections_per_address)
        http = {"http": partial(Connection, doors), "ws": "none"}
        super().__init__(uvicorn.Config(app, **{**quiet, **times, **http, **options}))  # type: ignore[arg-type]
        self._hub = app.state.parts.hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Like uvicorn's, but ends the streams first."""
        self._hub.close()
        await super().shutdown(sockets)
