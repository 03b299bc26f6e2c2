"""limner's MCP server over HTTP, behind the API's guard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from limner.errors import NotInstalled
from limner.surfaces.mcp import build_server, new_toolbox
from limner.surfaces.toolbox.background import Background
from limner.workflows.tenants import Tenant

try:
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken
    from mcp.server.transport_security import TransportSecuritySettings

    from limner.jobs.service import Jobs
    from limner.surfaces.http.guard import Guard, is_open, owner_of
    from limner.surfaces.http.server import Bounded, listening
except ModuleNotFoundError as e:
    raise NotInstalled(f"MCP over HTTP needs {e.name}: pip install 'limner[jobs,mcp]'.") from e

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from limner.jobs.owners import Owner, Owners
    from limner.settings import Settings
    from limner.surfaces.toolbox.tools import Toolbox


def http_app(toolbox: Toolbox, owners: Owners, hosts: str = "") -> ASGIApp:
    """The MCP server at /mcp as an ASGI application, with the API's guard."""

    def tenant(request: Any) -> Tenant:
        return _tenant(owner_of(request.scope))

    def limits(name: str) -> tuple[int | None, int | None]:
        owner = owners.get(name)
        return owner.jobs_at_a_time, owner.jobs_a_minute

    if not toolbox.submits and toolbox.background is None:
        toolbox.background = Background(limits)
    toolbox.afar = True
    # The guard knows this installation's names; the SDK's own list would be a second one.
    off = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = build_server(toolbox, tenant).streamable_http_app(transport_security=off)

    async def of_its_owner(scope: Scope, receive: Receive, send: Send) -> None:
        """Name the owner to the SDK, which then refuses a session to everybody but the owner who opened it."""
        if scope["type"] == "http" and not is_open(scope["path"]):  # open paths have no owner, and nothing is there
            scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=owner_of(scope).name, scopes=[]))
        await app(scope, receive, send)

    return Guard(of_its_owner, owners=owners, hosts=hosts)


def serve_http(
    settings: Settings, say: Callable[[str], None], library: Any = None, *, leave_to_workers: bool = False
) -> None:
    """Serve over HTTP until Ctrl-C. Raises BadInput for an open address without a token, or a port in use.

    leave_to_workers: compose_article submits a job to the workers of `limner up`, within its owner's limits.
    """
    with ExitStack() as parts:
        jobs = Jobs(settings)
        parts.callback(jobs.close)
        sock = parts.enter_context(listening(settings, jobs))
        app = http_app(new_toolbox(settings, library, jobs, leave_to_workers), jobs.owners, settings.hosts)
        host, port = sock.getsockname()[:2]
        say(f"limner speaks MCP at http://{host}:{port}/mcp   (Ctrl-C stops it)")
        Bounded(app, settings).run(sockets=[sock])


def _tenant(owner: Owner) -> Tenant:
    """An owner of the ledger as a tenant, with the libraries that the server was started with."""
    libraries = None if owner.libraries is None else (owner.libraries or ("starter",))
    return Tenant(owner.name, libraries, owner.tokens_a_day, owner.dollars_a_day)
