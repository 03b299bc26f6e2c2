"""uvicorn within limits of connections and time, which can be stopped while streams are open."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from limner.errors import BadInput
from limner.surfaces.http.door import Connection, Doors

if TYPE_CHECKING:
    from fastapi import FastAPI

    from limner.jobs.service import Jobs
    from limner.settings import Settings

KEEP_ALIVE = 75  # seconds a connection may idle: uvicorn's own 5 are httpx's too, and a request can meet its closing
GRACE = 5  # seconds for running requests after a stop signal; a client may never read its answer
AT_ONCE = 64  # connections that asyncio accepts before it looks at one: uvicorn's 2 048 exceed a limit of open files
QUEUE = 2048  # connections that wait in the system until they are accepted
SWITCH = 0.0005  # seconds until a thread that computes lets another one run; Python's own 5 ms add up in every answer


@contextmanager
def listening(settings: Settings, jobs: Jobs) -> Iterator[socket.socket]:
    """The API's socket. Raises BadInput for a port in use, and for an open address without a token."""
    if not _loopback(settings.host) and not jobs.owners.closed():
        raise BadInput(
            f"The API does not listen on {settings.host} without a token: anybody could use it. Set LIMNER_TOKEN, or "
            "make one with `limner token add NAME`."
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Created as TCP explicitly; else asyncio leaves Nagle's algorithm on and each answer waits 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((settings.host, settings.port))
        except OSError as e:
            raise BadInput(
                f"The API cannot listen on {settings.host}:{settings.port} ({e.strerror}). Give another --port."
            ) from e
        s.listen(1024)
        yield s


class Bounded(uvicorn.Server):
    """Serves an ASGI application to at most as many connections as fit, each within its time (`door`)."""

    def __init__(self, app: Any, settings: Settings, **options: object) -> None:
        """options: as for `uvicorn.Config`."""
        quiet: dict[str, object] = {"log_config": None, "access_log": False, "server_header": False}
        times: dict[str, object] = {"timeout_keep_alive": KEEP_ALIVE, "timeout_graceful_shutdown": GRACE}
        doors = Doors(settings.connections, settings.connections_per_address)
        http: dict[str, object] = {"http": partial(Connection, doors), "ws": "none", "backlog": AT_ONCE}
        super().__init__(uvicorn.Config(app, **{**quiet, **times, **http, **options}))  # type: ignore[arg-type]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Like uvicorn's; the system queues more connections than are accepted at once, and threads switch faster."""
        sys.setswitchinterval(SWITCH)
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(QUEUE)


class Server(Bounded):
    """Serves an application of `create_app`.

    uvicorn shuts the application down only after the last connection has closed, and an open stream would keep it
    waiting. So this server ends the streams first; their readers reconnect to the next server and miss nothing.
    """

    def __init__(self, app: FastAPI, **options: object) -> None:
        """options: as for `uvicorn.Config`."""
        super().__init__(app, app.state.parts.settings, **{"lifespan": "on", **options})
        self._hub = app.state.parts.hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Like uvicorn's, but ends the streams first."""
        self._hub.close()
        await super().shutdown(sockets)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
