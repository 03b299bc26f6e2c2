"""Pictures by address, from hosts that whoever runs the server has named. Off unless named: see `--image-host`.

A server that opens addresses out of requests is a way into the network it stands in. So: https or http on the usual
ports, a host of the list, every address of which is public; the connection goes to the address that was looked at, not
to what a second look-up says; no redirect is followed; size and time are bounded.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from limner.model_server.errors import Refused

TIMEOUT = 10  # seconds for one picture, all in all
PORTS = {"https": 443, "http": 80}


def public_socket(host: str, port: int) -> socket.socket:
    """A connection to a host whose addresses are all public. Raises Refused, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(family, address) for family, _, _, _, address in found]
    for _, address in addresses:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if not mapped.is_global or mapped.is_multicast:
            raise Refused(f"invalid image: {host} is an address inside a private network. Send the picture itself.")
    family, address = addresses[0]
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


class Fetcher:
    """Fetches pictures from some hosts."""

    def __init__(self, hosts: tuple[str, ...], connect: Callable[[str, int], socket.socket] = public_socket) -> None:
        """hosts: names as they stand in an address; no patterns. connect: opens the connection to a host and port."""
        self.hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._connect = connect

    def fetch(self, url: str, limit: int) -> bytes:
        """At most `limit` bytes. Raises Refused, saying why not, without what the host said."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise Refused("invalid image: that is no address. Send the picture itself.") from None
        if scheme not in PORTS or port not in (None, PORTS[scheme]) or parts.username is not None:
            raise Refused("invalid image: pictures are fetched by plain http(s) addresses. Send the picture itself.")
        if host not in self.hosts:
            known = ", ".join(sorted(self.hosts))
            raise Refused(f"invalid image: pictures are fetched from {known} alone. Send the picture itself.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(not "!" <= c <= "~" for c in path):
            raise Refused("invalid image: the address holds characters that must be escaped. Escape them with %.")
        try:
            return self._read(scheme, host, path, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise Refused(f"invalid image: {host} cannot be read ({reason}). Send the picture itself.") from None

    def _read(self, scheme: str, host: str, path: str, limit: int) -> bytes:
        deadline = time.monotonic() + TIMEOUT
        with contextlib.closing(self._connection(scheme, host)) as connection:
            connection.request("GET", path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
            answer = connection.getresponse()
            if answer.status != 200:
                said = "redirects elsewhere" if 300 <= answer.status < 400 else f"answered {answer.status}"
                raise Refused(f"invalid image: {host} {said}. Send the picture itself.")
            data = bytearray()
            while piece := answer.read1(65536):
                data += piece
                if len(data) > limit:
                    raise Refused(f"invalid image: a file of over {limit} bytes. Scale it down first.")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not within {TIMEOUT} seconds")
            return bytes(data)

    def _connection(self, scheme: str, host: str) -> http.client.HTTPConnection:
        raw = self._connect(host, PORTS[scheme])
        if scheme == "https":
            try:
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
            except OSError:
                raw.close()
                raise
        connection = http.client.HTTPConnection(host, PORTS[scheme], timeout=TIMEOUT)
        connection.sock = raw
        return connection
