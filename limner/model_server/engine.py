"""The transformers engine: prefill, then a token at a time over the KV cache. No HTTP, one answer at a time.

It is the plain one, for any machine: nothing is batched and no prefix is kept from one answer to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, StoppingCriteria, StoppingCriteriaList

import limner.model_server.xcomposer  # noqa: F401 - tells the Auto classes about the models
from limner.model_server.errors import ServingError
from limner.model_server.prompts import Prompt
from limner.model_server.sampling import Chooser, Chosen, Sampling, reported
from limner.model_server.text import Detokenizer, Stops

SERVED = ("xcomposer", "xcomposer2")


@dataclass(frozen=True)
class Token:
    """One token of an answer, or of a prompt."""

    id: int
    text: str
    """What it adds to the answer: "" for a part of a character and for a mark."""
    logprob: float | None
    """Natural logarithm of the model's own probability; None for a prompt's first token and for image places."""
    special: bool
    top: tuple[Token, ...] = ()
    """The likeliest tokens at its place, best first; their text is their own."""


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    reason: Literal["length", "eos_token", "stop_sequence"]
    text: str
    """The whole answer, before the stop sequence if one was found."""
    stop: str
    """The stop sequence that was found, or ""."""
    generated: int
    """Tokens, the one that ended it included."""
    prefill: tuple[Token, ...] = ()


class Engine:
    """One model on one device."""

    name = "transformers"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """model: in evaluation mode. tokenizer: the checkpoint's."""
        self.model = model
        self.tokenizer = tokenizer
        ends = model.generation_config.eos_token_id
        self.end_ids: list[int] = list(ends) if isinstance(ends, list) else [ends]
        self._special = {*tokenizer.all_special_ids, *self.end_ids, model.config.image_token_id}

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        return str(self.model.device.type)

    def run(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Token | Finished]:
        """Each token as it is decoded, then Finished; with beams all of them at the end.

        cancelled: asked before each step; when it says so, nothing more comes. Raises RuntimeError, MemoryError.
        """
        with torch.inference_mode():
            chosen = self._beams(prompt, sampling, cancelled) if sampling.num_beams > 1 else None
            steps = chosen if chosen is not None else self._steps(prompt, sampling, cancelled)
            prefill = self._prefill(prompt) if sampling.prompt_logprobs else ()
            pieces, stops = Detokenizer(self.tokenizer), Stops(sampling.stop)
            text, count, stop, reason = "", 0, "", "length"
            for step in steps:
                count += 1
                ends = step.id in self.end_ids
                piece = "" if ends else pieces.add(step.id)
                if count == sampling.max_new_tokens and not ends:
                    piece += pieces.rest()
                yield self._token(step, piece)
                sure, stop = stops.feed(piece)
                text += sure
                if stop or ends:
                    reason = "stop_sequence" if stop else "eos_token"
                    break
            if cancelled():
                return
            if not stop:
                sure, stop = stops.feed(pieces.rest())
                text += sure if stop else sure + stops.rest()
                reason = "stop_sequence" if stop else reason
            yield Finished(reason, text, stop, count, prefill)  # type: ignore[arg-type]

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
            out = self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            chosen = choose(ids, out.logits[:, -1].float())
            yield chosen
            newest = torch.tensor([[chosen.id]], device=ids.device)
            ids = torch.cat([ids, newest], dim=1)
            inputs = {"input_ids": newest}

    def _beams(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> list[Chosen]:
        """The best beam. Its tokens' logprobs come from one more pass: beam search keeps sums only."""
        ids = torch.tensor([prompt.ids], device=self.model.device)
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
        if cancelled():
            return []
        generated = out[0, len(prompt) :].tolist()
        last = next((n + 1 for n, token in enumerate(generated) if token in self.end_ids), len(generated))
        logits = self._logits(out[:, : len(prompt) + last], prompt.pixels)[len(prompt) - 1 : -1]
        return [reported(t, row, sampling.top_n) for t, row in zip(generated[:last], logits, strict=True)]

    def _logits(self, ids: Tensor, pixels: Sequence[np.ndarray]) -> Tensor:
        """ids: (1, T). Returns (T, V) float32."""
        return self.model(**self._inputs(ids, pixels), use_cache=False).logits[0].float()

    def _inputs(self, ids: Tensor, pixels: Sequence[np.ndarray]) -> dict[str, Any]:
        if not pixels:
            return {"input_ids": ids}
        images = torch.from_numpy(np.stack(pixels)).to(self.model.device, self.model.dtype)
        return {"input_ids": ids, "pixel_values": images}

    # -- reporting

    def _prefill(self, prompt: Prompt) -> tuple[Token, ...]:
        """The prompt's tokens; each one's logprob is what the tokens before it made of it."""
        image = self.model.config.image_token_id
        logits = self._logits(torch.tensor([prompt.ids], device=self.model.device), prompt.pixels)
        rows = zip(prompt.ids[1:], logits[:-1], strict=True)
        known = [None, *(None if i == image else reported(i, row, 0).logprob for i, row in rows)]
        return tuple(
            Token(i, self._own_text(i), logprob, i in self._special)
            for i, logprob in zip(prompt.ids, known, strict=True)
        )

    def _token(self, chosen: Chosen, text: str) -> Token:
        top = tuple(Token(i, self._own_text(i), logprob, i in self._special) for i, logprob in chosen.top)
        special = chosen.id in self._special
        return Token(chosen.id, self._own_text(chosen.id) if special else text, chosen.logprob, special, top)

    def _own_text(self, token_id: int) -> str:
        return self.tokenizer.decode([token_id], skip_special_tokens=False)


class _Cancelled(StoppingCriteria):
    """Ends a search that nobody waits for."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self._cancelled(), device=input_ids.device, dtype=torch.bool)


def load(folder: Path, *, dtype: str = "auto", device: str = "auto") -> Any:
    """The model of a converted checkpoint, in evaluation mode.

    dtype: as from_pretrained takes it; "auto" is float32 on a CPU, which has no fast float16, else the checkpoint's.
    Raises ServingError for a folder that holds no converted XComposer.
    """
    if not (folder / "config.json").is_file():
        raise ServingError(f"No checkpoint in {folder}: make one with `limner-model-server convert SRC {folder}`.")
    where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = AutoConfig.from_pretrained(folder).model_type
        if kind not in SERVED:
            raise ServingError(
                f"{folder} holds a {kind} model; this server serves {' and '.join(SERVED)}. "
                "Serve it with vLLM, TGI or llama.cpp, or convert a published XComposer checkpoint first."
            )
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32 if dtype == "auto" and where == "cpu" else dtype, use_safetensors=True
        )
        return model.eval().to(where)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ServingError(f"{folder} cannot be loaded ({reason}): convert the published checkpoint again.") from None
