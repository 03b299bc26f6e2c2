"""Headers of GGUF files, also of those that lie."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import almost
from tiny_projector import SMOLLM2, make_projector

from limner.errors import BadInput
from limner.models.gguf import Header, read_header
from limner.workflows.embedded.server import smollm2_path


def test_the_real_model_s_header() -> None:
    header = read_header(smollm2_path())
    assert (header.architecture, header.is_projector, header.has_template) == ("llama", False, True)
    assert (header.context, header.width) == (8192, SMOLLM2)
    assert header.cache_per_token == 30 * 3 * (64 + 64) * 2  # layers, heads, key and value, bytes
    assert header.values["general.size_label"] == "135M"


def test_it_reads_what_the_format_s_own_library_reads() -> None:
    path = smollm2_path()
    theirs = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}
    ours = read_header(path).values
    assert {key: theirs[key] for key in ours} == ours
    left_out = {key for key in theirs if key not in ours and not key.startswith("GGUF.")}
    assert left_out == {"general.languages"} | {f"tokenizer.ggml.{n}" for n in ("tokens", "token_type", "merges")}


def test_the_parameters_are_counted_by_the_tensors(tmp_path: Path) -> None:
    path = smollm2_path()
    assert read_header(path).parameters == sum(int(t.n_elements) for t in gguf.GGUFReader(path).tensors) == 134_515_008
    assert read_header(almost(tmp_path / "m.gguf")).parameters == 32 * 32
    header = read_header(path)
    one_of_three = Header(path, "llama", {**header.values, "split.count": 3}, header.weights)
    assert one_of_three.parameters == 0, "a part says nothing of the whole"


def test_a_projector_is_none_of_the_models(tmp_path: Path) -> None:
    header = read_header(make_projector(tmp_path / "mmproj.gguf", 64))
    assert (header.is_projector, header.width) == (True, 64)


def test_numbers_of_each_layer_count_as_their_largest(tmp_path: Path) -> None:
    path = almost(tmp_path / "m.gguf", block_count=4, attention__head_count=8, embedding_length=64)
    header = read_header(path)
    assert header.cache_per_token == 4 * 8 * (8 + 8) * 2
    layered = Header(path, "llama", {**header.values, "llama.attention.head_count_kv": [1, 2, 1, 2]})
    assert layered.cache_per_token == 4 * 2 * (8 + 8) * 2
    assert Header(path, "llama", {"llama.block_count": -3}).cache_per_token == 0


@pytest.mark.parametrize("cut", [0, 3, 4, 8, 23, 24, 40, 100])
def test_a_header_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(almost(tmp_path / "m.gguf").read_bytes()[:cut])
    with pytest.raises(BadInput, match="not a GGUF file" if cut < 4 else "is cut off or damaged"):
        read_header(path)


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<IQQ", 3, 0, 1 << 40),  # keys
        struct.pack("<IQQQ", 3, 0, 1, 1 << 62),  # a key's length
        struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 60),  # texts in an array
        struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 4, 1 << 60),  # numbers in one
        struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1),  # arrays in one
        struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99),  # a type
        struct.pack("<IQQ", 1, 0, 0),  # a version
    ],
)
def test_a_header_that_lies_is_refused_and_costs_nothing(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "lies.gguf"
    path.write_bytes(b"GGUF" + body)
    with pytest.raises(BadInput, match="is cut off or damaged") as raised:
        read_header(path)
    assert "\n" not in str(raised.value)


def test_a_sparse_file_of_texts_is_refused(tmp_path: Path) -> None:
    """Each zero of the hole is the length of an empty text; its size costs nobody anything."""
    path = tmp_path / "sparse.gguf"
    for declared, words in ((2_000_001, "2000001 texts"), (1_000_000, "goes on too long")):
        text = struct.pack("<Q", 0 if declared > 2_000_000 else 300)
        body = struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 8, declared) + text
        path.write_bytes(b"GGUF" + body)
        with path.open("r+b") as file:
            file.truncate(1 << 30)
            if declared < 2_000_000:  # one long text, which ends beyond what a header may have
                file.seek(4 + len(body) - 8)
                file.write(struct.pack("<Q", 300_000_000))
        with pytest.raises(BadInput, match=words):
            read_header(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 3) + body)
    with suppress(BadInput):
        read_header(path)
