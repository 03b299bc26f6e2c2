"""Captions in another language than the encoder reads: one command gives the library an encoder that reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import Hub, hub_of, weights_of
from PIL import Image
from shell import Shell

from limner.models.encoders.known import known
from limner.settings import Settings
from limner.surfaces.cli.library_reports import opened_context
from limner.tools.encoders import MiniLM, default_encoders
from limner.tools.library import Library

CAPTIONS = {
    "colmena": "Una colmena abierta con abejas que cuidan la miel en los panales del verano",
    "trigo": "Un campo de trigo maduro antes de la cosecha, con un tractor a lo lejos",
    "faro": "El faro de la costa norte durante una tormenta de invierno con olas altas",
    "mercado": "Un puesto de frutas y verduras en el mercado de la plaza mayor",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose multilingual-e5-small has MiniLM's weights: what is tested is the way there."""
    minilm, folder = MiniLM(threads=1), tmp_path / "repository"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model_qint8_avx512_vnni.onnx").write_bytes(minilm.model.read_bytes())
    (folder / "tokenizer.json").write_bytes(minilm.tokenizer.read_bytes())
    (folder / "config.json").write_text(json.dumps({"hidden_size": 384}))
    with hub_of("maker/tiny", folder) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        small = known()["multilingual-e5-small"]
        monkeypatch.setitem(known(), small.name, replace(small, repository="maker/tiny", files=weights_of(folder)))
        yield served


@pytest.fixture
def fotos(tmp_path: Path) -> Path:
    folder = tmp_path / "fotos"
    folder.mkdir()
    for n, (name, caption) in enumerate(CAPTIONS.items()):
        Image.new("RGB", (64, 48), (40 * n, 90, 120)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(caption, encoding="utf-8")
    return folder


def test_one_command_gives_a_library_an_encoder_of_its_language(
    shell: Shell, hub: Hub, fotos: Path, home: Path
) -> None:
    added = shell("library", "add", "archivo", str(fotos))
    assert added.code == 0, added.err
    [offer] = [line for line in added.out.splitlines() if "language (es)" in line]
    assert "`limner library add archivo --encoder multilingual-e5-small` (downloads 23 MB once, licence MIT)" in offer
    assert hub.asked == [], "nothing is fetched unasked"
    shell("library", "edit", "archivo", "faro.png", "--caption", "El faro de Finisterre")

    given = shell("library", "add", "archivo", "--encoder", "multilingual-e5-small")
    assert given.code == 0, given.err
    assert "MIT" in given.err + given.out
    assert "language (es)" not in given.out, "it reads them now"
    library = Library.open(home, "archivo", default_encoders(threads=1))
    assert library.encoders.caption.name.startswith("multilingual-e5-small ")
    assert library.encoders.caption.name.endswith("query:")
    assert library.find("faro.png").caption == "El faro de Finisterre"
    assert set(library.chances()) == {"caption"}
    assert library.search(["campo de trigo con tractor"], 1)[0][0].caption == CAPTIONS["trigo"]
    assert "ok    captions   multilingual-e5-small" in shell("doctor").out

    back = shell("library", "add", "archivo", "--encoder", "minilm")
    assert back.code == 0, back.err
    assert Library.open(home, "archivo", default_encoders(threads=1)).encoders.caption.name.startswith("minilm")


def test_both_kinds_of_encoder_live_in_one_library(
    shell: Shell, hub: Hub, fotos: Path, home: Path, tmp_path: Path
) -> None:
    from tiny_siglip import make_siglip

    siglip = make_siglip(tmp_path / "tiny")
    for encoder in (str(siglip), "multilingual-e5-small"):
        given = shell("library", "add", "archivo", str(fotos), "--encoder", encoder)
        assert given.code == 0, given.err
    library = Library.open(home, "archivo", default_encoders(threads=1))
    assert library.encoders.caption.name.startswith("multilingual-e5-small ")
    assert library.encoders.clip is not None
    found = library.search(["faro en la tormenta"], 4)[0]
    assert {name for c in found for name in c.scores} == {"caption", "clip", "words"}


def test_weights_that_do_not_run_change_nothing(shell: Shell, fotos: Path, home: Path, tmp_path: Path) -> None:
    shell("library", "add", "archivo", str(fotos))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no model")
    (broken / "tokenizer.json").write_bytes(MiniLM(threads=1).tokenizer.read_bytes())
    (broken / "config.json").write_text(json.dumps({"hidden_size": 384}))
    refused = shell("library", "add", "archivo", "--encoder", str(broken))
    assert refused.code == 2
    assert "cannot encode (" in refused.err.splitlines()[-1]
    library = Library.open(home, "archivo", default_encoders(threads=1))
    assert library.search(["faro"], 1)[0][0].caption == CAPTIONS["faro"]


def test_weights_that_are_gone_are_named(shell: Shell, hub: Hub, fotos: Path, home: Path) -> None:
    shell("library", "add", "archivo", str(fotos), "--encoder", "multilingual-e5-small")
    (home / "models" / "multilingual-e5-small").rename(home / "elsewhere")
    said = shell("library", "search", "archivo", "faro")
    assert said.code == 2
    assert "The encoder multilingual-e5-small is not on this machine" in said.err


def test_it_may_be_the_encoder_of_all_libraries(
    shell: Shell, hub: Hub, fotos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("library", "add", "archivo", str(fotos), "--encoder", "multilingual-e5-small")
    monkeypatch.setenv("LIMNER_ENCODER", "multilingual-e5-small")
    assert Settings().encoder == "multilingual-e5-small"
    assert opened_context().encoders.caption.name.startswith("multilingual-e5-small ")
