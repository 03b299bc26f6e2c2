"""The two kinds of store: rows in a folder, and a collection of Qdrant's client in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import SIZES

from limner.tools.library import Connect
from limner.tools.server_store import ServerStore, server
from limner.tools.store import EdgeStore


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeStore]:
    store = EdgeStore(tmp_path / "vectors", SIZES)
    yield store
    store.close()


@pytest.fixture
def remote() -> Iterator[ServerStore]:
    client = server(":memory:")
    yield ServerStore(client, "limner-test", SIZES)
    client.close()


@pytest.fixture(params=["edge", "server"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect | None]:
    """Where a library keeps its vectors: None for its folder; the server's client is the function's `client`."""
    if request.param == "edge":
        yield None
        return
    client = server(":memory:")
    connect = lambda _folder, collection, sizes: ServerStore(client, collection, sizes)  # noqa: E731
    connect.client = client  # type: ignore[attr-defined]
    yield connect
    client.close()
