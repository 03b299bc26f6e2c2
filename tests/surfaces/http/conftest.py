"""An installation with a SQLite ledger and no worker; its broker is not there, so every bell rings in vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app


@pytest.fixture
def jobs(home: Path) -> Iterator[Jobs]:
    """The jobs of this test's home."""
    with closing(Jobs(Settings(home=home))) as made:
        yield made


@pytest.fixture
def app(jobs: Jobs) -> FastAPI:
    """The application over them."""
    return create_app(jobs.settings, jobs)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Asks the application, as from the same machine."""
    with TestClient(app, base_url="http://localhost:8642") as made:
        yield made


@pytest.fixture
def tokens(jobs: Jobs) -> dict[str, str]:
    """Two owners; from here on a token is needed."""
    return {
        "alice": jobs.owners.add_token("alice", libraries=["bees"]),
        "bob": jobs.owners.add_token("bob", libraries=[]),
    }
