"""Define how each role asks each of the four families of models that limner knows.

`dialects/` words each task and reads its answer; the roles' files ask; this file assigns them to families.
`Dialect` itself serves models that follow instructions. A package can add another: docs/plugins.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from limner.agents import captioner, reviser, selector, spotter, writer
from limner.agents.dialects import outline as outlines
from limner.agents.families import xcomposer
from limner.errors import BadInput

if TYPE_CHECKING:
    from limner.agents.dialects.caption import Captioned, InLanguage, Known
    from limner.agents.dialects.revise import Block, Task
    from limner.agents.speaker import Speaker
    from limner.document import Article, Brief, Candidate, Selection, Spot

Pixels = Callable[["Candidate"], str]
"""(library image) -> data URL, for a prompt."""
Similarity = Callable[[Sequence[str], Sequence[str]], Any]
"""Texts (n), texts (m) -> cosines (n, m) in [-1, 1]."""


class Dialect:
    """Models that follow instructions. A family overrides only the methods in which it differs.

    A dialect keeps no state: one object serves all jobs and threads.
    """

    judges = True
    """Whether these models decide where images belong and which one fits. Otherwise similarity to the text decides."""
    sees: bool | None = None
    """Whether these models see images; None tests each model with two tiny pictures."""
    shows_references = True
    """Whether a writer that sees gets the brief's reference images."""
    outlines = True
    """Whether the writer can make an outline for review."""
    follows = True
    """Whether these models follow free instructions."""
    checks = True
    """Whether these models, if they see, can say whether a picture shows what a caption says."""
    captions_in: tuple[str, ...] = ()
    """Languages that these models describe pictures in, as first parts of BCP 47 codes; none named means any."""

    def write(
        self,
        brief: Brief,
        speaker: Speaker,
        emit: Callable[[str], None],
        images: Sequence[str],
        similarity: Similarity,
    ) -> Article:
        """Write the article; `emit` gets its Markdown as it grows. images: data URLs of the brief's images, if shown.

        Raises UnreadableReply if two answers have no paragraph, BudgetReached, ModelError.
        """
        return writer.write(brief, speaker, emit, reference_images=images)

    def outline(self, brief: Brief, speaker: Speaker, before: str, instruction: str, similarity: Similarity) -> str:
        """An outline as Markdown headings and lists. before, instruction: an earlier one, and the change to make."""
        return writer.outline(brief, speaker, before, instruction)

    def outlined(self, brief: Brief, outline: str) -> Brief:
        """The brief with an outline to follow."""
        return outlines.outlined(brief, outline)

    def spot(self, article: Article, speaker: Speaker, brief: Brief, instruction: str) -> list[Spot]:
        """Propose places for images, in reading order, more than will be kept. instruction: a person's, or "".

        Raises UnreadableReply if two answers cannot be read; the caller then takes places from the text alone.
        """
        return spotter.spot(article, speaker, brief.images, brief.seed, instruction)

    def select(
        self,
        article: Article,
        spot: Spot,
        candidates: Sequence[Candidate],
        chosen: Sequence[tuple[Spot, Candidate]],
        speaker: Speaker,
        pixels: Pixels | None,
        seed: int,
    ) -> Selection:
        """Select one of the candidates (best first), or none. chosen: those of earlier spots. pixels: None for a blind
        model."""
        return selector.select(article, spot, candidates, chosen, speaker, pixels, seed)

    def describe(self, image: str, known: Known, language: str, speaker: Speaker, in_language: InLanguage) -> Captioned:
        """A caption and an alternative text for a picture of a library; see `captioner.describe`."""
        return captioner.describe(image, known, language, speaker, in_language)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """Raises BadInput if the model called `name` cannot do `what`, e.g. "translate".

        one_paragraph: the task concerns a single paragraph.
        """

    def revise(
        self,
        article: Article,
        block: Block,
        task: Task,
        speaker: Speaker,
        *,
        instruction: str = "",
        selection: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> str:
        """Rewrite a block's Markdown; selection: only these characters of it."""
        return reviser.revise_block(article, block, task, speaker, instruction, selection, seed)

    def insert(
        self, article: Article, before: Block | None, after: Block | None, instruction: str, speaker: Speaker, seed: int
    ) -> str:
        """A new paragraph between two blocks."""
        return reviser.write_paragraph(article, before, after, instruction, speaker, seed)


class Small(Dialect):
    """Text models under one billion parameters, which write one checked sentence at a time and judge nothing."""

    judges = follows = sees = shows_references = checks = False

    def write(self, brief: Brief, speaker: Speaker, emit: Any, images: Any, similarity: Similarity) -> Article:
        """Write sentence by sentence."""
        from limner.agents.families.small import write_in_steps  # imports numpy, which no other family needs

        return write_in_steps(brief, speaker, emit, similarity)

    def outline(self, brief: Brief, speaker: Speaker, before: str, instruction: str, similarity: Similarity) -> str:
        """The headings that the writer would follow."""
        from limner.agents.families import small

        return small.outline(brief, speaker, similarity)

    def outlined(self, brief: Brief, outline: str) -> Brief:
        """The outline as the brief."""
        return outlines.outlined_alone(brief, outline)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """Raises BadInput: a small model revises nothing."""
        raise BadInput(f"{name or 'The model'} is too small to {what}. {_LARGER}")


class Trained(Dialect):
    """InternLM-XComposer, version 1 or 2, with the prompts of its training."""

    outlines = follows = checks = False
    captions_in = ("en", "zh")
    sees = True  # the probe's words are outside their training; a server without images refuses by itself

    def __init__(self, name: xcomposer.Trained) -> None:
        self.name: xcomposer.Trained = name
        self.shows_references = xcomposer.sees_brief_images(name)

    def write(self, brief: Brief, speaker: Speaker, emit: Any, images: Sequence[str], similarity: Any) -> Article:
        """As trained."""
        return xcomposer.write(brief, speaker, emit, self.name, images)

    def outline(self, brief: Brief, speaker: Speaker, before: str, instruction: str, similarity: Similarity) -> str:
        """Always "": these models make no outline."""
        return ""

    def spot(self, article: Article, speaker: Speaker, brief: Brief, instruction: str) -> list[Spot]:
        """Ask for places, then for a caption for each."""
        return xcomposer.spot(article, speaker, brief.images, brief.seed, self.name)

    def select(
        self, article: Any, spot: Any, candidates: Any, chosen: Any, speaker: Any, pixels: Pixels | None, seed: int
    ) -> Selection:
        """Select one of four by looking."""
        if not pixels:
            return xcomposer.unseen(spot, candidates)
        return xcomposer.select(article, spot, candidates, chosen, speaker, pixels, seed, self.name)

    def describe(self, image: str, known: Known, language: str, speaker: Speaker, in_language: Any) -> Captioned:
        """As trained."""
        return xcomposer.describe(image, known, language, speaker, in_language, self.name)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """Raises BadInput, except for one paragraph with version 2."""
        if self.name == "xcomposer" or not one_paragraph:
            raise BadInput(f"{name or 'The model'} was not trained to {what}. {_LARGER}")

    def revise(
        self,
        article: Article,
        block: Block,
        task: Task,
        speaker: Speaker,
        *,
        instruction: str = "",
        selection: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> str:
        """As version 2 was trained."""
        return reviser.revise_as_trained(block, task, speaker, instruction, selection, seed)

    def insert(self, article: Any, before: Any, after: Any, instruction: str, speaker: Speaker, seed: int) -> str:
        """As version 2 was trained."""
        return reviser.write_as_trained(before, after, instruction, speaker, seed)


_LARGER = "Set LIMNER_MODEL_URL (or --model-url) to the server of an instruction-tuned model."

BUILT_IN: dict[str, Dialect] = {
    "instruct": Dialect(),
    "small": Small(),
    "xcomposer": Trained("xcomposer"),
    "xcomposer2": Trained("xcomposer2"),
}
"""Dialects by the names that LIMNER_DIALECT and `dialects.dialect_for` use."""
