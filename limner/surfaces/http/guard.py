"""Check every request before routing: host, origin, token, size.

Notable choices:

- A web page that a person has open can send requests to the loopback, by a name that it made resolve there (DNS
  rebinding) or from its own origin. So Host must be a known name of this installation, and Origin, which browsers send
  with every changing request, must match it. This applies to all addresses.
- The token is checked here and not at the routes, so that no route can lack the check.
- The body is read here, up to its limit, whether or not its length is declared, and only from callers who may send one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import LimnerError
from limner.jobs.owners import Owner, Owners
from limner.notes import note
from limner.surfaces.http.openai.errors import as_openai
from limner.surfaces.http.problems import of_error, problem

log = logging.getLogger("limner.api")

MAX_BODY = 8_000_000  # bytes; a thousand briefs of a page or two, or twenty sources of the maximal length
BODY = 110  # seconds for a body, shortly before the connection itself is closed (`door.BODY`)
DRAINED = 4 * MAX_BODY  # bytes of an oversized body to read and drop, so that its sender reads the answer
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULTS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Default headers of every answer."""


class Guard:
    """ASGI middleware that sets `request.state.owner` to the request's `Owner` on every route that is not open."""

    def __init__(self, app: ASGIApp, *, owners: Owners, hosts: str = "") -> None:
        """hosts: names besides the loopback's, separated by commas; a name without a port allows all ports."""
        self.app, self.owners = app, owners
        self.hosts = frozenset([*LOOPBACK, *(h for h in (h.strip().lower() for h in hosts.split(",")) if h)])
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal, receive = await self._check(scope, receive)
            if refusal and scope["path"].startswith("/v1/chat/"):
                refusal = as_openai(refusal)
            await (refusal or self.app)(scope, receive, send_safely)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("unexpected error in %s %s", scope["method"], scope["path"])
            if started:  # half an answer must not look complete
                raise
            line = "Internal error; limner's log has the details. Try again, or report it."
            await problem(500, "unforeseen", line)(scope, receive, send_safely)

    async def _check(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """(the refusal or None, the receiver from which to read the request)."""
        headers = Headers(scope=scope)
        refusal = self._refuse_address(headers) or _refuse_encoding(headers)
        if refusal is None and not is_open(scope["path"]):
            refusal = await self._refuse_stranger(scope, headers)
        if refusal is None and _has_body(headers):
            if is_open(scope["path"]):
                return problem(413, "no-body", "This address takes no body. Send the request without one."), receive
            try:
                async with asyncio.timeout(BODY):
                    body = await _gather(headers, receive)
            except TimeoutError:
                return _too_slow(), receive
            if body is None:
                return _too_large(), receive
            return None, _replayed(body, receive)
        return refusal, receive

    # -- host and origin

    def _refuse_address(self, headers: Headers) -> Response | None:
        host = _one(headers.getlist("host"))
        if host is None or not self._answers_to(host):
            line = f"This installation does not answer to {(host or '')[:100]!r}. LIMNER_HOSTS can allow the name."
            return problem(403, "foreign-host", line)
        origins = headers.getlist("origin")
        if origins and not self._is_ours(_one(origins) or "", host):
            line = f"Pages of {origins[0][:100]!r} may not use this installation. LIMNER_HOSTS can allow their host."
            return problem(403, "foreign-origin", line)
        return None

    def _answers_to(self, host: str) -> bool:
        split = _split(host)
        return split is not None and (split[0] in self.hosts or f"{split[0]}:{split[1]}" in self.hosts)

    def _is_ours(self, origin: str, host: str) -> bool:
        scheme, _, netloc = origin.partition("://")
        split = _split(netloc)
        if scheme not in ("http", "https") or split is None:
            return False  # also "null", from a sandboxed page or a file
        port = split[1] or ("443" if scheme == "https" else "80")
        ours, our_port = _split(host) or ("", "")
        if split[0] == ours and port in (our_port or "80", our_port or "443"):
            return True
        named = self.hosts.difference(LOOPBACK)  # another port of the loopback is another program
        return split[0] in named or f"{split[0]}:{port}" in named

    # -- token

    async def _refuse_stranger(self, scope: Scope, headers: Headers) -> Response | None:
        scheme, _, token = (_one(headers.getlist("authorization")) or "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else None
        self._limiter = self._limiter or anyio.CapacityLimiter(8)  # own threads: endpoints must not delay it
        try:
            owner = await anyio.to_thread.run_sync(self.owners.whose, given, limiter=self._limiter)
        except LimnerError as e:
            return of_error(e)
        scope.setdefault("state", {})["owner"] = owner
        return None


def owner_of(scope: Scope) -> Owner:
    """The owner that the guard found."""
    return scope["state"]["owner"]


def is_open(path: str) -> bool:
    """Whether a path needs no token: the studio's page, which contains no data, the health check, and signed
    addresses."""
    return path in ("/", "/health") or path.startswith(("/static/", "/v1/shared/"))


def _one(values: Iterable[str]) -> str | None:
    """The only value, else None: of two values a proxy and limner might each trust a different one."""
    found = list(values)
    return found[0] if len(found) == 1 else None


def _split(netloc: str) -> tuple[str, str] | None:
    """(host in lower case, port or ""), None for anything but HOST or HOST:PORT."""
    try:
        parts = urlsplit(f"//{netloc}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    host = f"[{host}]" if host and ":" in host else host or ""
    written = f"{host}:{port}" if port is not None else host
    return (host, "" if port is None else str(port)) if host and written == netloc.lower() else None


# --- the body ------------------------------------------------------------------------------------------------------


def _refuse_encoding(headers: Headers) -> Response | None:
    if headers.get("content-encoding", "identity").strip().lower() in ("", "identity"):
        return None
    return problem(415, "compressed", "Compressed bodies are not accepted. Send it without Content-Encoding.")


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _gather(headers: Headers, receive: Receive) -> bytes | None:
    """The body, None if it is too large. Then some more is read, because a client that is still sending does not read
    the answer."""
    length = headers.get("content-length", "0")
    declared = int(length) if length.isdigit() else 0
    if declared > DRAINED or (declared > MAX_BODY and "expect" in headers):
        return None  # a client that waits for 100-continue has sent nothing yet
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect  # an incomplete request is dropped
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            body += part
        if size > DRAINED or not message.get("more_body"):
            return bytes(body) if size <= MAX_BODY else None


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _too_slow() -> Response:
    line = f"The body did not come within {BODY} seconds. Send less at a time, or over a faster connection."
    return problem(408, "too-slow", line, {"Connection": "close"})


def _too_large() -> Response:
    return problem(413, "too-large", note("too-large", n=MAX_BODY))
