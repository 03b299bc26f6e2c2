"""The converter: what it writes loads and computes the same, and what it cannot use it names."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tiny import TOKENIZER, Golden, gap  # noqa: E402
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer, LlamaForCausalLM  # noqa: E402

from limner.model_server import cli  # noqa: E402
from limner.model_server.checkpoint import Checkpoint  # noqa: E402
from limner.model_server.convert import convert, make_plan  # noqa: E402
from limner.model_server.errors import ConversionError  # noqa: E402
from limner.model_server.xcomposer import (  # noqa: E402
    XComposer2Config,
    XComposer2ForConditionalGeneration,
    XComposerConfig,
    XComposerForConditionalGeneration,
)

pytestmark = pytest.mark.torch


@pytest.fixture
def published(golden: Golden, tmp_path: Path) -> Path:
    return golden.published(tmp_path / "published")


def rewrite(folder: Path, change: Any) -> None:
    """Change the published weights in place: `change` gets the dictionary of tensors."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def sharded(folder: Path, kind: str, **options: Any) -> None:
    """The published weights as three shards and an index, as safetensors or pickles."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys, index = list(weights), {}
    for n in range(3):
        part = {k: weights[k] for k in keys[n::3]}  # LoRA and its weight fall into different shards
        file = f"model-{n}.safetensors" if kind == "safetensors" else f"pytorch_model-{n}.bin"
        save_file(part, folder / file) if kind == "safetensors" else torch.save(part, folder / file, **options)
        index |= dict.fromkeys(part, file)
    name = "model.safetensors.index.json" if kind == "safetensors" else "pytorch_model.bin.index.json"
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": index}), "utf-8")


def weights_of(folder: Path) -> dict[str, Any]:
    return {k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}


def refused(source: Path, destination: Path, reason: str, **options: Any) -> None:
    """The conversion fails with one line that says why, and leaves nothing."""
    with pytest.raises(ConversionError, match=reason) as caught:
        convert(source, destination, **options)
    assert "\n" not in str(caught.value)
    assert not destination.exists()
    assert not destination.with_name(destination.name + ".part").exists()


# --- what is written


def test_every_tensor_has_its_place(golden: Golden, converted: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(converted)
    written = weights_of(converted)
    assert {k: tuple(v.shape) for k, v in written.items()} == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert len(list(converted.glob("model-*-of-*.safetensors"))) > 1  # several shards, one index
    index = json.loads((converted / "model.safetensors.index.json").read_text("utf-8"))
    assert index["weight_map"].keys() == written.keys()
    with safe_open(next(iter(converted.glob("*.safetensors"))), framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("version", [1, 2])
def test_the_published_sizes_have_a_complete_layout(version: int) -> None:
    """At 7B, on the meta device: what the layout writes is what the model holds, and the counts are the published."""
    vocabulary = {"vocab_size": 103168} if version == 1 else {"vocab_size": 92544, "num_key_value_heads": 8}
    published = {
        "architectures": ["InternLMXComposerForCausalLM" if version == 1 else "InternLMXComposer2ForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 11008 if version == 1 else 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "rms_norm_eps": 1e-5,
        "num_query_token": 64,
        "internlm_lora": {"learn_param": ["q", "v", "ffn"], "lora_r": 256, "lora_alpha": 256},
        **vocabulary,
    }
    plan = make_plan(published, {})
    kind, config = (
        (XComposerForConditionalGeneration, XComposerConfig())
        if version == 1
        else (XComposer2ForConditionalGeneration, XComposer2Config())
    )
    with torch.device("meta"):
        model = kind(config)
    assert {t.name: t.shape for t in plan.layout.targets} == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    # 1480 published keys, 33 of them unused; 942 with the two of the unused final norm.
    assert len(plan.layout.sources) == (1480 - 33 if version == 1 else 940)


@pytest.mark.parametrize("kind", ["safetensors", "zip pickle", "old pickle"])
def test_shards_of_every_kind_give_the_same(golden: Golden, published: Path, converted: Path, kind: str) -> None:
    sharded(published, kind, **({"_use_new_zipfile_serialization": False} if kind == "old pickle" else {}))
    said: list[str] = []
    report = convert(published, published.parent / "out", tell=said.append)
    assert len(said) == 3
    again, before = weights_of(published.parent / "out"), weights_of(converted)
    assert report.tensors == len(before) == len(again)
    assert all(torch.equal(again[k], before[k]) for k in before)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "auto"])
def test_dtypes(golden: Golden, published: Path, dtype: str) -> None:
    rewrite(
        published, lambda w: w.update({k: v.half() for k, v in w.items() if "embed" in k and v.is_floating_point()})
    )
    report = convert(published, published.parent / "out", dtype=dtype)
    expected = "float16" if dtype == "auto" else dtype
    assert report.dtype == expected
    assert {str(t.dtype) for t in weights_of(published.parent / "out").values()} == {f"torch.{expected}"}
    model = AutoModelForImageTextToText.from_pretrained(published.parent / "out", dtype="auto")
    assert str(model.dtype) == f"torch.{expected}"


@torch.no_grad()
def test_text_only_is_a_stock_llama(golden: Golden, tmp_path: Path) -> None:
    report = convert(golden.with_tokenizer(tmp_path / "published"), tmp_path / "out", text_only=True)
    assert report.architecture == "LlamaForCausalLM"
    assert report.tokenizer
    model, loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(model) is LlamaForCausalLM
    assert not any(loaded[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = golden.io["text_only.input_ids"]
    logits = model.eval()(input_ids=ids).logits[..., : golden.config["vocab_size"]]
    assert gap(logits, golden.io["text_only.logits"]) <= 1e-4
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("<ImageHere>").input_ids != [1, model.config.vocab_size]  # no placeholder beyond the logits
    assert max(tokenizer.get_vocab().values()) < model.config.vocab_size
    raw = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert raw["rope_theta"] == golden.config["rope_theta"]
    assert raw["model_type"] == "llama"


def test_v1_without_lora_needs_no_lora_keys(tmp_path: Path) -> None:
    golden = Golden(1)
    source = golden.published(tmp_path / "published")
    rewrite(source, lambda w: [w.pop(k) for k in list(w) if "lora_" in k])
    (source / "config.json").write_text(json.dumps(golden.config | {"internlm_lora": None}), "utf-8")
    convert(source, tmp_path / "out")
    key = "model.language_model.layers.0.self_attn.q_proj.weight"
    expected = golden.weights["internlm_model.model.layers.0.self_attn.q_proj.weight"]
    assert torch.equal(weights_of(tmp_path / "out")[key], expected)


def test_v2_resizes_a_table_of_the_pretraining_size(tmp_path: Path) -> None:
    golden = Golden(2)
    source = golden.published(tmp_path / "published")
    table = "vit.vision_tower.vision_model.embeddings.position_embedding.weight"
    rewrite(source, lambda w: w.update({table: golden.io["position_embedding_original"]}))
    convert(source, tmp_path / "out")
    written = weights_of(tmp_path / "out")["model.vision_tower.embeddings.position_embedding.weight"]
    assert gap(written, golden.io["position_embedding_resized"]) <= 1e-6


def test_v2_without_the_unused_final_norm(tmp_path: Path) -> None:
    golden = Golden(2)
    source = golden.published(tmp_path / "published")
    rewrite(source, lambda w: [w.pop(k) for k in list(w) if "post_layernorm" in k])
    assert convert(source, tmp_path / "out").unused == ()


# --- what is refused


def test_keys_that_do_not_fit_are_named(golden: Golden, published: Path, tmp_path: Path) -> None:
    key = next(k for k in golden.weights if k.endswith("mlp.fc1.weight"))
    rewrite(published, lambda w: w.update({"surprise.weight": w.pop(key)}))
    refused(published, tmp_path / "out", rf"missing: {key}; unknown: surprise\.weight")


def test_a_wrong_shape_is_named_with_both(golden: Golden, published: Path, tmp_path: Path) -> None:
    key = next(k for k in golden.weights if k.endswith("mlp.fc1.weight"))
    rows, columns = golden.weights[key].shape
    rewrite(published, lambda w: w.update({key: w[key][:-1].clone()}))
    refused(published, tmp_path / "out", rf"{key} is {rows - 1}x{columns}, not {rows}x{columns}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(golden: Golden, published: Path, tmp_path: Path, value: float) -> None:
    key = next(k for k in golden.weights if k.endswith("mlp.fc1.weight"))
    rewrite(published, lambda w: w[key].view(-1)[3:4].fill_(value))
    refused(published, tmp_path / "out", f"{key} has values that are not finite")


def test_values_that_a_dtype_cannot_hold(golden: Golden, published: Path, tmp_path: Path) -> None:
    key = next(k for k in golden.weights if k.endswith("mlp.fc1.weight"))
    rewrite(published, lambda w: w[key].view(-1)[:1].fill_(1e6))
    refused(published, tmp_path / "out", f"{key} has values .*float16 cannot hold", dtype="float16")


def test_integer_weights(golden: Golden, published: Path, tmp_path: Path) -> None:
    key = next(k for k in golden.weights if k.endswith("mlp.fc1.weight"))
    rewrite(published, lambda w: w.update({key: w[key].to(torch.int8)}))
    refused(published, tmp_path / "out", rf"{key} is torch\.int8")


class Trap:
    """Unpickled without care, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["torch", "plain pickle"])
def test_a_pickle_that_runs_code_does_not_run(golden: Golden, published: Path, tmp_path: Path, how: str) -> None:
    (published / "model.safetensors").unlink()
    bad = {"cls_token": Trap(tmp_path / "sprung")}
    if how == "torch":
        torch.save(bad, published / "pytorch_model.bin")
    else:
        (published / "pytorch_model.bin").write_bytes(pickle.dumps(bad))
    refused(published, tmp_path / "out", r"pytorch_model\.bin (holds more than plain tensors|cannot be read)")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"a": 3}, {4: torch.zeros(1)}], ids=["a list", "a number", "a number as key"]
)
def test_a_pickle_of_other_things(golden: Golden, published: Path, tmp_path: Path, content: Any) -> None:
    (published / "model.safetensors").unlink()
    torch.save(content, published / "pytorch_model.bin")
    refused(published, tmp_path / "out", "not tensors by name|not a tensor")


@given(st.data())
@settings(max_examples=200)
def test_damaged_pickles_are_refused_in_words(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2), "b": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=False)
    whole = buffer.getvalue()
    at = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(max_size=6))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "pytorch_model.bin").write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    with suppress(ConversionError):  # this alone: nothing else may come out
        Checkpoint(folder).close()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04cut", None])
def test_files_that_are_not_whole(golden: Golden, published: Path, tmp_path: Path, name: str, content: Any) -> None:
    whole = (published / "model.safetensors").read_bytes()
    if name.endswith(".bin"):
        buffer = io.BytesIO()
        torch.save(OrderedDict(golden.weights), buffer)
        whole = buffer.getvalue()
        (published / "model.safetensors").unlink()
    (published / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    refused(published, tmp_path / "out", name)


@pytest.mark.parametrize("target", ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "x.py", 7])
def test_an_index_never_leads_out_of_the_folder(golden: Golden, published: Path, tmp_path: Path, target: Any) -> None:
    index = {"weight_map": {"cls_token": target}}
    (published / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    refused(published, tmp_path / "out", "not a shard of this folder")


def test_an_index_that_promises_too_much(golden: Golden, published: Path, tmp_path: Path) -> None:
    sharded(published, "safetensors")
    index = json.loads((published / "model.safetensors.index.json").read_text("utf-8"))
    index["weight_map"]["ghost"] = "model-0.safetensors"
    (published / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    refused(published, tmp_path / "out", "'ghost' is in model-0.safetensors, it is not")
    (published / "model-1.safetensors").unlink()
    refused(published, tmp_path / "out", "names model-1.safetensors, which is not in")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "is of 'LlamaForCausalLM'"),
        ({"hidden_size": None}, "config.json|missing|Shapes"),
        ({"num_attention_heads": "DROP"}, "has no 'num_attention_heads'"),
        ({"num_hidden_layers": 1}, "unknown: .*layers.1"),
        ({"num_hidden_layers": 3}, "missing: .*layers.2"),
        ({"vocab_size": 7}, "not 7x64"),
    ],
)
def test_a_config_of_another_model(golden: Golden, published: Path, tmp_path: Path, change: dict, reason: str) -> None:
    config = {k: v for k, v in (golden.config | change).items() if v != "DROP"}
    (published / "config.json").write_text(json.dumps(config), "utf-8")
    refused(published, tmp_path / "out", reason)


@pytest.mark.parametrize(("text", "reason"), [("{", "is no JSON"), ("[]", "is not a JSON object"), (None, "No config")])
def test_a_config_that_is_none(golden: Golden, published: Path, tmp_path: Path, text: str | None, reason: str) -> None:
    (published / "config.json").unlink()
    if text is not None:
        (published / "config.json").write_text(text, "utf-8")
    refused(published, tmp_path / "out", reason)


def test_a_tokenizer_of_another_model(golden: Golden, published: Path, tmp_path: Path) -> None:
    (published / "tokenizer.model").write_bytes(TOKENIZER.read_bytes())  # 896 pieces, the model has fewer
    refused(published, tmp_path / "out", "tokenizer.model has 896 pieces")
    (published / "tokenizer.model").write_bytes(b"\xff\xff")
    refused(published, tmp_path / "out", "tokenizer.model cannot be used: it is damaged")


def test_an_unknown_dtype_and_a_folder_without_weights(golden: Golden, published: Path, tmp_path: Path) -> None:
    refused(published, tmp_path / "out", "No dtype 'int4'", dtype="int4")
    (published / "model.safetensors").unlink()
    refused(published, tmp_path / "out", "No weights in")


# --- whole or not at all


def test_a_destination_that_exists_is_left_alone(golden: Golden, published: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ConversionError, match="exists already"):
        convert(published, tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_part_folder_that_no_conversion_made(golden: Golden, published: Path, tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "mine").write_text("x")
    with pytest.raises(ConversionError, match="in the way"):
        convert(published, tmp_path / "out")
    assert [f.name for f in (tmp_path / "out.part").iterdir()] == ["mine"]


def test_a_failure_half_way_leaves_nothing(golden: Golden, published: Path, tmp_path: Path) -> None:
    last = "internlm_model.lm_head.weight" if golden.version == 1 else "output.weight"
    rewrite(published, lambda w: w[last].view(-1)[:1].fill_(float("nan")))
    refused(published, tmp_path / "out", f"{last} has values", shard_bytes=50_000)


def _convert_and_stop(source: Path, destination: Path) -> None:
    """In a child: convert, and stand still once the first shard is written, waiting to be killed."""
    from limner.model_server.checkpoint import ShardWriter

    flush = ShardWriter._flush

    def flush_and_wait(self: ShardWriter) -> None:
        flush(self)
        (destination.parent / "standing").touch()
        time.sleep(600)

    ShardWriter._flush = flush_and_wait  # type: ignore[method-assign]
    convert(source, destination, shard_bytes=50_000)


def test_killed_half_way_then_run_again(golden: Golden, published: Path, converted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = multiprocessing.get_context("spawn").Process(target=_convert_and_stop, args=(published, out))
    child.start()
    while not (tmp_path / "standing").exists():
        assert child.is_alive()
        time.sleep(0.05)
    with pytest.raises(ConversionError, match="Another conversion is writing"):
        convert(published, out)
    child.kill()
    child.join()
    child.close()
    left = sorted(f.name for f in (tmp_path / "out.part").iterdir())
    assert not out.exists()
    assert "config.json" not in left
    assert any(n.startswith("shard-") for n in left)
    convert(published, out)
    assert not (tmp_path / "out.part").exists()
    assert not list(out.glob("shard-*"))
    assert not list(out.glob("*.lock"))
    before, after = weights_of(converted), weights_of(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


# --- the command


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "limner.model_server", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)


def test_the_command(golden: Golden, published: Path, tmp_path: Path) -> None:
    done = run("convert", published, tmp_path / "out", "--text-only", "--dtype", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert "LlamaForCausalLM" in done.stdout
    assert "bfloat16" in done.stdout
    assert "no tokenizer.model" in done.stdout
    again = run("convert", published, tmp_path / "out")
    assert again.returncode == 2
    assert again.stdout == ""
    assert again.stderr.splitlines()[-1].startswith("limner-model-server: ")
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize("source", ["nowhere", "/no/such/folder", "./a/b", "a/b/c"])
def test_a_source_that_is_neither_folder_nor_id(source: str) -> None:
    with pytest.raises(ConversionError, match="No folder"):
        cli.local_folder(source)


def test_importing_the_command_loads_no_torch() -> None:
    code = "import sys, limner.model_server.cli; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Hub(BaseHTTPRequestHandler):
    """As much of a model hub as a download needs. `folder` holds the files of one repository."""

    folder: Path
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        if self.path.startswith("/api/models/org/name"):
            files = sorted(self.folder.iterdir())
            tree = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f.name} for f in files]
            info = {"id": "org/name", "sha": "a" * 40, "siblings": [{"rfilename": f.name} for f in files], "tags": []}
            self._answer(json.dumps(tree if "/tree/" in self.path else info).encode())
        elif self.path.startswith("/org/name/resolve/") and (self.folder / name).is_file():
            self._answer((self.folder / name).read_bytes(), ETag=f'"{name}"', **{"X-Repo-Commit": "a" * 40})
        else:
            self.send_error(404)

    def _answer(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("kind", ["safetensors", "pickle"])
def test_a_hub_id(golden: Golden, published: Path, tmp_path: Path, kind: str) -> None:
    (published / "modeling.py").write_text("raise SystemExit('code of a checkpoint ran')")
    if kind == "safetensors":
        (published / "pytorch_model.bin").write_bytes(b"not wanted")
    else:
        (published / "model.safetensors").unlink()
        torch.save(golden.weights, published / "pytorch_model.bin")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Hub,), {"folder": published, "asked": []}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    env = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "0",
    }
    try:
        done = run("convert", "org/name", tmp_path / "out", **env)
        lost = run("convert", "org/other", tmp_path / "other", **env)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stderr
    asked = server.RequestHandlerClass.asked  # type: ignore[attr-defined]
    assert not any(path.endswith(".py") for path in asked)
    assert any(path.endswith(".bin") for path in asked) == (kind == "pickle")
    assert lost.returncode == 2
    assert lost.stderr.splitlines()[-1].startswith("limner-model-server: org/other cannot be downloaded")
    assert not (tmp_path / "other").exists()
