"""No test goes beyond the loopback: what `conftest.py` guards sockets with."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

REACHED: list[str] = []
"""What was refused since it was last looked at."""


class NetworkReached(AssertionError):
    """A test tried to go beyond the loopback."""


def check(family: int, address: Any) -> None:
    """Raises NetworkReached for an address beyond the loopback, and keeps it."""
    if family not in (socket.AF_INET, socket.AF_INET6) or _loopback(address[0]):
        return
    REACHED.append(str(address[0]))
    raise NetworkReached(f"no test may reach {address[0]}")


def _loopback(host: str | None) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False
