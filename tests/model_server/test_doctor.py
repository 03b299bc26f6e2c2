"""`limner-model-server doctor`: what it finds of engines that are right, and of one that is not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from limner.model_server import transformers_engine
from limner.model_server.doctor import cache, examine, report
from limner.model_server.errors import ServingError

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_transformers_engine_is_right(dtype: str) -> None:
    found = list(report("transformers", dtype, "cpu"))
    assert [line for line in found if line.ok is False] == []
    judged = [line.name for line in found if line.ok]
    assert [name for name in judged if name.startswith("v")] == [
        f"v{version} {name}"
        for version in (1, 2)
        for name in ("text", "a picture", "three pictures", "a long text", "a penalty", "beams")
    ]
    assert any(dtype in line.finding for line in found if line.name == "v2 engine")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_engine_that_leaves_partial_lora_out_is_found(dtype: str) -> None:
    """As CUDA graphs would that replay a stale image mask."""

    def build(*args: Any, **options: Any) -> Any:
        engine = transformers_engine.build(*args, **options)
        engine.answerer.model.model.decoder_kwargs = lambda image_mask: {}  # type: ignore[attr-defined]
        return engine

    judged = {line.name: line.ok for line in examine(build, 2, dtype, "cpu") if line.ok is not None}
    assert judged["v2 text"]
    assert judged["v2 a long text"]
    assert not any(judged[f"v2 {name}"] for name in ("a picture", "three pictures", "a penalty"))


def test_an_engine_that_does_not_start_is_a_finding() -> None:
    found = [line for line in report("transformers", "float32", "meta") if line.ok is False]
    assert [line.name for line in found if line.name.startswith("v")] == ["v1", "v2"]
    with pytest.raises(ServingError, match="There is no engine 'tgi'"):
        list(report("tgi", "auto", "auto"))


def test_caches_must_be_writable(tmp_path: Path) -> None:
    assert cache("HOME", tmp_path / "new").ok
    (tmp_path / "file").write_text("")
    assert "cannot be written" in cache("HOME", tmp_path / "file" / "under").finding
    noexec = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "noexec" in line.split()[3]]
    for mount in noexec:
        found = cache("TRITON_CACHE_DIR", Path(mount))
        assert not found.ok
        assert "noexec" in found.finding or "cannot be written" in found.finding


def doctor(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limner.model_server", "doctor", *options],
        env=os.environ | variables, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_vllm_is_right_on_this_machine() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM has an environment of its own: see .ci/vllm.txt")
    done = doctor("--engine", "vllm", VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "model runner V1, compilation NONE" in done.stdout
    assert done.stdout.count("ok   v") == 12
    assert done.stdout.endswith("This machine computes as it should.\n")


def test_the_command_exits_with_what_it_found() -> None:
    done = doctor("--engine", "transformers", "--device", "cpu", "--dtype", "float64")
    assert done.returncode == 2
    assert "There is no dtype" in done.stderr
