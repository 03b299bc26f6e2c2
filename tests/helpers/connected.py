"""A scripted model that the settings name: those of the environment, or those of an API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from scripted import Script, ScriptedServer


@contextmanager
def connected(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted server that LIMNER_MODEL_URL names; a failed call is not repeated."""
    with ScriptedServer(script) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        monkeypatch.setenv("LIMNER_RETRIES", "0")
        yield server


@contextmanager
def connected_to(app: FastAPI, script: Script) -> Iterator[ScriptedServer]:
    """A scripted server that the API's settings name; a failed call is not repeated."""
    with ScriptedServer(script) as server:
        parts = app.state.parts
        named = {"model_url": server.url, "model": "scripted-7b", "retries": 0}
        parts.shelf.settings = parts.settings.model_copy(update=named)
        yield server
