"""The transformers engine: prefill, then a token at a time over the KV cache. No HTTP, one answer at a time.

It is the plain engine, for any machine: it batches nothing and keeps no prefix between answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, StoppingCriteria, StoppingCriteriaList

import limner.model_server.xcomposer  # noqa: F401 - tells the Auto classes about the models
from limner.model_server.engine import Finished, Token
from limner.model_server.errors import ServingError, reason
from limner.model_server.prompts import Prompt
from limner.model_server.reply import Reply, Vocabulary
from limner.model_server.sampling import Chooser, Chosen, Sampling, reported
from limner.model_server.scheduler import OneAtATime
from limner.model_server.xcomposer.modeling import CACHE_NAME

SERVED = ("xcomposer", "xcomposer2")
DECODING = ("greedy", "sampling", "typical_p", "grammar", "beams", "beams_with_images")


class Transformers:
    """One model on one device; call it from one thread at a time. scheduler.OneAtATime makes an engine of it."""

    name = "transformers"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """model: in evaluation mode. tokenizer: the checkpoint's."""
        self.model = model
        ends = model.generation_config.eos_token_id
        self.end_ids: list[int] = list(ends) if isinstance(ends, list) else [ends]
        self._vocabulary = Vocabulary(tokenizer, self.end_ids, model.config.image_token_id)

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        return str(self.model.device.type)

    @property
    def dtype(self) -> str:
        """ "float32", "bfloat16" or "float16"."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def decoding(self) -> dict[str, str]:
        """This engine supports every decoding method."""
        return dict.fromkeys(DECODING, self.name)

    def run(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Token | Finished]:
        """Yield each token as it is decoded, then Finished; with beams all tokens at the end.

        cancelled: checked before each step; once true, nothing more comes. Raises RuntimeError, MemoryError.
        """
        with torch.inference_mode():
            steps = (self._beams if sampling.num_beams > 1 else self._steps)(prompt, sampling, cancelled)
            prefill = self._prefill(prompt) if sampling.prompt_logprobs else ()
            reply = Reply(self._vocabulary, sampling)
            for step in steps:
                yield reply.add(step)
                if reply.ended:
                    break
            if not cancelled():
                yield reply.finished(prefill)

    def check(self) -> None:
        """Compute one step. Raises the error that prevents it."""
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([[self.model.config.bos_token_id]], device=self.model.device))
            logits.logits.sum().item()  # waits for the device

    # -- decoding

    def _steps(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Chosen]:
        """Greedy decoding or sampling."""
        choose = Chooser(sampling, len(prompt), self.model)
        ids = torch.tensor([prompt.ids], device=self.model.device)
        inputs = self._inputs(ids, prompt.pixels)
        cache = None
        for _ in range(sampling.max_new_tokens):
            if cancelled():
                return
            out = self.model(**inputs, cache=cache, use_cache=True, logits_to_keep=1)
            cache = out[CACHE_NAME]
            chosen = choose(ids, out.logits[:, -1].float())
            yield chosen
            newest = torch.tensor([[chosen.id]], device=ids.device)
            ids = torch.cat([ids, newest], dim=1)
            inputs = {"input_ids": newest}

    def _beams(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Chosen]:
        """The best beam. Its tokens' logprobs come from one more pass, because beam search keeps only sums."""
        ids = torch.tensor([prompt.ids], device=self.model.device)
        generated = self._best_beam(ids, prompt, sampling, cancelled)
        if cancelled() or not generated:
            return
        whole = torch.tensor([[*prompt.ids, *generated]], device=ids.device)
        logits = self._logits(whole, prompt.pixels)[len(prompt) - 1 : -1]
        yield from (reported(t, row, sampling.top_n) for t, row in zip(generated, logits, strict=True))

    def _best_beam(self, ids: Tensor, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> list[int]:
        out = self.model.generate(
            **self._inputs(ids, prompt.pixels),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            num_beams=sampling.num_beams,
            length_penalty=sampling.length_penalty,
            repetition_penalty=sampling.repetition_penalty,
            eos_token_id=self.end_ids,
            stopping_criteria=StoppingCriteriaList([_Cancelled(cancelled)]),
        )
        generated = out[0, len(prompt) :].tolist()
        last = next((n + 1 for n, token in enumerate(generated) if token in self.end_ids), len(generated))
        return generated[:last]

    def _logits(self, ids: Tensor, pixels: Sequence[np.ndarray]) -> Tensor:
        """ids: (1, T). Returns (T, V) float32."""
        return self.model(**self._inputs(ids, pixels), use_cache=False).logits[0].float()

    def _inputs(self, ids: Tensor, pixels: Sequence[np.ndarray]) -> dict[str, Any]:
        if not pixels:
            return {"input_ids": ids}
        images = torch.from_numpy(np.stack(pixels)).to(self.model.device, self.model.dtype)
        return {"input_ids": ids, "pixel_values": images}

    def _prefill(self, prompt: Prompt) -> tuple[Token, ...]:
        """The prompt's tokens, each with its logprob given the tokens before it."""
        image = self.model.config.image_token_id
        logits = self._logits(torch.tensor([prompt.ids], device=self.model.device), prompt.pixels)
        rows = zip(prompt.ids[1:], logits[:-1], strict=True)
        known = [None, *(None if i == image else reported(i, row, 0).logprob for i, row in rows)]
        return tuple(self._vocabulary.alone(i, logprob) for i, logprob in zip(prompt.ids, known, strict=True))


class _Cancelled(StoppingCriteria):
    """Stops a search whose client has left."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self._cancelled(), device=input_ids.device, dtype=torch.bool)


def build(
    folder: Path, tokenizer: Any, *, max_total_tokens: int | None, dtype: str, device: str, gpus: int = 1
) -> OneAtATime:
    """Build the engine of a converted checkpoint, without a limit of its own. Raises ServingError."""
    if gpus > 1:
        raise ServingError("The transformers engine computes on one GPU: use --engine vllm, or leave --gpus out.")
    return OneAtATime(Transformers(load(folder, dtype=dtype, device=device), tokenizer))


def load(folder: Path, *, dtype: str = "auto", device: str = "auto") -> Any:
    """The model of a converted checkpoint, in evaluation mode.

    dtype: as for from_pretrained; "auto" is float32 on a CPU, which has no fast float16, else the checkpoint's. Raises
    ServingError for a folder without a converted XComposer.
    """
    where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32 if dtype == "auto" and where == "cpu" else dtype, use_safetensors=True
        )
        return model.eval().to(where)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ServingError(
            f"{folder} cannot be loaded ({reason(error)}): convert the published checkpoint again."
        ) from None


def read_config(folder: Path) -> Any:
    """The configuration of a converted checkpoint. Raises ServingError for a folder without an XComposer."""
    if not (folder / "config.json").is_file():
        raise ServingError(f"No checkpoint in {folder}: make one with `limner-model-server convert SRC {folder}`.")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ServingError(
            f"{folder} cannot be loaded ({reason(error)}): convert the published checkpoint again."
        ) from None
    if config.model_type not in SERVED:
        raise ServingError(
            f"{folder} holds a {config.model_type} model; this server serves {' and '.join(SERVED)}. "
            "Serve it with vLLM, TGI or llama.cpp, or convert a published XComposer checkpoint first."
        )
    return config
