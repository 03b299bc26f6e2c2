"""Beam search over vLLM: each step requests the next tokens of every beam, with cached prompts.

So beams share a batch with all other answers. A step computes only tokens outside whole cached blocks, at most one
block per beam.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

from limner.model_server.beams import FIRST_LISTED, BeamSearch, Listed
from limner.model_server.engine import Finished, Job, Token
from limner.model_server.reply import Reply, Vocabulary
from limner.model_server.sampling import Chosen
from limner.model_server.vllm_plugin.requests import Requests

Generate = Callable[[dict[str, Any], Any], AsyncGenerator[Any, None]]
"""One request to vLLM: (prompt, parameters) -> its outputs."""


class Beams:
    """Answers one job."""

    def __init__(self, generate: Generate, requests: Requests, vocabulary: Vocabulary, job: Job) -> None:
        self._generate, self._requests, self._vocabulary, self._job = generate, requests, vocabulary, job
        self._prefill: tuple[Token, ...] = ()
        self._cached = 0

    async def answer(self) -> AsyncGenerator[Token | Finished, None]:
        """The best beam's tokens, all at the end. Raises RuntimeError for logits that are not finite."""
        s, prompt = self._job.sampling, self._job.prompt
        shown = prompt.ids if self._requests.shows(prompt) else (self._requests.bos,)
        search = BeamSearch(
            s.num_beams, s.max_new_tokens, frozenset(self._vocabulary.end_ids), frozenset(shown),
            s.repetition_penalty, s.length_penalty,
        )  # fmt: skip
        while not search.ended:
            counts = [max(FIRST_LISTED, 2 * s.num_beams)] * len(search.running)
            listed = await self._listed(search, counts)
            while lacking := search.lacking(listed):
                counts = [count * 8 if n in lacking else 0 for n, count in enumerate(counts)]
                more = await self._listed(search, counts)
                listed = [new if n in lacking else old for n, (old, new) in enumerate(zip(listed, more, strict=True))]
            search.step(listed, lambda n, place, listed=listed: self._chosen(listed[n], place))
        reply = Reply(self._vocabulary, s)
        for made in search.best().details:
            yield reply.add(made)
            if reply.ended:
                break
        yield reply.finished(self._prefill, self._cached)

    async def _listed(self, search: BeamSearch, counts: list[int]) -> list[Listed]:
        """The requested number of each beam's next tokens; nothing for 0."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._next(beam.ids, count)) if count else None
                    for beam, count in zip(search.running, counts, strict=True)
                ]
        except ExceptionGroup as several:  # the requests of one step fail for the same reason
            raise several.exceptions[0] from None
        return [task.result() if task else Listed((), ()) for task in tasks]

    async def _next(self, ids: tuple[int, ...], count: int) -> Listed:
        first = not ids
        prompt = replace(self._job.prompt, ids=(*self._job.prompt.ids, *ids))
        whole = count >= self._vocabulary.size
        params = self._requests.listing(self._job, -1 if whole else count, first=first)
        async for output in self._generate(self._requests.prompt(prompt), params):
            if first and output.prompt_logprobs and not self._prefill:
                self._prefill = self._requests.prefill(prompt, output.prompt_logprobs)
            if first:
                self._cached = output.num_cached_tokens or 0
            for token, place in zip(output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True):
                self._requests.check(token)
                likeliest = sorted((found.rank, i, found.logprob) for i, found in place.items())
                return Listed([i for _, i, _ in likeliest], [logprob for *_, logprob in likeliest], whole)
        raise RuntimeError("vLLM ended a request without a token")

    def _chosen(self, listed: Listed, place: int) -> Chosen:
        """A token for the client, with the model's own logprobs."""
        count = self._job.sampling.top_n or 0
        top = tuple(zip(listed.tokens[:count], listed.logprobs[:count], strict=True))
        return Chosen(listed.tokens[place], listed.logprobs[place], top)
