"""How often the selector chooses the image that an article's author chose, as the paper's Table 10 asks.

Each figure of an author is a question: its place, and four candidates of the folder's library that hold the true image.
The question is asked in two orders, which put each candidate at another position, and once more without the true image,
when "none of these" is right. Earlier figures are not shown, so that the questions do not depend on each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from limner.agents.dialects import instruct
from limner.agents.prompts import estimate_tokens, text_tokens
from limner.agents.reranker import query
from limner.agents.selector import SHOWN, turned
from limner.agents.spotter import window_of
from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.tools.arrange import LIKELY, relevance
from limner.tools.chance import unrelated_texts
from limner.tools.evaluation.intervals import Mean, ratio_of, shown, without
from limner.tools.library.filters import ANYTIME
from limner.tools.retrieve import retrieve
from limner.tools.spotting import spots_from_text
from limner.workflows.context import CANDIDATES, Context
from limner.workflows.evaluate.answers import FOLDER, Answers
from limner.workflows.evaluate.judging import Cost
from limner.workflows.evaluate.parallel import at_once, each
from limner.workflows.evaluate.report import Section
from limner.workflows.evaluate.split import Placed

PAPER = (("people", 100.0), ("CLIP, first", 40.2), ("GPT-4V", 51.7), ("InternLM-XComposer", 80.4))
"""The paper's Table 10, in per cent, by the project's own notes of it: agreement with people, on its own articles and
candidates."""
_ONE = "data:image/jpeg;base64,"  # stands for a picture in an estimate

Ask = Literal["first", "turned", "without"]
ASKS: tuple[Ask, ...] = ("first", "turned", "without")
Progress = Callable[[int, int], None]


class Question(NamedTuple):
    """An author's figure."""

    of: int
    """Number of its article."""
    article: Article
    spot: Spot
    true: str
    """Id of the author's image."""
    candidates: tuple[Candidate, ...]
    """As retrieved, best first, at most four; the true image is one of them."""
    others: tuple[Candidate, ...]
    """The best four without the true image."""
    likely: Mapping[str, float]
    """Image id -> limner's probability, without a model."""


class Questions(NamedTuple):
    """The questions of a folder."""

    asked: Sequence[Question]
    unfound: int
    """Figures that no question is made of, because retrieval did not find the image."""


def questions(context: Context, articles: Sequence[Placed]) -> Questions:
    """A question per figure, by the libraries of the context. No model is asked."""
    found: list[Question] = []
    unfound = 0
    for n, one in enumerate(articles):
        spots = {s.after: s for s in spots_from_text(one.article)}
        places = {after: spots[after] for after, _ in one.figures if after in spots}
        placed = frozenset(image for _, image in one.figures)
        answers = retrieve(context.libraries, list(places.values()), CANDIDATES, ANYTIME, (), placed)
        options = [Selection(spot=s, candidates=tuple(answers[s.id]), by="similarity") for s in places.values()]
        likely = dict(zip(places, relevance(options), strict=True))
        for after, image in one.figures:
            here = {i for a, i in one.figures if a == after}
            ranked = (
                [c for c in answers[spots[after].id] if c.image_id == image or c.image_id not in here]
                if after in spots
                else []
            )
            true = next((c for c in ranked if c.image_id == image), None)
            if true is None:
                unfound += 1
                continue
            others = tuple(c for c in ranked if c is not true)[:SHOWN]
            best = ranked[:SHOWN] if true in ranked[:SHOWN] else [*ranked[: SHOWN - 1], true]
            found.append(Question(n, one.article, spots[after], image, tuple(best), others, likely[after]))
    return Questions(found, unfound)


def cost(context: Context, asked: Sequence[Question]) -> Cost:
    """The questions to the model; it may be asked twice where it is not sure."""
    if context.reranks:
        return Cost(len(_items(asked)), len(ASKS) * round(round(sum(reranking_tokens(q) for q in asked)), -2))
    pixels = [_ONE] * SHOWN if context.settings.vision is not False else []
    tokens = 0
    for q in asked:
        window = window_of(q.article, q.spot.after)
        images = pixels[: len(q.candidates)]
        tokens += estimate_tokens(instruct.ask_choice(q.article, q.spot, q.candidates, (), images, window)) + 20
    return Cost(len(_items(asked)), len(ASKS) * round(tokens, -2))


def reranking_tokens(q: Question) -> float:
    """Estimated tokens of one question to a reranker, which reads the query with each document."""
    wanted = text_tokens(query(q.article, q.spot))
    return sum(wanted + text_tokens(d) for d in [*(c.description for c in q.candidates), *unrelated_texts("en")])


class Answered(NamedTuple):
    """The selector's answer to a question."""

    choice: str | None
    by: str
    shown: tuple[str, ...] = ()
    """Ids of the candidates in the order in which they were first shown; none without a model."""

    @property
    def read(self) -> bool:
        """Whether a model gave a readable answer."""
        return self.by != "similarity"


def run(
    context: Context, asked: Sequence[Question], on_progress: Progress = lambda _done, _of: None
) -> dict[tuple[int, Ask], Answered]:
    """The answers by (number of the question, way of asking). A model's answers are kept: the same call goes on.

    Raises BudgetReached, ModelError.
    """
    if not context.judges():
        return {(n, ask): _by_similarity(asked[n], ask) for n, ask in _items(asked)}
    names = " ".join(sorted({library.name for library in context.libraries}))
    digest = hashlib.sha256(names.encode()).hexdigest()[:32]
    memory = Answers(context.settings.home / FOLDER / f"agreement-{digest}.jsonl")
    if context.reranks:
        context.reranker.memory = memory
    else:
        context.sees("selector")  # tried anew: its answers are not kept
        context.speaker("selector").memory = memory

    def choose(item: tuple[int, Ask]) -> Answered:
        n, ask = item
        q = asked[n]
        candidates = q.others if ask == "without" else q.candidates
        brief = Brief(text=q.article.title or "An article")
        spot = turned(q.spot, candidates, brief.seed) if ask == "turned" else q.spot
        chosen = context.select(q.article, spot, candidates, (), brief)
        return Answered(chosen.choice, chosen.by, chosen.shown[0] if chosen.shown else ())

    items = _items(asked)
    found: dict[tuple[int, Ask], Answered] = {}
    for item, answer in each(choose, items, at_once(context)):
        found[item] = answer
        on_progress(len(found), len(items))
    return found


def _items(asked: Sequence[Question]) -> list[tuple[int, Ask]]:
    """The questions in each way: a single candidate has no other order, and nothing stays without it."""
    needed = {"first": 0, "turned": 1, "without": 1}
    return [(n, ask) for n, q in enumerate(asked) for ask in ASKS if len(q.candidates) > needed[ask]]


def _by_similarity(q: Question, ask: Ask) -> Answered:
    """The likeliest candidate, or none below the threshold of "auto" if the true image is gone."""
    candidates = q.others if ask == "without" else q.candidates
    best = max((c.image_id for c in candidates), key=lambda i: q.likely.get(i, 0.0), default=None)
    return Answered(None if ask == "without" and _unlikely(q, best) else best, "similarity")


def _unlikely(q: Question, image: str | None) -> bool:
    """Whether limner would place nothing without a model, under "auto"."""
    return image is None or q.likely.get(image, 0.0) < LIKELY


# --- figures -------------------------------------------------------------------------------------------------------


class Agreement(NamedTuple):
    """The figures of a run."""

    right: Mean | None
    similarity: Mean | None
    """The likeliest of the same candidates by limner's measure without a model."""
    retrieved: Mean | None
    """The first of the same candidates by retrieval."""
    flipped: Mean | None
    """The choice changed when each candidate stood at another position; of the questions with two readable answers."""
    refused: Mean | None
    """"None of these" where the true image was taken out; of readable answers."""
    refused_wrongly: Mean | None
    """"None of these" where it was there; of readable answers."""
    unread: int
    """Choices that fell back to similarity because no answer could be read."""


def figures(asked: Sequence[Question], found: Mapping[tuple[int, Ask], Answered], judged: bool) -> Agreement:
    """The shares, with intervals over articles. judged: a model chose, not similarity."""

    def share(hit: Callable[[int, Question], bool | None]) -> Mean | None:
        counts: dict[int, list[bool]] = {}
        for n, q in enumerate(asked):
            if (one := hit(n, q)) is not None:
                counts.setdefault(q.of, []).append(one)
        return ratio_of([(sum(hits), len(hits)) for hits in counts.values()])

    def none(n: int, ask: Ask) -> bool | None:
        answer = found.get((n, ask))
        return answer.choice is None if answer and (answer.read or not judged) else None

    def unlikely(n: int, q: Question) -> bool:
        return _unlikely(q, found[n, "first"].choice)

    return Agreement(
        right=share(lambda n, q: found[n, "first"].choice == q.true),
        similarity=share(lambda _n, q: _by_similarity(q, "first").choice == q.true),
        retrieved=share(lambda _n, q: q.candidates[0].image_id == q.true),
        flipped=share(lambda n, _q: _flipped(found[n, "first"], found.get((n, "turned")))),
        refused=share(lambda n, _q: none(n, "without")),
        refused_wrongly=share(lambda n, _q: none(n, "first")) if judged else share(unlikely),
        unread=sum(not answer.read for answer in found.values()) if judged else 0,
    )


def _flipped(first: Answered, turned: Answered | None) -> bool | None:
    """Whether the choice changed with the order; None unless both answers are readable and each candidate moved."""
    if not turned or not (first.read and turned.read) or len(first.shown) != len(turned.shown):
        return None
    moved = bool(first.shown) and all(a != b for a, b in zip(first.shown, turned.shown, strict=True))
    return first.choice != turned.choice if moved else None


def section(found: Agreement, asked: Questions, articles: int, selector: str) -> Section:
    """The figures as a table."""
    count = len(asked.asked)
    lines = [
        f"{count} figures of {articles} articles, each with {SHOWN} candidates that hold the author's image; "
        f"{asked.unfound} more whose image is not among the first {CANDIDATES} found. Another image may serve as well: "
        "agreement is a lower bound. Intervals over articles.",
        "The idea is that of Table 10 of InternLM-XComposer (arXiv 2309.15112), where people chose: "
        + ", ".join(f"{name} {value:g}" for name, value in PAPER)
        + " % (by the project's notes of the paper). Its articles and candidates are others, so its figures do not "
        "compare with these.",
    ]
    if found.unread:
        lines.append(f"{found.unread} choices fell back to similarity, because no answer could be read.")
    shares = {
        f"{selector}: the author's image": found.right,
        "similarity without a model, same candidates": found.similarity,
        "first in retrieval, same candidates": found.retrieved,
        "another choice in another order": found.flipped,
        '"none of these" with the image taken out': found.refused,
        '"none of these" with the image there': found.refused_wrongly,
    }
    lines += without(shares.values())
    rows = [(name, shown(share, 3)) for name, share in shares.items()]
    return Section("Agreement with the authors", lines, ("share", "value"), rows)


def parts(found: Agreement, asked: Questions, selector: str) -> dict[str, Any]:
    """The agreement's part of the JSON."""
    shares = {k: v._asdict() if isinstance(v, Mean) else v for k, v in found._asdict().items()}
    return {
        "selector": selector,
        "figures": len(asked.asked),
        "not_found": asked.unfound,
        **shares,
        "paper": dict(PAPER),
    }
