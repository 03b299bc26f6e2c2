"""Read which model a folder holds: a sentence encoder as ONNX, laid out as on Hugging Face's hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from limner.errors import BadInput
from limner.text import printable_path

_WEIGHTS = (
    "model.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_int8.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
)  # fmt: skip
_MOST = 512  # tokens per text where the folder gives no number: the length in training of encoders of this kind


class SentenceFolder(NamedTuple):
    """A sentence encoder in a folder."""

    folder: Path
    weights: Path
    tokenizer: Path
    size: int
    """Numbers per vector."""
    window: int
    """Tokens at which texts are cut."""
    prompt: str
    """Put before each text."""


def is_sentences(folder: Path) -> bool:
    """Whether a folder looks like one of a sentence encoder."""
    return any((folder / name).is_file() for name in _WEIGHTS)


def sentence_folder(folder: Path) -> SentenceFolder:
    """Read an encoder's folder: an ONNX file (`model.onnx` or `onnx/model.onnx`), `tokenizer.json` and `config.json`.

    Where present, `sentence_bert_config.json` gives the window, `1_Pooling/config.json` the pooling, and
    `config_sentence_transformers.json` the prompt (`prompts`: `query`). E5 models need "query: ", which their folders
    do not say, so a folder with "e5" in its name gets it (Wang et al. 2024, arXiv 2402.05672). Raises BadInput.
    """
    folder = folder.expanduser().resolve()
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    tokenizer = folder / "tokenizer.json"
    if weights is None or not tokenizer.is_file():
        lacks = "ONNX model" if weights is None else "tokenizer.json"
        raise BadInput(
            f"{printable_path(str(folder))[:200]} has no {lacks}. Put {_WEIGHTS[1]}, tokenizer.json "
            "and config.json of a sentence encoder there, for example of intfloat/multilingual-e5-small."
        )
    pooling = _json(folder, "1_Pooling/config.json")
    if pooling and not pooling.get("pooling_mode_mean_tokens"):
        raise BadInput(
            f"{folder.name} does not use the mean of its tokens, which limner needs. Choose another "
            "model, such as intfloat/multilingual-e5-small, or install a plug-in."
        )
    size = _json(folder, "config.json").get("hidden_size")
    if not isinstance(size, int) or size < 1:
        raise BadInput(f"config.json of {folder.name} gives no hidden_size. Copy it again.")
    window = _json(folder, "sentence_bert_config.json").get("max_seq_length")
    window = min(window, _MOST) if isinstance(window, int) and window > 0 else _MOST
    prompts = _json(folder, "config_sentence_transformers.json").get("prompts")
    prompt = prompts.get("query") if isinstance(prompts, dict) else None
    usual = "query: " if "e5" in folder.name.lower() else ""
    return SentenceFolder(folder, weights, tokenizer, size, window, prompt if isinstance(prompt, str) else usual)


def _json(folder: Path, name: str) -> dict[str, Any]:
    """A file of the folder; {} if it is missing. Raises BadInput if it cannot be read."""
    path = folder / name
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{name} of {folder.name} cannot be read. Copy it again.") from error
    return found if isinstance(found, dict) else {}
