"""Turn a job into vLLM requests, and vLLM's outputs into tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from limner.model_server.engine import Job, Token
from limner.model_server.prompts import Prompt
from limner.model_server.reply import Vocabulary
from limner.model_server.sampling import NOT_FINITE, Chosen


class Requests:
    """Builds the requests for one checkpoint."""

    def __init__(self, config: Any, vocabulary: Vocabulary, end_ids: list[int]) -> None:
        """config: of the checkpoint."""
        self.image, self.rows = config.image_token_id, config.rows_per_image
        self.bos = config.bos_token_id
        self._shows_text_only_prompts = config.model_type == "xcomposer2"
        self._vocabulary, self._end_ids = vocabulary, end_ids

    def shows(self, prompt: Prompt) -> bool:
        """Whether a repetition penalty sees the prompt: XComposer2's without images. See xcomposer/decoding.py."""
        return self._shows_text_only_prompts and not prompt.pixels

    def prompt(self, prompt: Prompt) -> dict[str, Any]:
        """The prompt for vLLM's renderer: one placeholder per image, which the renderer repeats, and the pixels."""
        if not prompt.pixels:
            return {"prompt_token_ids": list(prompt.ids)}
        ids, n = [], 0
        while n < len(prompt.ids):
            ids.append(prompt.ids[n])
            n += self.rows if prompt.ids[n] == self.image else 1
        return {"prompt_token_ids": ids, "multi_modal_data": {"image": list(prompt.pixels)}}

    def params(self, job: Job, **other: Any) -> Any:
        """vLLM's parameters for a job of one request. other: sampling to use instead of the job's own."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        s = job.sampling
        drawn: dict[str, Any] = {"temperature": 0.0}
        if s.do_sample:
            drawn = {"temperature": s.temperature, "top_k": s.top_k, "top_p": s.top_p, "seed": s.seed % 2**63}
        wanted: dict[str, Any] = {
            "max_tokens": s.max_new_tokens,
            "stop_token_ids": self._end_ids,
            "logprobs": s.top_n,
            "prompt_logprobs": 0 if s.prompt_logprobs else None,
            "detokenize": False,
            "output_kind": RequestOutputKind.DELTA,
            "extra_args": self._rules(job),
        }
        return SamplingParams(**drawn, **wanted | other)

    def listing(self, job: Job, count: int, *, first: bool) -> Any:
        """Parameters that request only the `count` likeliest tokens after a prompt, -1 for all."""
        plain = replace(job, sampling=replace(job.sampling, do_sample=False, grammar=None, repetition_penalty=1.0))
        prefill = 0 if first and job.sampling.prompt_logprobs else None
        return self.params(plain, max_tokens=1, logprobs=count, prompt_logprobs=prefill)

    def _rules(self, job: Job) -> dict[str, Any]:
        """The penalties and the grammar of this answer, for limner's own rules."""
        from limner.model_server.vllm_plugin import grammars, penalties

        s = job.sampling
        wanted: dict[str, Any] = {
            penalties.REPETITION: s.repetition_penalty,
            penalties.FREQUENCY: s.frequency_penalty,
            penalties.PRESENCE: s.presence_penalty,
            penalties.SHOWS_PROMPT: self.shows(job.prompt),
        }
        return wanted | ({grammars.GRAMMAR: s.grammar.text} if s.grammar else {})

    def prefill(self, prompt: Prompt, places: Any) -> tuple[Token, ...]:
        """The prompt's tokens with their logprobs. places: vLLM's `prompt_logprobs`."""
        known = [
            None if place is None or token == self.image else place[token].logprob
            for token, place in zip(prompt.ids, places, strict=True)
        ]
        return tuple(self._vocabulary.alone(i, logprob) for i, logprob in zip(prompt.ids, known, strict=True))

    def check(self, token: int) -> None:
        """Raises RuntimeError for the placeholder, which is chosen only if logits are not finite."""
        if token == self.image:
            raise RuntimeError(NOT_FINITE)


def chosen(token: int, place: Any, top_n: int) -> Chosen:
    """place: vLLM's logprobs by id, of the chosen token and of the likeliest; None if not requested."""
    if place is None:
        return Chosen(token)
    likeliest = sorted((found.rank, i, found.logprob) for i, found in place.items())
    top = tuple((i, logprob) for _, i, logprob in likeliest[:top_n])
    return Chosen(token, place[token].logprob, top)
