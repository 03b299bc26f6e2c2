"""Tell a receiver that a job has ended: a signed POST that cannot reach limner's own network.

The message is that of Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp` and
`webhook-signature`, "v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY". The key is the secret itself in
UTF-8, or, for a secret "whsec_…", the decoded base64.

Anybody who may submit a job may name an address, so limner does not trust it: it resolves the name once, requires every
answer to be a public address, and connects to a checked address, whatever the name resolves to by then. It follows no
redirect and uses no proxy. `settings.webhook_hosts` allows internal receivers by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import io
import json
import logging
import re
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from limner.errors import BadInput, LimnerError
from limner.jobs.ledger import Job, Ledger
from limner.settings import Settings

log = logging.getLogger("limner.webhook")

DELAYS = (10, 60, 300, 1800, 7200, 21_600)
"""Seconds between tries; after the last one limner gives up."""
TIMEOUT = 10  # seconds for connecting, sending and the answer together
MAX_ANSWER = 64 * 1024  # bytes read of the answer, headers included; only its status matters
AT_ONCE = 10  # concurrent deliveries, so that a slow receiver does not delay the others
HOLD = 180  # seconds of reservation: two rounds of AT_ONCE, each with a slow name server and TIMEOUT
_AGAIN = (408, 409, 425, 429)  # 4xx that may succeed next time
_SECRET = "whsec_"


class WebhookFailed(LimnerError):
    """The delivery failed. `final`: another try would not help."""

    code = "webhook-failed"

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


# --- sending --------------------------------------------------------------------------------------------------------


def send_due(ledger: Ledger, settings: Settings) -> int:
    """Deliver the due webhooks and record the outcomes. Returns how many were delivered.

    A failed delivery is tried again after `DELAYS`, then given up. Raises LedgerError.
    """
    due = ledger.due_webhooks(limit=2 * AT_ONCE, hold=HOLD)
    if not due:
        return 0
    allowed, sent = read_hosts(settings.webhook_hosts), 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="limner-webhook") as pool:
        deliveries = {pool.submit(deliver, job, webhook, allowed_hosts=allowed): job for job, webhook in due}
        for future in as_completed(deliveries):
            job, error = deliveries[future], future.exception()
            if error is None:
                ledger.webhook_sent(job.id)
                sent += 1
            elif isinstance(error, WebhookFailed):
                _put_off(ledger, job, error)
            else:  # a fault of limner: deliver the others, and keep this one due
                log.error("the webhook of %s could not be sent", job.id, exc_info=error)
                _put_off(ledger, job, WebhookFailed(f"limner could not send it ({type(error).__name__}). See its log."))
    return sent


def _put_off(ledger: Ledger, job: Job, error: WebhookFailed) -> None:
    tries = ledger.webhook_tries(job.id)
    again_in = None if error.final or tries >= len(DELAYS) else DELAYS[tries]
    then = "given up" if again_in is None else f"again in {again_in} s"
    log.warning("webhook of %s, try %d: %s; %s", job.id, tries + 1, error, then)
    ledger.webhook_failed(job.id, str(error), again_in)


def deliver(
    job: Job, webhook: Mapping[str, str], *, allowed_hosts: frozenset[str] = frozenset(), timeout: float = TIMEOUT
) -> None:
    """Deliver one job's webhook.

    webhook: {"url", "secret"}. allowed_hosts: "host" or "host:port", see `read_hosts`. timeout: seconds for everything
    except resolving the name. Raises WebhookFailed.
    """
    try:
        target, key = _read_url(webhook["url"], allowed_hosts), signing_key(webhook["secret"])
    except BadInput as e:
        raise WebhookFailed(str(e), final=True) from e
    body = message(job)
    status = _post(target, body, signed(job, body, key), timeout)
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise WebhookFailed(
            f"{target.host} answers {status}, a redirect, which is not followed. Give the address it leads to.",
            final=True,
        )
    final = 400 <= status < 500 and status not in _AGAIN
    raise WebhookFailed(f"{target.host} answers {status}. Look into the receiver's log.", final=final)


def message(job: Job) -> bytes:
    """The body: {"type": "job.done", "timestamp": ISO 8601, "data": {…}}, JSON in ASCII."""
    shown = job.model_dump(include={"id", "title", "state", "error", "spent", "finished", "batch"})
    ended = datetime.fromtimestamp(job.finished or 0, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"type": f"job.{job.state}", "timestamp": ended, "data": shown}).encode()


def signed(job: Job, body: bytes, key: bytes) -> dict[str, str]:
    """The headers of a message. The id is the same at every try, and new when a retried job ends again.

    The timestamp is the database's, taken when the job was read, because receivers refuse a worker's wrong clock.
    """
    name, moment = f"{job.id}_{round((job.finished or 0) * 1000)}", str(int(job.now))
    digest = hmac.new(key, b".".join((name.encode(), moment.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def signing_key(secret: str) -> bytes:
    """The key of a secret: "whsec_" and base64, or plain text. Raises BadInput for a whsec_ that is no base64."""
    if not secret.startswith(_SECRET):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise BadInput("The webhook's secret begins with whsec_, but the rest is not base64. Copy all of it again.")
    return key


# --- the address ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Target:
    """A parsed URL. trusted: an operator allowed this host, so its addresses are not checked."""

    tls: bool
    host: str
    port: int
    path: str
    trusted: bool


def check_url(url: str, allowed_hosts: frozenset[str] = frozenset()) -> None:
    """Refuse bad URLs without resolving names: other schemes, credentials, internal addresses in any spelling.

    Raises BadInput. The addresses of a name are checked when the message is sent.
    """
    _read_url(url, allowed_hosts)


def read_hosts(hosts: str) -> frozenset[str]:
    """Read `settings.webhook_hosts`, "HOST, HOST:PORT, [::1]:PORT", for `deliver`."""
    return frozenset(name for part in hosts.split(",") if (name := part.strip().lower()))


def _read_url(url: str, allowed_hosts: frozenset[str]) -> _Target:
    if not re.fullmatch(r"[!-\[\]-~]{1,2000}", url):  # printable ASCII, no blank and no backslash
        raise BadInput("The webhook's address has a blank, a backslash or letters to be percent-encoded. Write it out.")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError as e:
        raise BadInput("The webhook's address cannot be read. Write https://HOST/PATH.") from e
    if parts.scheme not in ("http", "https"):
        raise BadInput(f"A webhook cannot be sent by {parts.scheme[:20] or 'nothing'!r}. Give an https address.")
    if "@" in parts.netloc:
        raise BadInput("The webhook's address has credentials in it. Leave them out: the signature says who sends.")
    if not host or port == 0 or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        raise BadInput("The webhook's address names no host that could be reached. Write https://HOST/PATH.")
    tls = parts.scheme == "https"
    port = port or (443 if tls else 80)
    shown = f"[{host}]" if ":" in host else host
    trusted = not allowed_hosts.isdisjoint({shown, f"{shown}:{port}", host})
    if not trusted:
        _check_literal(host)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(tls, host, port, path, trusted)


def _check_literal(host: str) -> None:
    """Raises BadInput for an internal address, also spelt 127.1, 2130706433 or 0x7f.1, and for names of this
    machine."""
    if host == "localhost" or host.endswith(".localhost"):
        raise _internal(host)
    try:
        if ":" in host:
            address = ip_address(host)
        elif re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
            address = IPv4Address(socket.inet_aton(host))  # as the system's resolver reads it
        else:
            return
    except (OSError, ValueError) as e:
        raise BadInput(f"{host[:80]} is not an address. Give the receiver's name.") from e
    if not is_public(address):
        raise _internal(host)


def _internal(host: str) -> BadInput:
    return BadInput(
        f"{host[:80]} is an internal address, and webhooks go to public ones. Give another, or have it allowed by "
        "LIMNER_WEBHOOK_HOSTS."
    )


_NAT64 = IPv6Network("64:ff9b::/96")
_ROUTED6 = IPv6Network("2000::/3")
# Python's is_global follows IANA's registries as of its release and allows exceptions within these blocks. No webhook
# receiver lives there: protocol assignments with Teredo, documentation, 6to4 relays.
_NOT_PUBLIC4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_NOT_PUBLIC6 = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is public. An IPv6 address that embeds an IPv4 address is as public as the latter.

    A network's own NAT64 prefix cannot be recognised; 64:ff9b::/96 is.
    """
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFF_FFFF)
        if carried is not None:
            return is_public(carried)
        return address.is_global and address in _ROUTED6 and not any(address in block for block in _NOT_PUBLIC6)
    return address.is_global and not address.is_multicast and not any(address in block for block in _NOT_PUBLIC4)


def _resolve(target: _Target) -> list[tuple[socket.AddressFamily, Any]]:
    """The addresses to connect to, (family, socket address), all checked. Raises WebhookFailed."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise WebhookFailed(f"{target.host} cannot be looked up ({_line(e)}). Check the name.") from e
    places = [(family, place) for family, _, _, _, place in found if family in (socket.AF_INET, socket.AF_INET6)]
    if not places:
        raise WebhookFailed(f"{target.host} has no address. Check the name.")
    if not target.trusted and not all(is_public(ip_address(place[0])) for _, place in places):
        raise WebhookFailed(str(_internal(target.host)), final=True)  # without the address
    return places


# --- the connection -------------------------------------------------------------------------------------------------


def _post(target: _Target, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
    """Post and return the status of the answer. Raises WebhookFailed."""
    places = _resolve(target)
    end = time.monotonic() + timeout
    host = f"[{target.host}]" if ":" in target.host else target.host
    connection = http.client.HTTPConnection(target.host, target.port)
    try:
        connection.sock = _connect(target, places, end)
        usual = target.port == (443 if target.tls else 80)
        given = {"Host": host if usual else f"{host}:{target.port}", "Content-Type": "application/json"}
        connection.sock.settimeout(_left(end))
        connection.request(
            "POST", target.path, body, {**given, "User-Agent": "limner", "Connection": "close", **headers}
        )
        return _status(connection.sock, end)
    except TimeoutError as e:
        raise WebhookFailed(f"{target.host} takes longer than {timeout:g} s. Answer first and work afterwards.") from e
    except ssl.SSLCertVerificationError as e:
        raise WebhookFailed(f"{target.host} has no valid certificate ({e.verify_message}). Renew it.") from e
    except (OSError, http.client.HTTPException) as e:
        raise WebhookFailed(f"{target.host} cannot be reached ({_line(e)}). Check that it listens.") from e
    finally:
        connection.close()


def _connect(target: _Target, places: list[tuple[socket.AddressFamily, Any]], end: float) -> socket.socket:
    """Connect to the first address that accepts, with TLS; the certificate must match the name."""
    plain = _reach(places, end)
    try:
        plain.settimeout(_left(end))
        if not target.tls:
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        plain.close()
        raise


def _reach(places: list[tuple[socket.AddressFamily, Any]], end: float) -> socket.socket:
    """Connect to the first address that accepts. The remaining addresses share the remaining time, because one may be
    silent."""
    (family, place), *others = places
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.settimeout(_left(end) / len(places))
        plain.connect(place)
    except BaseException as e:
        plain.close()
        if others and isinstance(e, OSError):
            return _reach(others, end)
        raise
    return plain


def _status(sock: socket.socket, end: float) -> int:
    """The status of an answer, reading at most MAX_ANSWER bytes. A body that breaks off or never ends does not matter,
    because the status has arrived."""
    with http.client.HTTPResponse(_Bounded(sock, end), method="POST") as response:  # type: ignore[arg-type]
        response.begin()
        try:
            while response.read(8192):
                pass
        except (OSError, ValueError, http.client.HTTPException) as e:
            log.debug("the answer broke off: %s", _line(e))
        return response.status


class _Bounded(io.RawIOBase):
    """Read a socket until a deadline and up to MAX_ANSWER bytes, because a receiver may drip or never end."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock, self._end, self._room = sock, end, MAX_ANSWER

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The one method that http.client calls on a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._room:
            return 0
        self._sock.settimeout(_left(self._end))
        with memoryview(buffer) as view:
            n = self._sock.recv_into(view[: self._room])
        self._room -= n
        return n


def _left(end: float) -> float:
    """Seconds until a moment of the monotonic clock. Raises TimeoutError."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
