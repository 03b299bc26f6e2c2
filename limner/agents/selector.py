"""The selector: choose the candidate that fits the text and the images already chosen, or none."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from limner.agents.dialects import instruct
from limner.agents.speaker import Speaker
from limner.agents.spotter import window_of
from limner.document import Article, Candidate, Selection, Spot
from limner.errors import ModelRefused, UnreadableReply
from limner.lazy import lazy
from limner.notes import Note, note

if TYPE_CHECKING:
    from PIL import Image
else:  # only a model that sees needs it
    Image = lazy("PIL.Image")

SHOWN = 4  # candidates shown to a model; the paper's selector chooses among four (section 3.3, letters A to D)
# Chosen images shown as pixels; later ones go as captions. Servers limit the count, and keeping the first ones keeps
# the beginning of the prompts constant, and so cached.
SEEN_BEFORE = 6
ANSWER = 300  # tokens: a constrained answer takes ten, one in prose a sentence or two

# Weight of a choice in `arrange`: sure after one look, two looks that agree, two that disagree. Mainly their order
# matters; see tools/arrange.py.
SURE, AGREED, DISAGREED = 0.9, 1.0, 0.4


def select(
    article: Article,
    spot: Spot,
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[Spot, Candidate]],
    speaker: Speaker,
    pixels: Callable[[Candidate], str] | None,
    seed: int = 0,
) -> Selection:
    """Ask which of the best candidates fits; ask again in another order if the model is not sure.

    chosen: the choices for earlier spots, in reading order. pixels: gives an image as a data URL, None for a model that
    reads captions. `seed` shuffles the displayed order, so that no position is favoured. After two unreadable answers
    similarity decides, and the record says so. Raises BudgetReached, ModelError.
    """
    look = _Look(article, spot, list(candidates[:SHOWN]), chosen, speaker, pixels, seed)
    try:
        decided = _decided(look, "captions" if pixels is None else "pixels")
    except ModelRefused as refused:
        if pixels is None or refused.status not in (400, 413, 422):
            raise
        # Servers limit the number or size of images in a prompt (vLLM: --limit-mm-per-prompt); then use captions.
        reading = select(article, spot, candidates, chosen, speaker, None, seed)
        return reading.model_copy(update={"fallback": note("by-captions", line=refused.note)})
    return Selection(
        spot=spot, candidates=tuple(candidates), shown=tuple(look.shown), answers=tuple(look.answers), **decided
    )


def _decided(look: _Look, by: str) -> dict[str, Any]:
    """`choice`, `by`, `confidence` and `fallback` of a Selection, after one look or two."""
    picks: list[tuple[str | None, bool]] = []
    decided: dict[str, Any] = {"choice": None, "by": by, "confidence": DISAGREED, "fallback": Note("")}
    try:
        picks.append(look())
        if not picks[0][1] and len(look.best) > 1:
            picks.append(look())
        choice, confidence = _settle(picks, look.best)
    except UnreadableReply:
        if picks:
            return {**decided, "choice": picks[0][0], "fallback": note("choice-once")}
        return {**decided, "by": "similarity", "fallback": note("choice-unread")}
    return {**decided, "choice": choice, "confidence": confidence}


@dataclass
class _Look:
    """Shows one spot's candidates to the model, in a new order at each call."""

    article: Article
    spot: Spot
    best: list[Candidate]
    chosen: Sequence[tuple[Spot, Candidate]]
    speaker: Speaker
    pixels: Callable[[Candidate], str] | None
    seed: int
    shown: list[tuple[str, ...]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def __call__(self) -> tuple[str | None, bool]:
        """The chosen image id, None if none fits, and whether the model was sure. Raises UnreadableReply."""
        order = self._order()
        self.shown.append(tuple(c.image_id for c in order))
        images = [self.pixels(c) for c in order] if self.pixels else []
        earlier = _placed(self.article, self.chosen, self.pixels)
        window = window_of(self.article, self.spot.after)
        choice = self.speaker.ask(
            instruct.ask_choice(self.article, self.spot, order, earlier, images, window),
            lambda reply: self._read(reply, len(order)),
            schema=instruct.choice_schema(len(order)),
            max_tokens=ANSWER,
            seed=self.seed,
        )
        return None if choice.index is None else order[choice.index].image_id, choice.sure

    def _read(self, reply: str, count: int) -> instruct.Choice:
        self.answers.append(reply)
        return instruct.read_choice(reply, count)

    def _order(self) -> list[Candidate]:
        """A shuffle by the seed; the second one puts every candidate at another position."""
        rng = order_by(self.seed, self.spot)
        first = rng.sample(self.best, len(self.best))
        if not self.shown or len(first) < 2:
            return first
        shift = rng.randrange(1, len(first))
        return first[shift:] + first[:shift]


def order_by(seed: int, spot: Spot) -> random.Random:
    """The generator that shuffles a spot's candidates. The id of the spot stands in no prompt."""
    return random.Random(f"{seed} {spot.id}")


def turned(spot: Spot, candidates: Sequence[Candidate], seed: int) -> Spot:
    """The spot under an id by which the same seed first shows each candidate at another position; for two or more."""
    places = range(len(candidates[:SHOWN]))
    first = order_by(seed, spot).sample(places, len(places))
    for n in range(1000):
        other = spot.model_copy(update={"id": f"{spot.id} turned {n}"})
        order = order_by(seed, other).sample(places, len(places))
        if all(a != b for a, b in zip(first, order, strict=True)):
            return other
    raise ValueError("one candidate has one order")


def _settle(picks: list[tuple[str | None, bool]], best: list[Candidate]) -> tuple[str | None, float]:
    """One choice from one or two answers. If two disagree, the one with the higher retrieval rank; none ranks last."""
    if len(picks) == 1:
        return picks[0][0], SURE if picks[0][1] else DISAGREED
    first, second = picks[0][0], picks[1][0]
    if first == second:
        return first, AGREED
    ranks = [c.image_id for c in best]
    return min((p for p in (first, second) if p is not None), key=ranks.index), DISAGREED


def _placed(
    article: Article, chosen: Sequence[tuple[Spot, Candidate]], pixels: Callable[[Candidate], str] | None
) -> list[instruct.Placed]:
    return [
        instruct.Placed(
            number=article.number(spot.after) + 1,
            caption=candidate.description,
            image=pixels(candidate) if pixels and n < SEEN_BEFORE else "",
        )
        for n, (spot, candidate) in enumerate(chosen)
    ]


# --- does the model see? -------------------------------------------------------------------------------------------


def sees_images(speaker: Speaker) -> tuple[bool, str]:
    """Try the model with two tiny pictures, in both orders; return whether it sees, and the reason if not.

    Some servers accept image parts and silently drop them, so an accepted request proves nothing; a blind model gives
    the same answer in both orders.
    """
    answers = []
    for colours in (("red", "blue"), ("blue", "red")):
        content = [
            {"type": "text", "text": "Two pictures, each of one colour.\n1: "},
            instruct.image_part(_square(colours[0])),
            {"type": "text", "text": "\n2: "},
            instruct.image_part(_square(colours[1])),
            {"type": "text", "text": '\nWhich one is red? Answer {"image": 1} or {"image": 2}, nothing else.'},
        ]
        try:
            choice = speaker.ask(
                [HumanMessage(content)],
                lambda reply: instruct.read_choice(reply, 2),
                schema=_PROBE,
                max_tokens=200,
            )
        except UnreadableReply:
            return False, "asked which of two pictures is red it named neither"
        except ModelRefused as e:
            if e.status in _NOT_ABOUT_IMAGES:
                raise
            return False, e.answer
        answers.append(choice.index)
    if answers == [0, 1]:
        return True, ""
    return False, f"asked which of two pictures is red it named {_ordinal(answers[0])}, then {_ordinal(answers[1])}"


# A missing key, an exhausted quota or an overloaded gateway proves nothing. Other refusals count: servers without
# vision answer with 400 (vLLM), 404 (routers), 422 (TGI) or 500 (llama.cpp: "image input is not supported").
_NOT_ABOUT_IMAGES = (401, 403, 408, 429, 502, 503, 504)

_PROBE = {
    "type": "object",
    "properties": {"image": {"type": "integer", "enum": [1, 2]}},
    "required": ["image"],
    "additionalProperties": False,
}


def _ordinal(index: int | None) -> str:
    return "none" if index is None else ("the first", "the second")[index]


def _square(colour: str) -> str:
    out = BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
