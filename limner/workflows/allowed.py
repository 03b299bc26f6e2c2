"""Which libraries an owner may use: limner's own, those granted, and the owner's uploads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

STARTER = "starter"
"""Name of the library of drawings."""
SAMPLE = "limner-sample"
"""Name of the library of photographs for the sample's draft."""
BUNDLED = (STARTER, SAMPLE)
"""Libraries that come with limner: all owners may use them, and they are made on first use."""
_OWN = "own."  # prefix of libraries with one owner's uploads


def own_library(owner: str) -> str:
    """The name of the library of an owner's uploads; nobody else may use it."""
    words = re.sub(r"[^\w-]+", "-", owner)[:40]
    return f"{_OWN}{words}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"


def may_use(owner: str, libraries: Collection[str] | None, library: str) -> bool:
    """Whether an owner may search a library.

    libraries: names besides the bundled ones; None for all but other owners' uploads.
    """
    if library.startswith(_OWN):
        return library == own_library(owner)
    return libraries is None or library in BUNDLED or library in libraries
