"""Which files a name stands for, what fits into memory, and the choice that the settings read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_llama import almost, link
from tiny_projector import make_projector

from limner.errors import BadInput, NotInstalled
from limner.models import choice, language
from limner.models.capacity import CHOICES, WORKSPACE, capacity
from limner.models.gguf import read_header
from limner.models.known import WeightsFile
from limner.models.local import find
from limner.settings import Settings, choice_file

# --- files ---------------------------------------------------------------------------------------------------------


def test_a_projector_beside_the_model_is_taken(tmp_path: Path) -> None:
    model, projector = link(tmp_path / "sight.gguf"), make_projector(tmp_path / "mmproj-sight.gguf")
    found = find(str(model), tmp_path)
    assert (found.model.path, found.projector and found.projector.path) == (model, projector)
    assert find(str(model), tmp_path, "none").projector is None
    elsewhere = make_projector(tmp_path / "other" / "mmproj.gguf") if (tmp_path / "other").mkdir() is None else None
    named = find(str(model), tmp_path, str(elsewhere)).projector
    assert named
    assert named.path == elsewhere


def test_among_several_projectors_the_one_of_the_same_width_or_name_is_taken(tmp_path: Path) -> None:
    model = link(tmp_path / "Sight-Q4_K_M.gguf")
    make_projector(tmp_path / "mmproj-other.gguf", 64)
    own = make_projector(tmp_path / "mmproj-Sight-Q8_0.gguf")
    found = find(str(model), tmp_path).projector
    assert found
    assert found.path == own
    make_projector(tmp_path / "mmproj-third.gguf")
    found = find(str(model), tmp_path).projector
    assert found
    assert found.path == own
    make_projector(tmp_path / "mmproj-Sight-f16.gguf")
    with pytest.raises(BadInput, match=r"Several projectors .*mmproj-Sight-Q8_0.*Name one in LIMNER_MMPROJ, or none"):
        find(str(model), tmp_path)


def test_a_stranger_s_projector_beside_a_text_model_changes_nothing(tmp_path: Path) -> None:
    model = link(tmp_path / "text.gguf")
    make_projector(tmp_path / "mmproj-other.gguf", 64)
    assert find(str(model), tmp_path).projector is None
    (tmp_path / "mmproj-other.gguf").write_bytes(b"half a copy")
    assert find(str(model), tmp_path).projector is None
    make_projector(tmp_path / "mmproj-other-vl.gguf", find(str(model), tmp_path).model.width)
    assert find(str(model), tmp_path).projector is None, "its width says nothing: models of a family share it"
    damaged = tmp_path / "mmproj-text.gguf"
    damaged.write_bytes(b"half a copy")
    (tmp_path / "mmproj-other.gguf").unlink()
    (tmp_path / "mmproj-other-vl.gguf").unlink()
    with pytest.raises(BadInput, match=r"mmproj-text.gguf is not a GGUF file"):  # its own
        find(str(model), tmp_path)


def test_what_is_no_model_to_talk_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"base.gguf has no chat template: .* Choose a model that is tuned"):
        find(str(almost(tmp_path / "base.gguf", template=False)), tmp_path)
    projector = make_projector(tmp_path / "mmproj.gguf")
    with pytest.raises(BadInput, match="is a projector of pictures, not a model"):
        find(str(projector), tmp_path)
    with pytest.raises(BadInput, match=r"is no projector of pictures \(mmproj\). Correct LIMNER_MMPROJ."):
        find(str(link(tmp_path / "m.gguf")), tmp_path, str(tmp_path / "m.gguf"))


@pytest.mark.parametrize("name", ["qwen3-vl-2b", "hf:maker/tiny", "hf:maker/tiny:tiny.gguf"])
def test_what_is_not_here_is_not_fetched(name: str, home: Path) -> None:
    with pytest.raises(NotInstalled, match=f"{name} is not on this machine.*`limner model get {name}`"):
        find(name, home)


@pytest.mark.parametrize(
    "spec", ["hf:", "hf:maker", "hf:maker/tiny/file.gguf", "hf:../tiny", "hf:a/b:../c.gguf", "hf:a/b:c"]
)
def test_a_spec_that_names_no_repository(spec: str, home: Path) -> None:
    with pytest.raises(BadInput, match=r"is mistyped\. Write hf:OWNER/REPOSITORY"):
        find(spec, home)


def test_a_downloaded_model_is_found_by_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "models" / "hf--maker--tiny"
    model, projector = link(folder / "weights" / "tiny.gguf"), make_projector(folder / "mmproj-tiny.gguf")
    found = find("hf:maker/tiny", home)
    assert (found.model.path, found.projector and found.projector.path) == (model, projector)
    file = WeightsFile(projector.name, projector.stat().st_size, hashlib.sha256(projector.read_bytes()).hexdigest())
    row = replace(language.known()["qwen3-vl-2b"], files=(file,))
    monkeypatch.setitem(language.known(), "qwen3-vl-2b", row)
    (home / "models" / "qwen3-vl-2b").mkdir()
    with pytest.raises(NotInstalled, match="qwen3-vl-2b is not on this machine"):
        find("qwen3-vl-2b", home)  # not all of its files are there


# --- memory --------------------------------------------------------------------------------------------------------

GB = 10**9


def test_context_and_requests_follow_the_memory(tmp_path: Path) -> None:
    shape = {"block_count": 36, "attention__head_count": 32, "attention__head_count_kv": 8, "embedding_length": 4096}
    path = almost(tmp_path / "m.gguf", context_length=262144, **shape)
    os.truncate(path, 2_500_000_000)  # as Qwen3-VL 4B; nothing of it is read
    header = read_header(path)
    assert header.cache_per_token == 147_456
    found = [capacity(header, None, 64 * GB, available * GB) for available in (20, 6, 5, 4, 3)]
    assert found == [CHOICES[0], CHOICES[1], CHOICES[2], CHOICES[3], CHOICES[3]]
    assert capacity(header, None, 0, 0) == CHOICES[0]  # a system that does not say


def test_a_model_bigger_than_the_memory_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = almost(tmp_path / "big.gguf")
    os.truncate(path, 40 * GB)
    with pytest.raises(BadInput, match=r"big.gguf needs 40.6 GB of memory, and this machine has 16.0. Choose"):
        capacity(read_header(path), None, 16 * GB, 12 * GB)
    assert WORKSPACE == 600_000_000


def test_the_model_s_own_context_is_the_limit(tmp_path: Path) -> None:
    header = read_header(almost(tmp_path / "m.gguf", context_length=2048, block_count=1))
    assert capacity(header, None, 64 * GB, 64 * GB) == (2, 2048)


# --- the choice ----------------------------------------------------------------------------------------------------


def test_settings_read_the_choice_and_variables_take_precedence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().model, Settings().model_url) == ("", "")
    choice.write(home, model='a "b" \x7f\\ ü 🐝', model_url="http://127.0.0.1:1/v1", mmproj="")
    assert Settings().model == 'a "b" \x7f\\ ü 🐝'
    assert Settings().model_url == "http://127.0.0.1:1/v1"
    assert choice_file(home).stat().st_mode & 0o077 == 0
    assert (Settings(model="x").model, Settings(model="x").model_url) == ("x", "")
    monkeypatch.setenv("LIMNER_MODEL_URL", "http://127.0.0.1:2/v1")
    assert (Settings().model, Settings().model_url) == ("", "http://127.0.0.1:2/v1")
    monkeypatch.delenv("LIMNER_MODEL_URL")
    monkeypatch.setenv("LIMNER_MODEL", "")
    assert (Settings().model, Settings().model_url) == ("", "")
    monkeypatch.delenv("LIMNER_MODEL")
    choice.forget(home)
    choice.forget(home)
    assert Settings().model == ""


@pytest.mark.parametrize("text", ["model = ", "model = 3", 'modle = "x"', "\xff\xfe"])
def test_a_choice_that_cannot_be_read_says_where(home: Path, text: str) -> None:
    home.mkdir()
    choice_file(home).write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"model.toml .*Correct it, or delete it and run limner setup."):
        Settings()


def test_a_path_that_toml_cannot_hold(home: Path) -> None:
    with pytest.raises(BadInput, match=r"caf.*\.gguf.* is not UTF-8: rename the file\."):
        choice.write(home, model=os.fsdecode(b"/caf\xe9.gguf"))
    assert not choice_file(home).exists()


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("LIMNER_HOME")
    usual = Settings().home
    monkeypatch.setenv("LIMNER_HOME", "")
    assert Settings().home == usual
