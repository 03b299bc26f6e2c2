"""Fixtures for the model server: tiny random checkpoints in the published key layout, converted once per run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when huggingface_hub is imported
# Tests start programs that import torch: the first of them shall keep what it compiled, or each compiles for a minute.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "torch: needs torch and transformers (an environment of its own)")


@pytest.fixture(scope="session", params=[1, 2], ids=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> int:
    """Of XComposer."""
    return request.param


@pytest.fixture(scope="session")
def golden(version: int) -> Any:
    """What the published code put in and got out."""
    from tiny import Golden

    return Golden(version)


@pytest.fixture(scope="session")
def converted(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint, with a tokenizer, converted."""
    from limner.model_server.convert import convert

    folder = tmp_path_factory.mktemp("golden")
    convert(golden.published(folder / "published"), folder / "converted", shard_bytes=200_000)
    return folder / "converted"


@pytest.fixture(scope="session")
def model(converted: Path) -> Any:
    """The converted model in float32, from disk through the Auto class."""
    import torch
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(converted, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def chatting(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint with a tokenizer, converted."""
    from limner.model_server.convert import convert

    folder = tmp_path_factory.mktemp("chatting")
    convert(golden.with_tokenizer(folder / "published"), folder / "converted")
    return folder / "converted"


@pytest.fixture(scope="session")
def served(chatting: Path) -> Iterator[str]:
    """The address of that checkpoint, served by the transformers engine."""
    from serving import build, serving

    service, _ = build(chatting)
    with serving(service) as url:
        yield url
