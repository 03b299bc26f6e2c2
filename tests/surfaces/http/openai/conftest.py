"""A place to chat, for the tests of limner as a model of the OpenAI API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chatting import Place, place_to_chat


@pytest.fixture
def slow() -> threading.Event:
    """While it is not set, the writer's answer is held back; set from the start."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def place(bees: Path, slow: threading.Event) -> Iterator[Place]:
    """An installation with a library `bees`."""
    with place_to_chat(slow) as made:
        yield made
