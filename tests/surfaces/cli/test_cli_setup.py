"""`limner setup` and `limner model`: a hub and servers on the loopback, and an engine that really takes pictures."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.file_download
import pytest
from hub_server import Hub, hub_of
from pictures import make_folder
from shell import Shell
from tiny_llama import link
from tiny_projector import PICTURE_TOKENS, make_projector

from limner.settings import choice_file
from limner.tools.export import read_json
from limner.tools.models import language, servers
from limner.tools.models.known import WeightsFile

WEIGHTS, PROJECTOR = "sight.gguf", "mmproj-sight.gguf"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model server of this machine is asked, and huggingface_hub waits for nothing."""
    monkeypatch.setattr(servers, "PORTS", {})
    monkeypatch.setattr(huggingface_hub.file_download, "time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1_000_000)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """SmolLM2's weights under a name without a size, and a random projector."""
    folder = tmp_path / "repository"
    link(folder / WEIGHTS)
    make_projector(folder / PROJECTOR)
    return folder


@pytest.fixture
def hub(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with them, as the models that limner proposes."""
    files = tuple(
        WeightsFile(p.name, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(repository.iterdir())
    )
    with hub_of("maker/sight", repository) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        for name, row in list(language.known().items()):
            monkeypatch.setitem(language.known(), name, replace(row, repository="maker/sight", files=files))
        yield served


def tokens_of(folder: Path) -> dict[str, dict[str, int]]:
    return read_json(folder / "article.json").made_with["tokens"]


def test_setup_then_compose_with_an_engine_that_takes_pictures(
    shell: Shell, hub: Hub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_THREADS", "1")
    done = shell("setup", "--yes")
    lines = done.out.splitlines()
    # The test with two pictures reaches the engine, and a random projector fails it; all else works.
    assert [line.split()[1] for line in lines if line.startswith("FAIL")] == ["vision"], done.out + done.err
    assert "sight does not see images (asked which of two pictures is red it named" in done.out
    assert done.code == 2
    assert re.match(
        r"This machine: [\d.]+ GB of memory \([\d.]+ free\), \d+ cores, \d+ GB free on the disk\.", lines[0]
    )
    (proposed,) = [line for line in lines if line.startswith("Proposed: ")]
    name = proposed.split()[1]
    assert "a download of 0.10 GB, licence Apache-2.0, languages: many, Chinese and English among them." in proposed
    assert re.search(r"Expected on this processor: it reads about [\d.]+ tokens a second and writes about", done.out)
    assert f"from {hub.url}/maker/sight, licence Apache-2.0, to {home / 'models' / name}" in done.err
    assert f"In use: {name}, by the choice in model.toml. ({home / 'model.toml'})" in lines
    assert "ok    model      sight at the embedded model answers" in done.out
    assert choice_file(home).read_text().splitlines()[1:] == [f'model = "{name}"']

    make_folder(tmp_path / "photos")
    monkeypatch.setenv("LIMNER_VISION", "true")  # a random projector tells red from blue by chance only
    brief = "Write two short paragraphs about bees."
    made = shell("compose", brief, "--library", str(tmp_path / "photos"), "--images", "2", "--out", str(tmp_path / "a"))
    assert made.code == 0, made.err
    article = read_json(tmp_path / "a" / "article.json")
    assert article.made_with["models"]["selector"] == "sight"
    selector = tokens_of(tmp_path / "a")["selector"]
    text = json.loads((tmp_path / "a" / "article.json").read_text())
    print(json.dumps(text)[-3000:])
    assert selector["prompt"] > selector["calls"] * 2 * PICTURE_TOKENS
    assert not [note for note in article.notes if "does not see" in note]
