"""Convert a published XComposer checkpoint to a safetensors folder that transformers and vLLM load.

v1: LoRA is merged. v2: the fused wqkv is split, partial LoRA kept. Tensors are read, computed and written one at a
time; every published key is accounted for before the first is read. The folder gets its name only when it is complete.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast

from limner.model_server.checkpoint import Checkpoint, ShardWriter, read_json, remove_shards
from limner.model_server.errors import ConversionError, reason
from limner.model_server.xcomposer import (
    XComposer2ForConditionalGeneration,
    XComposerForConditionalGeneration,
    XComposerImageProcessor,
    XComposerProcessor,
    layout_v1,
    layout_v2,
    template,
)
from limner.model_server.xcomposer.layout import Layout, Target
from limner.model_server.xcomposer.processing import IMAGE_TOKEN
from limner.model_server.xcomposer.sentencepiece import build_tokenizer, read_pieces

SHARD_BYTES = 1_000_000_000  # bytes of a shard, held in memory twice while it is written
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_EMBEDDING = {"xcomposer": "internlm_model.model.embed_tokens.weight", "xcomposer2": "model.tok_embeddings.weight"}
_TILED = re.compile(r"xcomposer2[-_]?4khd|xcomposer2d5", re.IGNORECASE)
_TILED_KEYS = {"plora_glb_GN", "plora_sub_GN"}
"""Learnt separators of an image's tiles, which InternLM-XComposer2-4KHD and 2.5 have besides the keys of v2."""
_NOT_TILED = (
    "{} belongs to InternLM-XComposer2-4KHD or 2.5, which cut a picture into tiles; that is not supported, because "
    "nothing published could be compared with: convert internlm/internlm-xcomposer2-7b or -vl-7b instead."
)
_LOCK = "converting.lock"
_NAMED = 5  # keys to name in an error


@dataclass(frozen=True)
class Plan:
    """The plan of a conversion."""

    config: PreTrainedConfig
    layout: Layout
    family: str
    """`xcomposer` or `xcomposer2`."""
    architecture: str
    text_only: bool = False


@dataclass(frozen=True)
class Report:
    """The result of a conversion."""

    architecture: str
    tensors: int
    bytes: int
    dtype: str
    unused: tuple[str, ...]
    """Published keys that nothing reads."""
    tokenizer: bool
    """Whether a tokenizer, processor and chat template were written."""


def convert(
    source: Path,
    destination: Path,
    *,
    text_only: bool = False,
    dtype: str = "auto",
    shard_bytes: int = SHARD_BYTES,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Convert a folder.

    text_only: only the language model, as a stock LLaMA checkpoint. dtype: a key of DTYPES, or "auto" for that of the
    published token embeddings. shard_bytes: size above which a new file begins. tell: called with progress lines.
    Raises ConversionError and then leaves nothing at the destination.
    """
    if destination.exists():
        raise ConversionError(f"{destination} exists already: choose another name or remove it.")
    published = read_json(source / "config.json")
    refuse_unsupported(source, published)
    with Checkpoint(source) as checkpoint:
        plan = make_plan(published, checkpoint.shapes, text_only=text_only)
        unused = check_keys(plan.layout, checkpoint.shapes)
        kind = _dtype(dtype, checkpoint, plan.family)
        tokenizer = tokenizer_of(source, plan)
        with _part(destination) as part:
            written = _write_weights(plan, checkpoint, part, kind, shard_bytes, tell)
            write_rest(plan, part, kind, tokenizer)
    return Report(
        plan.architecture,
        len(plan.layout.targets),
        written,
        str(kind).removeprefix("torch."),
        unused,
        tokenizer is not None,
    )


# --- recognising a checkpoint ----------------------------------------------------------------------------


def refuse_unsupported(source: Path, published: dict[str, Any]) -> None:
    """Raises ConversionError for related models, which would otherwise fail over their keys or files."""
    if (source / "quantize_config.json").is_file() or published.get("quantization_config"):
        raise ConversionError(
            f"{source} is a quantised copy (GPTQ, AWQ or the like), which is not supported: convert the checkpoint "
            "that it was made of, such as internlm/internlm-xcomposer-7b; vLLM makes that smaller as it loads it."
        )
    names = json.dumps([published.get("_name_or_path"), published.get("architectures"), source.name])
    if tiled := _TILED.search(names):
        raise ConversionError(_NOT_TILED.format(tiled[0]))


def make_plan(published: dict[str, Any], shapes: dict[str, tuple[int, ...]], *, text_only: bool = False) -> Plan:
    """Recognise the model. Raises ConversionError for another architecture or a config that lacks a field."""
    name = (published.get("architectures") or [published.get("model_type")])[0]
    families = {
        "InternLMXComposerForCausalLM": "xcomposer",
        "InternLMXComposer": "xcomposer",
        "InternLMXComposer2ForCausalLM": "xcomposer2",
        "internlmxcomposer2": "xcomposer2",
    }
    if name not in families:
        raise ConversionError(f"config.json is of {name!r}: InternLM-XComposer and InternLM-XComposer2 are converted.")
    family = families[name]
    try:
        if family == "xcomposer":
            config: Any = layout_v1.config(published)
            layout, whole = layout_v1.layout(config, published), XComposerForConditionalGeneration
        else:
            config = layout_v2.config(published, shapes)
            layout, whole = layout_v2.layout(config, shapes), XComposer2ForConditionalGeneration
    except KeyError as error:
        raise ConversionError(f"config.json has no {error.args[0]!r}: download it again.") from None
    except (TypeError, ValueError, ArithmeticError, AttributeError, StrictDataclassError) as error:
        raise ConversionError(
            f"config.json does not describe this model ({reason(error)}): download it again."
        ) from None
    if not text_only:
        return Plan(config, layout, family, whole.__name__)
    return Plan(_llama(config.text_config), layout.text_only(), family, "LlamaForCausalLM", text_only=True)


def _llama(text: LlamaConfig) -> LlamaConfig:
    fields = {k: v for k, v in text.to_dict().items() if k not in ("model_type", "plora_rank", "plora_alpha")}
    return LlamaConfig(**fields)


def check_keys(layout: Layout, shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Account for every key; returns the unused ones. Raises ConversionError naming keys or shapes that do not fit."""
    if tiled := [key for key in shapes if key in _TILED_KEYS]:
        raise ConversionError(_NOT_TILED.format(tiled[0]))
    needed = layout.sources
    missing = [key for key in needed if key not in shapes]
    unknown = [key for key in shapes if key not in needed and key not in layout.unused]
    if missing or unknown:
        parts = [f"{what}: {_some(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise ConversionError(f"Keys do not fit config.json; {'; '.join(parts)}: check that both are of one model.")
    expected = {**layout.unused, **needed}
    wrong = [f"{k} is {_shape(s)}, not {_shape(expected[k])}" for k, s in shapes.items() if s != expected[k]]
    if wrong:
        raise ConversionError(f"Shapes do not fit config.json: {_some(wrong)}: check that both are of one model.")
    return tuple(key for key in shapes if key not in needed)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"


def _dtype(dtype: str, checkpoint: Checkpoint, family: str) -> torch.dtype:
    if dtype == "auto":
        return checkpoint.read(_EMBEDDING[family]).dtype
    if dtype not in DTYPES:
        raise ConversionError(f"No dtype {dtype!r}: choose auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


# --- writing -------------------------------------------------------------------------------------------------------


@contextmanager
def _part(destination: Path) -> Iterator[Path]:
    """A folder beside the destination, renamed to it on success and deleted on failure.

    The remains of a killed conversion are emptied first; a folder still being written is refused.
    """
    part = destination.with_name(destination.name + ".part")
    if part.exists() and not (part / _LOCK).is_file():
        raise ConversionError(f"{part} is in the way and no conversion made it: remove it or choose another name.")
    try:
        part.mkdir(parents=True, exist_ok=True)
        lock = FileLock(part / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConversionError(f"Another conversion is writing {part}: let it end or choose another name.") from None
    except OSError as error:
        raise ConversionError(f"{part} cannot be written ({error.strerror}): choose another place.") from None
    done = False
    try:
        remove_shards(part)
        yield part
        (part / _LOCK).unlink(missing_ok=True)
        _sync(part)
        os.rename(part, destination)
        done = True
    except OSError as error:
        raise ConversionError(f"Writing {part} failed ({error.strerror or error}): make room, start again.") from None
    finally:
        lock.release()
        if not done:
            shutil.rmtree(part, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Flush the files to disk before the rename."""
    for file in folder.iterdir():
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())


def _write_weights(
    plan: Plan, checkpoint: Checkpoint, folder: Path, dtype: torch.dtype, limit: int, tell: Callable[[str], None]
) -> int:
    """Write all tensors in the order of the published shards; returns their bytes."""
    writer = ShardWriter(folder, limit)

    def place(target: Target) -> tuple[int, int]:
        """Last and first shard that a tensor needs; in this order each shard is opened once, or twice at a boundary."""
        shards = [checkpoint.order(key) for key in target.sources] or [0]
        return max(shards), min(shards)

    at = -1
    for target in sorted(plan.layout.targets, key=place):
        if place(target)[0] != at:
            at = place(target)[0]
            tell(f"{checkpoint.files[at]} ({at + 1} of {len(checkpoint.files)})")
        writer.add(target.name, _make(target, checkpoint, dtype))
    writer.finish()
    return writer.total_bytes


def _make(target: Target, checkpoint: Checkpoint, dtype: torch.dtype) -> Tensor:
    tensors = [checkpoint.read(key) for key in target.sources]
    for key, tensor in zip(target.sources, tensors, strict=True):
        if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32):
            raise ConversionError(f"{key} is {tensor.dtype}: only float16, bfloat16 and float32 weights are converted.")
    made = target.make(*tensors)
    if tuple(made.shape) != target.shape:
        raise ConversionError(f"{target.name} came out as {_shape(tuple(made.shape))}, not {_shape(target.shape)}.")
    cast = made.to(dtype)
    if not bool(torch.isfinite(cast).all()):
        which = ", ".join(target.sources)
        if bool(torch.isfinite(made).all()):
            raise ConversionError(f"{which} has values that {dtype} cannot hold: use --dtype float32.")
        raise ConversionError(f"{which} has values that are not finite numbers: download the checkpoint again.")
    return cast


def tokenizer_of(source: Path, plan: Plan) -> PreTrainedTokenizerFast | None:
    """The tokenizer of the source folder, None if it has none (weights only)."""
    file = source / "tokenizer.model"
    if not file.is_file():
        return None
    try:
        pieces = read_pieces(file.read_bytes())
    except ValueError as error:
        raise ConversionError(f"tokenizer.model cannot be used: {error}.") from None
    vocabulary = plan.config.get_text_config().vocab_size
    spare = [f"<spare_{n}>" for n in range(len(pieces), vocabulary)]  # -vl-7b: two unused ids
    if len(pieces) > vocabulary:
        raise ConversionError(f"tokenizer.model has {len(pieces)} pieces, the model {vocabulary}: get its own.")
    return PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(pieces, spare if plan.text_only else [*spare, IMAGE_TOKEN]),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=_chat_template(plan),
    )


def _chat_template(plan: Plan) -> str:
    return template.V1 if plan.family == "xcomposer" else template.V2


def write_rest(plan: Plan, folder: Path, dtype: torch.dtype, tokenizer: PreTrainedTokenizerFast | None) -> None:
    """Write everything except the weights; config.json last, because loaders need it to accept the folder."""
    config, text = plan.config, plan.config.get_text_config()
    ends = [text.eos_token_id]
    if tokenizer is not None:
        end = tokenizer.convert_tokens_to_ids(template.END_OF_TURN[plan.family])
        if isinstance(end, int) and end not in (None, tokenizer.unk_token_id):
            ends.append(end)
        if plan.text_only:
            tokenizer.save_pretrained(folder)
        else:
            side = config.vision_config.image_size
            images = XComposerImageProcessor(size={"height": side, "width": side})
            XComposerProcessor(
                images, tokenizer, chat_template=_chat_template(plan), rows_per_image=config.rows_per_image
            ).save_pretrained(folder)
    GenerationConfig(
        bos_token_id=text.bos_token_id, eos_token_id=ends, pad_token_id=text.pad_token_id, do_sample=False
    ).save_pretrained(folder)
    config.architectures = [plan.architecture]
    config.dtype = dtype
    config.save_pretrained(folder)
    if plan.text_only:
        # Servers older than transformers 5 read the base of the rotary embedding here, and would assume 10000.
        file = folder / "config.json"
        fields = json.loads(file.read_text(encoding="utf-8"))
        fields["rope_theta"] = fields["rope_parameters"]["rope_theta"]
        file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
