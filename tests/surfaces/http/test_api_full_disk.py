"""A full disk: 507 with words, nothing half kept, and all is well once there is room."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from disks import fill, small_disk
from fastapi.testclient import TestClient
from lives import BRIEF
from PIL import Image

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=4) as folder:
        yield folder


def picture() -> bytes:
    """300 kB that do not compress."""
    out = io.BytesIO()
    Image.effect_noise((600, 500), 80).save(out, "PNG")
    return out.getvalue()


def test_images_that_find_no_room(disk: Path, tmp_path: Path) -> None:
    settings = Settings(home=disk / "home", database_url=f"sqlite:///{tmp_path}/jobs.sqlite")
    with closing(Jobs(settings)) as jobs, TestClient(create_app(settings, jobs), base_url="http://localhost") as client:
        (disk / "home").mkdir(exist_ok=True)
        fill(disk / "filler")
        answer = client.post("/v1/images", files={"file": ("bee.png", picture())})
        assert (answer.status_code, answer.json()["code"]) == (507, "no-room")
        assert str(tmp_path) not in answer.text
        assert "retry-after" in answer.headers
        assert [p for p in (disk / "home").rglob("*") if p.is_file() and p.stat().st_size] == []
        (disk / "filler").unlink()
        assert client.post("/v1/images", files={"file": ("bee.png", picture())}).status_code == 201


def test_a_job_that_finds_no_room(disk: Path, home: Path) -> None:
    settings = Settings(home=home, database_url=f"sqlite:///{disk}/jobs.sqlite")
    with closing(Jobs(settings)) as jobs, TestClient(create_app(settings, jobs), base_url="http://localhost") as client:
        fill(disk / "filler")
        long = {"draft": "# Honey\n\n" + "Bees gather nectar. " * 20_000}
        answer = client.post("/v1/jobs", json=long)
        assert (answer.status_code, answer.json()["code"]) == (507, "no-room")
        assert "jobs.sqlite" not in answer.text
        assert client.get("/v1/jobs").json()["jobs"] == []
        (disk / "filler").unlink()
        assert client.post("/v1/jobs", json=BRIEF).status_code == 201
