"""Pictures and texts in one space without torch: two ONNX layouts, their preparation, and folders that are wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_siglip import COLOURS, SIZE, break_siglip, make_clip, make_siglip

from limner.errors import BadInput, NotInstalled
from limner.models.encoders.layout import Preparation, read_layout
from limner.models.encoders.onnx import OnnxPictures, prepared
from limner.tools.encoders import default_encoders, picture_encoder

SHADES = [*COLOURS]


def flat(*names: str) -> list[Image.Image]:
    return [Image.new("RGB", (40, 30), COLOURS[name]) for name in names]


@pytest.mark.parametrize("make", [make_siglip, make_clip])
def test_texts_find_the_pictures_of_what_they_name(tmp_path: Path, make: object) -> None:
    assert callable(make)
    encoder = OnnxPictures(make(tmp_path / "tiny"), threads=1)
    seen, told = encoder.encode_images(flat(*SHADES)), encoder.encode_texts([f"a thing that is {c}" for c in SHADES])
    assert seen.dtype == told.dtype == np.float32
    assert seen.shape == told.shape == (8, encoder.size) == (8, SIZE)
    assert np.linalg.norm(np.concatenate([seen, told]), axis=1) == pytest.approx(np.ones(16), abs=1e-5)
    assert (told @ seen.T).argmax(axis=1).tolist() == list(range(8))
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, SIZE)


def test_batches_give_the_vectors_of_one_at_a_time(tmp_path: Path) -> None:
    encoder = OnnxPictures(make_siglip(tmp_path / "tiny"), threads=1)
    shown = flat(*SHADES, *SHADES, "red")
    assert encoder.encode_images(shown) == pytest.approx(
        np.concatenate([encoder.encode_images([picture]) for picture in shown]), abs=1e-6
    )
    texts = [f"number {n} {'red ' * n}" for n in range(40)]
    one_by_one = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert encoder.encode_texts(texts) == pytest.approx(one_by_one, abs=1e-6)


def test_siglip_reads_in_lower_case_and_cuts_at_its_window(tmp_path: Path) -> None:
    encoder = OnnxPictures(make_siglip(tmp_path / "tiny"), threads=1)
    shouted, said, long, longer = encoder.encode_texts(["RED", "red", "the " * 64, "the " * 64 + "red"])
    assert shouted == pytest.approx(said, abs=1e-6)
    assert long == pytest.approx(longer, abs=1e-6)
    assert encoder.encode_texts(["the " * 10 + "red"])[0] != pytest.approx(long, abs=1e-3)


def test_a_graph_of_a_fixed_length_gets_texts_of_that_length(tmp_path: Path) -> None:
    folder = make_siglip(tmp_path / "tiny", window=12)
    assert OnnxPictures(folder, threads=1).encode_texts(["red", "blue " * 40]).shape == (2, SIZE)


def test_the_name_changes_with_the_weights_and_not_with_the_place(tmp_path: Path) -> None:
    first, other = make_siglip(tmp_path / "a" / "tiny"), make_siglip(tmp_path / "b" / "tiny", seed=1)
    moved = shutil.copytree(first, tmp_path / "c" / "tiny")
    assert OnnxPictures(first).name == OnnxPictures(moved).name != OnnxPictures(other).name


def test_better_weights_are_taken_where_there_are_several(tmp_path: Path) -> None:
    folder = make_siglip(tmp_path / "tiny", suffix="_quantized")
    shutil.copy(folder / "onnx/vision_model_quantized.onnx", folder / "onnx/vision_model_fp16.onnx")
    found = read_layout(folder)
    assert (found.vision.name, found.text.name) == ("vision_model_fp16.onnx", "text_model_quantized.onnx")


# --- preparation ----------------------------------------------------------------------------------------------------

CROPPED = (18, 18, False, 3)
HALVES = Image.new("RGB", (200, 100), "white")
HALVES.paste((0, 0, 0), (0, 0, 100, 100))


def test_siglip_squashes_a_picture_and_clip_cuts_out_the_middle() -> None:
    half = (0.5, 0.5, 0.5)
    squashed = prepared(HALVES, Preparation(8, 8, True, 2, half, half))
    assert (squashed.shape, squashed.dtype) == ((3, 8, 8), np.float32)
    assert (squashed.min(), squashed.max()) == (-1, 1)
    assert squashed[0, :, 0].tolist() == [-1] * 8
    wide = Image.new("RGB", (300, 100), "white")
    wide.paste((0, 0, 0), (100, 0, 200, 100))
    cut = prepared(wide, Preparation(8, 8, False, 0, half, half))
    assert cut.max() == -1  # only the black middle
    assert prepared(wide.transpose(Image.Transpose.ROTATE_90), Preparation(8, 8, False, 0, half, half)).max() == -1


def test_a_panorama_costs_no_more_than_a_snapshot() -> None:
    how = Preparation(224, 224, False, 3, (0.5,) * 3, (0.5,) * 3)
    assert prepared(Image.new("RGB", (20_000, 1)), how).shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"size": {"height": 20, "width": 24}, "resample": 2}, (20, 24, True, 2)),
        ({"size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 18}, "do_center_crop": True}, CROPPED),
        ({"size": 20, "do_center_crop": True, "crop_size": 20}, (20, 20, False, 3)),
        ({"size": 20, "mean": [0, 0, 0], "std": [1, 1, 1], "resize_mode": "squash"}, (20, 20, True, 3)),
    ],
)  # fmt: skip
def test_preparations_of_several_kinds_are_read(tmp_path: Path, said: dict[str, object], expected: object) -> None:
    folder = make_siglip(tmp_path / "tiny")
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    assert read_layout(folder).preparation[:4] == expected


# --- folders that are wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("tokenizer.json", None, "no tokenizer.json"),
        ("preprocessor_config.json", None, "no preprocessor_config.json"),
        ("preprocessor_config.json", "{}", "does not say how pictures are scaled"),
        ("preprocessor_config.json", '{"size": 9999999}', "sizes that no model has"),
        ("preprocessor_config.json", "[" * 9999, "cannot be read"),
        ("preprocessor_config.json", "<html>", "cannot be read"),
        ("config.json", "<html>", "cannot be read"),
        ("onnx/text_model.onnx", None, "no picture encoder"),
        ("onnx/vision_model.onnx", "<html>", "cannot be loaded"),
        ("onnx/text_model.onnx", "<html>", "cannot be loaded"),
        ("tokenizer.json", "<html>", "tokenizer.json of tiny cannot be read"),
    ],
)
def test_a_folder_that_lacks_something_says_what(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    folder = make_siglip(tmp_path / "tiny")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)

    def used() -> None:
        encoder = OnnxPictures(folder, threads=1)
        encoder.encode_texts(["red"])
        encoder.encode_images(flat("red"))

    with pytest.raises(BadInput, match=reason) as raised:
        used()
    assert "\n" not in str(raised.value)


def test_towers_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = break_siglip(make_siglip(tmp_path / "tiny"), "towers")
    with pytest.raises(BadInput, match="9 numbers for a picture and 48 for a text"):
        OnnxPictures(folder, threads=1).encode_images(flat("red"))


def test_a_setting_names_a_folder_a_known_model_or_one_of_open_clip(tmp_path: Path) -> None:
    folder = make_siglip(tmp_path / "tiny")
    clip = default_encoders(clip_model=str(folder), threads=1).clip
    assert clip is not None
    assert clip.name == OnnxPictures(folder).name
    assert default_encoders(clip_model=str(folder), threads=1).clip is clip  # its weights are in memory once
    with pytest.raises(NotInstalled, match=r"siglip2 is not on this machine .*library add NAME FOLDER --encoder sig"):
        picture_encoder("siglip2", tmp_path)
    with pytest.raises(BadInput, match="no picture encoder"):
        picture_encoder(f"{tmp_path}/", None)
