"""Write, spot and select with InternLM-XComposer, with the prompts of its training.

The model knows only these prompts. So an unreadable answer is not sent back with a reason; the question is repeated
once with another seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, Literal, TypeVar

from limner.agents.dialects import caption, xcomposer, xcomposer2
from limner.agents.dialects.caption import InLanguage, Known
from limner.agents.dialects.instruct import language_of
from limner.agents.dialects.xcomposer import Question
from limner.agents.selector import SHOWN, SURE, order_by
from limner.agents.speaker import Speaker
from limner.agents.spotter import how_many, windows
from limner.document import Article, Brief, Candidate, Paragraph, Selection, Spot
from limner.errors import ModelRefused, UnreadableReply
from limner.notes import note

T = TypeVar("T")

Trained = Literal["xcomposer", "xcomposer2"]

_DIALECTS: dict[Trained, Any] = {"xcomposer": xcomposer, "xcomposer2": xcomposer2}


# --- writing -------------------------------------------------------------------------------------------------------


def write(
    brief: Brief, speaker: Speaker, emit: Callable[[str], None], name: Trained, reference_images: Sequence[str] = ()
) -> Article:
    """Write the article; `emit` gets its Markdown as it grows, the model's lines as paragraphs.

    reference_images: data URLs, for a dialect that shows them to its writer. The article's notes name input that the
    model cannot use. Raises UnreadableReply if two answers have no paragraph, BudgetReached, ModelError.
    """
    dialect = _DIALECTS[name]
    question = dialect.ask_article(brief, reference_images if dialect.SEES_BRIEF_IMAGES else ())
    growing = _Growing(dialect.heading(brief), emit)
    try:
        article = _put(speaker, question, lambda reply: dialect.read_article(reply, brief), brief.seed, growing)
    except UnreadableReply as reason:
        problem = f"{speaker.name or 'The model'} wrote no article, asked twice"
        raise UnreadableReply(f"{problem}. Say more in the brief, or use another model (--model).") from reason
    return article.noted(*_left_out(brief, speaker.name, dialect))


def sees_brief_images(name: Trained) -> bool:
    """Whether the writer sees the brief's images."""
    return _DIALECTS[name].SEES_BRIEF_IMAGES


def _left_out(brief: Brief, model: str, dialect: Any) -> list[str]:
    notes, language = [], language_of(brief)
    if brief.sources and not dialect.READS_SOURCES:
        names = ", ".join(source.name for source in brief.sources)
        notes.append(note("writer-title-only", model=model, names=names))
    if language and not language.lower().startswith(("en", "zh")):
        notes.append(note("writer-language", model=model, language=language))
    return notes


class _Growing:
    """Passes lines on as Markdown paragraphs as they come."""

    def __init__(self, heading: str, emit: Callable[[str], None]) -> None:
        self._heading, self._held, self._begun, self._emit = heading, "", False, emit

    def __call__(self, text: str) -> None:
        text = self._held + text
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if not shown:
            return
        if not self._begun:
            shown = self._heading + shown.lstrip()
        self._emit(re.sub(r"\s*\n\s*", "\n\n", shown))
        self._begun = True


# --- spotting ------------------------------------------------------------------------------------------------------


def spot(article: Article, speaker: Speaker, images: int | Literal["auto"], seed: int, name: Trained) -> list[Spot]:
    """Spots in reading order: places first, then a caption for each. "auto" leaves their number to the model.

    A place without a readable caption gets the beginning of its paragraph instead, because images are searched by it.
    Raises UnreadableReply if two answers name no place, BudgetReached, ModelError.
    """
    spots: list[Spot] = []
    total = how_many(article, images)
    for window in windows(article, _DIALECTS[name].WINDOW_TOKENS):
        share = ceil(total * len(window) / len(article.paragraphs))
        if share:
            spots += _spots(article, window, speaker, None if images == "auto" else share, seed, name)
    return spots


def _spots(
    article: Article, window: Sequence[Paragraph], speaker: Speaker, count: int | None, seed: int, name: Trained
) -> list[Spot]:
    dialect = _DIALECTS[name]
    question = dialect.ask_locations(window, count)
    places = _put(speaker, question, lambda reply: dialect.read_locations(reply, len(window)), seed)[:count]
    past: list[tuple[int, str]] = []
    for place in places:
        try:
            caption = _put(speaker, dialect.ask_caption(window, place, past), dialect.read_caption, seed)
        except UnreadableReply:
            caption = xcomposer.section(window[place])[:100]
        past.append((place, caption))
    return [
        Spot(id=f"s{article.number(window[place].id) + 1}", after=window[place].id, caption=caption, search=caption)
        for place, caption in past
    ]


# --- selecting -----------------------------------------------------------------------------------------------------


def select(
    article: Article,
    spot: Spot,
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[Spot, Candidate]],
    speaker: Speaker,
    pixels: Callable[[Candidate], str],
    seed: int,
    name: Trained,
) -> Selection:
    """Ask which of the best candidates fits, seeing them and the images already chosen.

    `seed` shuffles the displayed order. These models always name one. After two unreadable answers, or if the server
    refuses the images, similarity decides, and the record says so. Raises BudgetReached, ModelError.
    """
    dialect = _DIALECTS[name]
    window = next(w for w in windows(article, dialect.WINDOW_TOKENS) if any(p.id == spot.after for p in w))
    places = {p.id: n for n, p in enumerate(window)}
    order = order_by(seed, spot).sample(list(candidates[:SHOWN]), len(candidates[:SHOWN]))
    placed = [(places[s.after], pixels(c)) for s, c in chosen if s.after in places][-dialect.SEEN_BEFORE :]
    question = dialect.ask_choice(window, places[spot.after], [pixels(c) for c in order], placed)
    answers: list[str] = []

    def read(reply: str) -> int:
        answers.append(reply)
        return dialect.read_choice(reply, len(order))

    record: dict[str, Any] = {"by": "similarity"}
    try:
        choice = order[_put(speaker, question, read, seed)].image_id
        record = {"by": "pixels", "choice": choice, "confidence": SURE}
    except UnreadableReply:
        record["fallback"] = note("choice-unread")
    except ModelRefused as refused:
        if refused.status not in (400, 413, 422):
            raise
        record["fallback"] = note("selector-refused", line=refused.note)
    shown = (tuple(c.image_id for c in order),) * max(len(answers), 1)
    return Selection(spot=spot, candidates=tuple(candidates), shown=shown, answers=tuple(answers), **record)


def unseen(spot: Spot, candidates: Sequence[Candidate]) -> Selection:
    """The record if the selector's server accepts no images: these models choose by looking or not at all."""
    why = note("selector-blind")
    return Selection(spot=spot, candidates=tuple(candidates), by="similarity", fallback=why)


# --- captions of pictures -------------------------------------------------------------------------------------------


def describe(
    image: str, known: Known, language: str, speaker: Speaker, in_language: InLanguage, name: Trained
) -> caption.Captioned:
    """A picture's caption and alternative text, from the description that these models were trained to give.

    What is known of the picture is no part of that question; it only shows whether an answer repeats a neighbour.
    Raises NoCaption if two answers cannot be used, BudgetReached, ModelError.
    """
    question = _DIALECTS[name].ask_description(image, language)

    def read(reply: str) -> caption.Captioned:
        text, alt = caption.prose(xcomposer.without_marks(reply))
        return caption.checked(text, alt, known, xcomposer.describe_in(language), in_language)

    return _put(speaker, question, read, 0)


# --- asking --------------------------------------------------------------------------------------------------------


def _put(
    speaker: Speaker,
    question: Question,
    read: Callable[[str], T],
    seed: int,
    on_text: Callable[[str], None] | None = None,
) -> T:
    """Ask, and read the answer; after an unreadable one ask once more, with sampling."""
    reply = _reply(speaker, question, seed, on_text)
    try:
        return read(reply)
    except UnreadableReply:
        fields = {k: v for k, v in question.fields.items() if k != "num_beams"}
        return read(_reply(speaker, replace(question, temperature=1.0, fields=fields), seed + 1, on_text))


def _reply(speaker: Speaker, question: Question, seed: int, on_text: Callable[[str], None] | None) -> str:
    return speaker.say(
        question.messages,
        on_text=on_text,
        max_tokens=question.max_tokens,
        temperature=question.temperature,
        stop=question.stop,
        seed=seed,
        fields=question.fields,
    )


# --- revising a paragraph: InternLM-XComposer2 -----------------------------------------------------------------------


def revise(task: str, text: str, hint: str, speaker: Speaker, seed: int) -> str:
    """Rewrite a paragraph. task: "expand", "shorten", or anything else to rewrite; hint: material to use.

    Raises UnreadableReply if two answers are empty, BudgetReached, ModelError.
    """
    if task == "shorten":
        question = xcomposer2.ask_shortening(text)
    else:
        question = (xcomposer2.ask_expansion if task == "expand" else xcomposer2.ask_rewriting)(text, hint)
    return _put(speaker, question, xcomposer2.read_edit, seed)


def insert(before: str, after: str, hint: str, speaker: Speaker, seed: int) -> str:
    """A new paragraph between two; hint: its outline. Raises as `revise`."""
    return _put(speaker, xcomposer2.ask_insertion(before, after, hint), xcomposer2.read_edit, seed)
