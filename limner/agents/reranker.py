"""A selector that cannot depend on the order: a reranker scores each candidate by itself.

A chat model chooses from a list, and its choice changes with the order of the list. A reranker reads the place with one
description at a time and says a number, so that only the numbers decide. It reads words alone, and no earlier choices.

The request is `POST /v1/rerank` with model, query, documents and top_n; the reply's `results` have `index` and
`relevance_score`. So speak vLLM, llama.cpp (`--reranking`), Jina and Cohere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from limner.agents.faults import Faults
from limner.agents.meter import Meter, Usage
from limner.agents.prices import Price, free
from limner.agents.prompts import safe_text, text_tokens
from limner.agents.selector import DISAGREED, SHOWN, SURE, order_by
from limner.agents.speaker import MOST, Memory
from limner.document import Article, Candidate, Paragraph, Selection, Spot
from limner.errors import UnreadableReply
from limner.notes import note

# Estimated tokens. Many rerankers read 512 of query and document together, and llama.cpp refuses more than its batch.
QUERY, DOCUMENT = 240, 160


class _Result(BaseModel):
    index: int
    relevance_score: float


class _Reply(BaseModel):
    results: list[_Result]
    usage: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    """Where Cohere counts tokens."""


@dataclass
class Reranker:
    """One reranking model at one server."""

    client: Any
    """OpenAI's client; it repeats a call and translates HTTP."""
    name: str
    where: str = ""
    """The server's address, for error messages."""
    meter: Meter = field(default_factory=Meter)
    price: Price | None = free
    """The model's price; None if it is unknown."""
    memory: Memory | None = None
    least: float | None = None
    """Score below which a candidate does not fit, on the model's own scale."""

    def scores(self, query: str, documents: Sequence[str]) -> list[float]:
        """The relevance of each document, in the order given; higher is better, the scale is the model's own.

        Raises BudgetReached before a call that could go over the budget, UnreadableReply for scores that are no
        numbers, ModelUnreachable, ModelRefused.
        """
        query, documents = safe_text(query), [safe_text(d) for d in documents]
        whole = json.dumps(["rerank", self.name, query, documents], ensure_ascii=False)
        digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
        known = self.memory.recall(digest) if self.memory else None
        if known is not None:
            return json.loads(known)
        asked = sum(text_tokens(query) + text_tokens(d) for d in documents)
        self.meter.allow(round(asked), 0, self.price)
        body = {"model": self.name, "query": query, "documents": documents, "top_n": len(documents)}
        with faults(self.where).translated():
            reply = _Reply.model_validate(self.client.post("/rerank", cast_to=object, body=body))
            found = _in_order(reply.results, len(documents))
        usage = self._count(reply, round(asked))
        if not all(map(math.isfinite, found)):
            raise UnreadableReply("A score is no finite number.")
        if self.memory:
            self.memory.keep("selector", digest, json.dumps(found), usage)
        return found

    def _count(self, reply: _Reply, asked: int) -> Usage:
        """Count a call: the server's tokens, else an estimate."""
        counted = _tokens(reply)
        usage = Usage(1, asked if counted is None else counted, estimated=counted is None)
        if self.price is not None:
            usage.cost = self.price(usage.prompt, 0, 0)
        self.meter.count("selector", usage.prompt, 0, 0, usage.estimated, usage.cost)
        return usage


def faults(where: str) -> Faults:
    """The words for the errors of a reranker."""
    return Faults(
        f"The reranker at {where}",
        where,
        "a reranking",
        "LIMNER_RERANKER_URL",
        "LIMNER_RERANKER_MODEL",
        "reranker-away",
    )


def _in_order(results: Sequence[_Result], count: int) -> list[float]:
    """The scores by index. Raises ValueError unless each document has one."""
    found = {r.index: r.relevance_score for r in results}
    if len(results) != count or found.keys() != set(range(count)):
        raise ValueError(f"it scored {len(results)} of {count} documents")
    return [found[n] for n in range(count)]


def _tokens(reply: _Reply) -> int | None:
    """Tokens that the server counted: OpenAI's form, or Cohere's."""
    meta = (reply.meta or {}).get("tokens")
    said: Mapping[str, Any] = reply.usage or (meta if isinstance(meta, dict) else {})
    counts = (said.get(name) for name in ("prompt_tokens", "total_tokens", "input_tokens"))
    found = next((c for c in counts if isinstance(c, int | float) and math.isfinite(c)), None)
    return None if found is None else min(max(0, int(found)), MOST)


def select(
    article: Article,
    spot: Spot,
    candidates: Sequence[Candidate],
    reranker: Reranker,
    unrelated: Sequence[str],
    seed: int = 0,
) -> Selection:
    """The best of the first four candidates by the reranker's scores, or none.

    None of them fits unless the best scores higher than every one of `unrelated`, texts that have nothing to do with
    the place. Scores have no common scale: vLLM sends 0 to 1, llama.cpp log-odds, and where "relevant" begins differs
    by model. Ranks need no scale. Where four candidates are no better than 26 unrelated texts, one of the four comes
    first in 4 of 30 cases: so 13 of 100 such places get a picture. This sorts out pictures that are about something
    else, not the plausible wrong one; `limner evaluate --agreement` says how often that is refused. The texts are
    English: a model that favours the language of the place is stricter there than with other languages. Who knows a
    model's scale sets LIMNER_RERANKER_LEAST, which a candidate must reach as well.

    The order of the candidates changes nothing: equal scores go by retrieval's score, then by id, and weigh less in
    `arrange`. seed: shuffles the documents, as a chat model's candidates. Scores that are no numbers leave the choice
    to similarity, and the record says so. Raises BudgetReached, ModelError.
    """
    best = list(candidates[:SHOWN])
    order = order_by(seed, spot).sample(best, len(best))
    shown = (tuple(c.image_id for c in order),)
    decided: dict[str, Any] = {"spot": spot, "candidates": tuple(candidates), "shown": shown}
    try:
        documents = [*(_cut(c.description, DOCUMENT) for c in order), *unrelated]
        scores = reranker.scores(query(article, spot), documents)
    except UnreadableReply:
        return Selection(**decided, by="similarity", fallback=note("reranker-unread"))
    least = max(scores[len(order) :], default=-math.inf)
    ranked = sorted(zip(order, scores, strict=False), key=lambda pair: (-pair[1], -pair[0].score, pair[0].image_id))
    (first, top), second = ranked[0], ranked[1][1] if len(ranked) > 1 else -math.inf
    fits = top > least and (reranker.least is None or top >= reranker.least)
    said = json.dumps({"scores": scores[: len(order)], "unrelated": least if unrelated else None})
    choice, confidence = first.image_id if fits else None, DISAGREED if fits and top == second else SURE
    return Selection(**decided, answers=(said,), choice=choice, by="captions", confidence=confidence)


def query(article: Article, spot: Spot) -> str:
    """What is asked for at a place: its caption, the one in English if that differs, and the paragraph before it."""
    before = next((b.plain for b in article.body if b.id == spot.after and isinstance(b, Paragraph)), "")
    lines = [" ".join(text.split()) for text in (spot.caption, spot.search, before)]
    kept: list[str] = []
    for line in lines:
        if line and not any(line in other for other in kept):
            kept = [*(other for other in kept if other not in line), line]
    return _cut("\n".join(kept), QUERY)


def _cut(text: str, tokens: int) -> str:
    """At most about so many tokens of a text's beginning."""
    while (has := text_tokens(text)) > tokens:  # scripts differ, so the first cut may leave too much
        text = text[: int(len(text) * tokens / has)]
    return text.rstrip()
