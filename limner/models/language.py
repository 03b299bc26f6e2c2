"""Language models that see: those that limner knows by name (`language.toml`), any other of the hub, and which to use.

A model is named as in LIMNER_MODEL: a name of the table, `hf:OWNER/REPOSITORY`, `hf:OWNER/REPOSITORY:FILE`, or the path
of a GGUF file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from limner.errors import BadInput, NotInstalled
from limner.models.hub import Hub, listing
from limner.models.known import Known, WeightsFile, is_projector_file
from limner.models.machine import Machine
from limner.text import one_line

SLOW = "qwen3-vl-2b"
"""The model for few cores: the smallest of the table."""
_SPEC = re.compile(r"hf:([\w.-]+)/([\w.-]+)(?::([\w./-]+\.gguf))?", re.ASCII)
_QUANTS = ("Q4_K_M", "Q4_0", "Q4_K_S", "Q5_K_M", "Q8_0")
"""Preferred files of a repository that has several, best first: four bits lose little, and are read twice as fast as
eight."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_BITS = re.compile(r"(?<![A-Za-z0-9])(?:I?Q|TQ|B?F|MXFP|FP)(\d{1,2})(?![0-9])", re.IGNORECASE)
_PROJECTORS = ("Q8_0", "F16", "BF16", "F32")


@dataclass(frozen=True, kw_only=True)
class LanguageModel(Known):
    """A language model on the hub: a GGUF, and a projector of pictures if it sees."""

    memory: int = 0
    """GB of memory that a machine needs for it; 0 where it is not known."""
    sees: bool = True


@cache
def known() -> dict[str, LanguageModel]:
    """The models of the table by name, smallest first within a family."""
    data = tomllib.loads((files("limner.models") / "language.toml").read_text(encoding="utf-8"))
    return {
        name: LanguageModel(
            name=name, files=tuple(WeightsFile(path, **facts) for path, facts in row.pop("files").items()), **row
        )
        for name, row in data.items()
    }


def is_spec(name: str) -> bool:
    """Whether a name is `hf:…`, whatever follows."""
    return name.startswith("hf:")


def is_local(name: str) -> bool:
    """Whether a name, as in LIMNER_MODEL, is one that limner runs itself: a table's name, `hf:…`, a path of a GGUF."""
    return name in known() or is_spec(name) or name.lower().endswith(".gguf")


def folder_name(spec: str) -> str:
    """The folder of a model within the folder of models; of `hf:…` it is "hf--OWNER--REPOSITORY" or with the file.

    Raises BadInput for an `hf:…` that names no repository.
    """
    if not is_spec(spec):
        return spec
    return "--".join(["hf", *(part.replace("/", "-") for part in _parts(spec) if part)])


def _parts(spec: str) -> tuple[str, str, str]:
    """Owner, repository and file ("" for any)."""
    match = _SPEC.fullmatch(spec)
    if match is None or ".." in spec:
        raise BadInput(
            f"{one_line(spec)[:100]!r} is mistyped. Write hf:OWNER/REPOSITORY or hf:OWNER/REPOSITORY:FILE.gguf."
        )
    return match[1], match[2], match[3] or ""


def of_hub(spec: str, hub: Hub) -> LanguageModel:
    """Look a model up on the hub: which of its files to fetch. Raises BadInput, NotInstalled."""
    owner, repository, file = _parts(spec)
    found = listing(f"{owner}/{repository}", hub)
    paths = {f.path: f for f in found.files if f.path.lower().endswith(".gguf")}
    models = [p for p in paths if not _is_projector(p)]
    whole = [p for p in models if not _SHARD.search(p)]
    chosen = file or _preferred(whole, _QUANTS) or _smallest([paths[p] for p in whole])
    if _SHARD.search(chosen):
        raise BadInput(
            f"{chosen} is one part of a model in several files, which limner does not fetch. Choose a file in one "
            "piece, or fetch the parts yourself and join them with llama-gguf-split --merge."
        )
    if chosen not in paths or _is_projector(chosen):
        seen = ", ".join(models[:12]) or "none"
        raise BadInput(
            f"{owner}/{repository} has no {file or 'GGUF file in one piece'}. Its models: {one_line(seen)[:400]}. "
            "Choose one as hf:OWNER/REPOSITORY:FILE."
        )
    projectors = sorted(p for p in paths if _is_projector(p))
    projector = _preferred(projectors, _PROJECTORS) or next(iter(projectors), "")
    return LanguageModel(
        name=folder_name(spec),
        about=f"{chosen}{' with its projector of pictures' if projector else ', which sees no pictures'}",
        repository=f"{owner}/{repository}",
        revision=found.revision,
        licence=found.licence or "not declared",
        languages="",
        files=tuple(paths[p] for p in (chosen, projector) if p),
        sees=bool(projector),
    )


def _is_projector(path: str) -> bool:
    return is_projector_file(Path(path))


def _preferred(paths: Iterable[str], order: tuple[str, ...]) -> str:
    """The path with the first of these words in its name, else ""."""
    paths = sorted(paths)
    for word in order:
        for path in paths:
            if re.search(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9_])", path, re.IGNORECASE):
                return path
    return ""


def _smallest(files: list[WeightsFile]) -> str:
    """The smallest file of at least four bits by its name; else of those whose names say nothing; else the largest."""
    bits = {f: int(match[1]) if (match := _BITS.search(f.path)) else 0 for f in files}
    for fitting in ([f for f in files if bits[f] >= 4], [f for f in files if not bits[f]]):
        if fitting:
            return min(fitting, key=lambda f: (f.size, f.path)).path
    return max(files, key=lambda f: (f.size, f.path)).path if files else ""


def propose(machine: Machine) -> LanguageModel:
    """The one model to propose for a machine. Raises NotInstalled if it has no room for any.

    By the table's memory; without a graphics card that llama.cpp can use none of over 3 GB, and with fewer than four
    cores the smallest, because the time that a picture takes grows with the model.
    """
    room = [m for m in known().values() if not machine.memory or m.memory * 10**9 <= machine.memory]
    cards = [gpu.memory for gpu in machine.engine_gpus]
    if not cards:
        room = [m for m in room if m.name == SLOW or (machine.cores >= 4 and m.bytes < 3 * 10**9)]
    elif all(cards):
        room = [m for m in room if m.bytes + 10**9 <= max(cards)] or [m for m in room if m.name == SLOW]
    family = [m for m in room if m.name.startswith("qwen3-vl")]
    if not family:
        raise NotInstalled(
            f"No model that sees fits {machine.memory / 1e9:.1f} GB of memory. Set LIMNER_MODEL_URL to a server on "
            "another machine."
        )
    return max(family, key=lambda m: m.bytes)
