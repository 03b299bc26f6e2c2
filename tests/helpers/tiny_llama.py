"""Language models in miniature: SmolLM2's real weights under another name, and GGUF files that are nearly models."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from limner.models.gguf import read_header
from limner.models.local import Local, find
from limner.workflows.embedded.server import smollm2_path

TEMPLATE = "{{ messages[0]['content'] }}"


def link(path: Path) -> Path:
    """SmolLM2's GGUF by another name: one without a size is no small model to limner, which then has it judge."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(smollm2_path())
    return path


def local(path: Path, projector: Path | None = None) -> Local:
    """A model's files, as the settings would find them."""
    return Local(find(str(path), path.parent, "none").model, read_header(projector) if projector else None)


def almost(path: Path, architecture: str = "llama", *, template: bool = True, **numbers: int) -> Path:
    """A GGUF with a header and one small tensor."""
    writer = gguf.GGUFWriter(path, architecture)
    if template:
        writer.add_chat_template(TEMPLATE)
    for name, number in numbers.items():
        writer.add_uint32(f"{architecture}.{name.replace('__', '.')}", number)
    writer.add_tensor("token_embd.weight", np.zeros((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
