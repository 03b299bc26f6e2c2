"""Estimate the steps, calls and tokens of a composition before anything is asked or paid for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from limner.agents import reranker, selector, spotter, writer
from limner.agents.dialects import instruct
from limner.agents.meter import Meter
from limner.agents.prices import price_of
from limner.agents.prompts import IMAGE_TOKENS, estimate_tokens, text_tokens
from limner.document import Article, Brief, Paragraph
from limner.notes import Note, note
from limner.text import dollars
from limner.tools.chance import unrelated_texts
from limner.workflows.context import Context

if TYPE_CHECKING:
    from limner.agents.speaker import Role
    from limner.settings import Settings
    from limner.workflows.inputs import Start

# Measured answers to a bare title: 7B to 70B instruction models write 700 to 1 000 words in about eight paragraphs. An
# outline or a long brief changes this; hence "about".
PARAGRAPHS, WORDS = 8, 110
WRITTEN = 40  # tokens of a checker's answer: a verdict and a sentence


class Step(NamedTuple):
    """The estimate of one step."""

    name: str
    calls: int
    """Model calls, estimated."""
    tokens: int
    """Tokens of prompts and completions, estimated."""
    cost: float | None
    """US dollars, estimated as if no cache helped; None if a price or the model's name is unknown."""
    parts: int
    """Number of places, handled in sequence."""
    line: Note


def plan(start: Start, settings: Settings, libraries: Sequence[str]) -> list[str]:
    """The plan, one line per step: calls, images, rough tokens. Asks no server and starts none."""
    found = steps(start, settings, libraries)
    total = sum(step.tokens for step in found)
    lines = [f"{step.name:<9} {step.line}" for step in found]
    costs = [step.cost for step in found]
    money = f", about {dollars(sum(c for c in costs if c))}" if None not in costs and any(costs) else ""
    return [
        *lines,
        f"in all    about {total} tokens{money}, most of them the article again, which servers keep in their cache",
    ]


def steps(start: Start, settings: Settings, libraries: Sequence[str]) -> list[Step]:
    """The steps with their estimates. Asks no server and starts none."""
    context = Context(settings, [], {}, Meter())
    brief = start["brief"]
    article = start.get("article")
    found, small = [], {}
    for role in ("writer", "spotter", "selector"):
        name = "smollm2-135m" if context.demonstrates(role) else _name(context, role)
        small[role] = not context.dialect_of(name, context.known_size(role)).judges
    if article is None:
        calls, tokens, answer = _writing(brief, small["writer"])
        code = "plan-write" if calls > 1 else "plan-write-one"
        line = note(code, n=calls, model=_name(context, "writer"), tokens=tokens)
        found.append(Step("write", calls, tokens, _cost(context, "writer", tokens, answer), 1, line))
        article = _imagined(brief)
    text = round(text_tokens(instruct.numbered(article)))
    spots = spotter.how_many(article, brief.images)
    found.append(_spotting(context, article, spots, text, small["spotter"]))
    where = note("plan-retrieve", names=list(libraries)) if libraries else note("plan-retrieve-starter")
    found.append(Step("retrieve", 0, 0, 0.0, 1, where))
    if context.reranks:
        found.append(_reranking(context, spots))
    elif small["selector"]:
        found.append(Step("select", 0, 0, 0.0, spots, note("plan-similar")))
    else:
        looks = ceil(spots * 1.25)  # second questions if the model is not sure; seldom more than one in four
        window = min(text, spotter.WINDOW_TOKENS)
        images = selector.SHOWN + min(spots, selector.SEEN_BEFORE) // 2
        tokens = looks * (window + 200 + images * IMAGE_TOKENS)
        line = note("plan-look", n=looks, model=_name(context, "selector"), images=images, tokens=tokens)
        found.append(Step("select", looks, tokens, _cost(context, "selector", tokens, 10 * looks), spots, line))
    wanted = note("plan-fit") if brief.images == "auto" else note("plan-images", n=brief.images)
    found.append(Step("arrange", 0, 0, 0.0, 1, wanted))
    if n := _checks(context, brief, spots, small["selector"]):
        found.append(_checking(context, n))
    if brief.generate and brief.images != 0:
        most = min(spots, brief.max_generated)
        line = note("plan-generate", generator=brief.generate, n=most)
        found.append(Step("generate", 0, 0, None, most, line))
    return found


def _checking(context: Context, n: int) -> Step:
    tokens = n * (IMAGE_TOKENS + 350 + WRITTEN)
    line = note("plan-check", n=n, model=_name(context, "selector"), tokens=tokens)
    return Step("check", n, tokens, _cost(context, "selector", tokens, WRITTEN * n), 1, line)


def _checks(context: Context, brief: Brief, spots: int, small: bool) -> int:
    """How many pictures may be checked. Whether the model sees is known only once it is asked."""
    off = brief.check is False or context.settings.vision is False or small or (context.reranks and not brief.check)
    if off or not context.dialect_of(_name(context, "selector"), context.known_size("selector")).checks:
        return 0
    return spots if brief.images == "auto" else min(spots, brief.images)


def _reranking(context: Context, spots: int) -> Step:
    """Each document is read with the query again: the candidates, and the texts that say what chance is."""
    settings = context.settings
    each = sum(reranker.QUERY + text_tokens(text) for text in unrelated_texts("en"))
    tokens = round(spots * (each + selector.SHOWN * (reranker.QUERY + reranker.DOCUMENT)))
    name = settings.reranker_model
    price = price_of(name, settings.reranker_url, settings.home) if name else None
    line = note("plan-rerank", n=spots, model=name or note("model-first"), tokens=tokens)
    return Step("select", spots, tokens, price(tokens, 0, 0) if price else None, spots, line)


def _cost(context: Context, role: Role, tokens: int, answer: int) -> float | None:
    """US dollars. answer: the tokens of the completions, a part of `tokens`."""
    settings = context.settings
    if context.demonstrates(role) or context.embedded(role):
        return 0.0
    url = getattr(settings, f"{role}_url") or settings.model_url
    name = getattr(settings, f"{role}_model") or settings.model
    price = price_of(name, url, settings.home) if url and name else None
    return price(tokens - answer, answer, 0) if price else None


def _writing(brief: Brief, small: bool) -> tuple[int, int, int]:
    """(calls, tokens, tokens of the completions)."""
    prompt = estimate_tokens(instruct.ask_article(brief))
    if small:
        return PARAGRAPHS + 1, (PARAGRAPHS + 1) * (min(prompt, 400) + 150), (PARAGRAPHS + 1) * 150
    answer = min(round(PARAGRAPHS * WORDS * 1.4), writer.MAX_TOKENS)
    return 1, prompt + answer, answer


def _spotting(context: Context, article: Article, spots: int, text: int, small: bool) -> Step:
    if small:
        return Step("spot", 0, 0, 0.0, 1, note("plan-text"))
    calls = len(spotter.windows(article))
    answer = spots * spotter.TOKENS_PER_SPOT
    tokens = text + answer
    name = _name(context, "spotter")
    line = note("plan-spot" if calls > 1 else "plan-spot-one", n=calls, model=name, spots=spots, tokens=tokens)
    return Step("spot", calls, tokens, _cost(context, "spotter", tokens, answer), 1, line)


def _name(context: Context, role: Role) -> str:
    settings = context.settings
    if context.demonstrates(role):
        return note("model-embedded")
    return getattr(settings, f"{role}_model") or settings.model or note("model-first")


def _imagined(brief: Brief) -> Article:
    """A dummy article of the usual size, for estimates."""
    words = "word " * WORDS
    return Article(title=brief.text[:60], body=tuple(Paragraph(id=f"b{n}", text=words) for n in range(PARAGRAPHS)))
