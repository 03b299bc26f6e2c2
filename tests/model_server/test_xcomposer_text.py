"""Tokenizer, chat template and processor, against SentencePiece and against the published prompts."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

import numpy as np  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from PIL import Image  # noqa: E402
from tiny import FOLDER, TOKENIZER, Golden  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast  # noqa: E402

from limner.model_server.xcomposer import template  # noqa: E402
from limner.model_server.xcomposer.sentencepiece import build_tokenizer, read_pieces  # noqa: E402

pytestmark = pytest.mark.torch
PIECES = read_pieces(TOKENIZER.read_bytes())
TINY = build_tokenizer(PIECES, ["<ImageHere>"])


@pytest.fixture(scope="session")
def processor(chatting: Path) -> Any:
    return AutoProcessor.from_pretrained(chatting)


def transcripts(version: int) -> dict[str, tuple[str, list]]:
    """Every published prompt: its text with <ImageHere>, and its token ids with images as None."""
    found = {}
    chat = json.loads((FOLDER / f"xcomposer_v{version}" / "chat_transcript.json").read_text("utf-8"))
    for name, case in chat["cases"].items():
        text = "".join("<ImageHere>" if t.startswith("<image ") else t for t in case["text"])
        found[name] = text.removeprefix("<s>"), case["sequence"]
    composed = json.loads((FOLDER / f"xcomposer_v{version}" / "composition_transcript.json").read_text("utf-8"))
    for run in [composed] if version == 1 else composed.values():
        for call in run["calls"]:
            text = "".join("<ImageHere>" if t.startswith("<image ") else t for t in call["segments_text"])
            found[f"composition {len(found)}"] = text, call["sequence"]
    return found


def flat(sequence: list) -> list[int | None]:
    return [i for part in sequence for i in part.get("ids", [None])]


# --- tokenizer


@given(st.text())
def test_tokens_are_sentencepieces(text: str) -> None:
    spm = pytest.importorskip("sentencepiece", reason="compared only where SentencePiece is installed")
    reference = spm.SentencePieceProcessor(model_file=str(TOKENIZER))
    if any(mark in text for mark in ("<s>", "</s>", "<unk>")) or "\0" in text:
        return
    ids = TINY.encode(text, add_special_tokens=False).ids
    assert ids == reference.encode(text)
    assert TINY.decode(ids, skip_special_tokens=False) == reference.decode(ids)


@given(st.text(alphabet=st.characters(exclude_characters="\u2581", exclude_categories=["Cs"])))
def test_text_survives_the_tokenizer(text: str) -> None:
    assert TINY.decode(TINY.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_bos_comes_first_and_marks_are_single_tokens() -> None:
    ids = TINY.encode("a<TOKENS_UNUSED_0><ImageHere> b").ids
    assert ids[0] == 1
    assert ids.count(1) == 1
    assert TINY.token_to_id("<TOKENS_UNUSED_0>") in ids
    assert TINY.token_to_id("<ImageHere>") == len(PIECES)


@given(st.data())
def test_a_damaged_tokenizer_file_is_refused_in_words(data: st.DataObject) -> None:
    whole = TOKENIZER.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(max_size=8))
    with suppress(ValueError):  # this alone: nothing else may come out
        read_pieces(whole[:cut] + noise)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [(3, 1, "no BPE"), (35, 0, "no byte fallback")],
)
def test_another_kind_of_tokenizer_is_refused(field: int, value: int, reason: str) -> None:
    def number(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80, n >> 7])

    spec = number(field << 3) + number(value)
    other = TOKENIZER.read_bytes() + bytes([2 << 3 | 2, len(spec)]) + spec  # a second trainer_spec, the last counts
    with pytest.raises(ValueError, match=reason):
        read_pieces(other)


# --- template


def render(version: int, messages: list[dict], **options: Any) -> str:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=TINY, bos_token="<s>", eos_token="</s>")
    text = template.V1 if version == 1 else template.V2
    return tokenizer.apply_chat_template(messages, chat_template=text, tokenize=False, **options)


@pytest.mark.parametrize("version", [1, 2])
def test_raw_messages_render_every_published_prompt(version: int) -> None:
    for name, (text, _) in transcripts(version).items():
        parts: list[dict] = []
        for n, piece in enumerate(text.split("<ImageHere>")):
            parts += [{"type": "image"}] if n else []
            parts.append({"type": "text", "text": piece})
        messages = [{"role": "user", "content": parts}]
        assert render(version, messages, raw=True) == "<s>" + text, name
        assert render(version, messages, raw=True, add_generation_prompt=True) == "<s>" + text, name


def test_v1_chat_is_the_published_one() -> None:
    published = transcripts(1)
    meta = published["single_turn_text"][0].removeprefix("meta instruction\n").split("\nconversation\n")[0]
    system = {"role": "system", "content": meta}
    text = {"role": "user", "content": "图片里面的是谁？"}
    image = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "图片里面的是谁？"}]}
    assert render(1, [system, text], add_generation_prompt=True) == "<s>" + published["single_turn_text"][0]
    assert render(1, [system, image], add_generation_prompt=True) == "<s>" + published["single_turn_image"][0]


def test_v2_chat_is_the_published_one_with_a_single_bos() -> None:
    published = transcripts(2)
    meta = published["chat_image"][0].removeprefix("[UNUSED_TOKEN_146]system\n").split("[UNUSED_TOKEN_145]\n")[0]
    messages = [
        {"role": "system", "content": meta},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "图片里面的是谁？"}]},
        {"role": "assistant", "content": "阿尔伯特·爱因斯坦。"},
        {"role": "user", "content": "他有哪些成就?"},
    ]
    expected = published["chat_image_second_turn"][0].replace("<s>", "")
    assert render(2, messages, add_generation_prompt=True) == "<s>" + expected


@pytest.mark.parametrize("version", [1, 2])
def test_composition_prompts_are_plain_messages_that_go_on(version: int) -> None:
    """Location and caption prompts: a user message and the beginning of the answer, which the template leaves open."""
    before, after = {
        1: (" <|User|>:", "\n<TOKENS_UNUSED_0> <|Bot|>:"),
        2: ("[UNUSED_TOKEN_146]user\n", "[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n"),
    }[version]
    seen = 0
    for text, _ in transcripts(version).values():
        question, mark, answer = text.removeprefix(before).partition(after)
        if not text.startswith(before) or "<ImageHere>" in text or not mark or "UNUSED" in question:
            continue
        messages = [{"role": "user", "content": question}]
        if answer:
            messages.append({"role": "assistant", "content": answer})
            assert render(version, messages, continue_final_message=True) == "<s>" + text
        else:
            assert render(version, messages, add_generation_prompt=True) == "<s>" + text
        seen += 1
    assert seen >= 4


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "tool", "content": "x"}], "not tool"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "comes first"),
        ([{"role": "user", "content": [{"type": "audio"}]}], "not audio"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_messages_that_no_template_has_a_place_for(version: int, messages: list[dict], reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        render(version, messages)


# --- processor


def pictures(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (40 + n, 30), (60 * n, 9, 200)) for n in range(count)]


def test_from_messages_to_an_answer(processor: Any, chatting: Path, golden: Golden) -> None:
    model = AutoModelForImageTextToText.from_pretrained(chatting, dtype=torch.float32).eval()
    content = [{"type": "text", "text": "A."}, {"type": "image"}, {"type": "text", "text": "\nB."}, {"type": "image"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=pictures(2), text=text, add_special_tokens=False, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    assert ids.count(model.config.image_token_id) == 2 * golden.rows == 2 * model.config.rows_per_image
    assert ids[0] == 1
    assert ids.count(1) == 1
    opened = [{"type": "image", "image": picture} for picture in pictures(2)]
    content[1], content[3] = opened
    direct = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert direct["input_ids"].tolist() == [ids]
    assert torch.equal(direct["pixel_values"], inputs["pixel_values"])
    out = model.generate(**inputs, max_new_tokens=8)
    answer = processor.batch_decode(out[:, len(ids) :], skip_special_tokens=True)
    assert len(answer) == 1
    assert "<ImageHere>" not in answer[0]
    end = processor.tokenizer.convert_tokens_to_ids(
        "<TOKENS_UNUSED_1>" if golden.version == 1 else "[UNUSED_TOKEN_145]"
    )
    assert model.generation_config.eos_token_id == [2, end]


def test_a_batch_is_padded_on_the_left(processor: Any) -> None:
    texts = ["one <ImageHere> and a longer text", "<ImageHere><ImageHere>", "no image"]
    inputs = processor(images=pictures(3), text=texts, padding=True, return_tensors="pt")
    assert inputs["pixel_values"].shape[0] == 3
    for row, mask, text in zip(inputs["input_ids"], inputs["attention_mask"], texts, strict=True):
        count = text.count("<ImageHere>")
        assert int((row == processor.image_token_id).sum()) == count * processor.rows_per_image
        assert row[mask.bool()][0] == 1
        assert mask.tolist() == sorted(mask.tolist())


def test_text_alone_needs_no_image(processor: Any) -> None:
    assert "pixel_values" not in processor(text="hello", return_tensors="pt")


@pytest.mark.parametrize(("images", "reason"), [(1, "2 .*1 image"), (3, "2 .*3 image"), (0, "Found 2")])
def test_places_and_images_are_counted(processor: Any, images: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        processor(images=pictures(images) or None, text="<ImageHere> or <ImageHere>")


@pytest.mark.parametrize(
    "image",
    [
        "http://127.0.0.1:1/a.png",
        "/etc/hostname",
        b"GIF89a",
        np.zeros((3, 4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
    ],
    ids=["address", "path", "bytes", "floats", "four channels"],
)
def test_only_opened_pictures_are_taken(processor: Any, image: Any) -> None:
    with pytest.raises(ValueError, match=r"must be .*(array|uint8)"):
        processor(images=[image], text="<ImageHere>")
    with pytest.raises(ValueError, match=r"must be .*(array|uint8)"):
        processor.image_processor(image)


def test_a_picture_too_large_to_decode(processor: Any) -> None:
    huge = Image.frombytes("1", (20_000, 20_000), bytes(50_000_000))
    with pytest.raises(ValueError, match=r"20000x20000 px is over"):
        processor(images=[huge], text="<ImageHere>")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(processor: Any, mode: str) -> None:
    values = processor.image_processor(Image.new(mode, (9, 7)), return_tensors="np")["pixel_values"]
    assert values.shape[:2] == (1, 3)
    assert np.isfinite(values).all()
