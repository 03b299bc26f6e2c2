"""A scripted model that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scripted import Script, ScriptedServer


@contextmanager
def connected(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted server that LIMNER_MODEL_URL names; a failed call is not repeated."""
    with ScriptedServer(script) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        monkeypatch.setenv("LIMNER_RETRIES", "0")
        yield server
