"""What a family of models is asked for, role by role: the four families that limner knows, and what others start from.

`dialects/` words a task and reads its answer, the roles' files ask; here stands which of them a family's models get.
`Dialect` itself is that of models that follow instructions. A package adds one of its own: docs/plugins.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from limner.agents import reviser, selector, spotter, writer
from limner.agents.dialects import outline as outlines
from limner.agents.families import xcomposer
from limner.errors import BadInput

if TYPE_CHECKING:
    from limner.agents.dialects.revise import Block, Task
    from limner.agents.speaker import Speaker
    from limner.document import Article, Brief, Candidate, Selection, Spot

Pixels = Callable[["Candidate"], str]
"""An image as a data URL, for a prompt."""
Similarity = Callable[[Sequence[str], Sequence[str]], Any]
"""Texts (n), texts (m) -> cosines (n, m) in [-1, 1]."""


class Dialect:
    """Models that follow instructions. A family that differs in something overrides that method, and no other.

    A dialect keeps nothing between calls: one object serves all jobs and threads.
    """

    judges = True
    """Whether these models say where images belong, and which one fits. Else text and similarity decide."""
    sees: bool | None = None
    """Whether these models see images; None has each model tried with two tiny pictures."""
    shows_references = True
    """Whether a writer that sees is shown the images that were handed in with the brief."""
    outlines = True
    """Whether the writer makes an outline first, where a person wants to review one."""
    follows = True
    """Whether these models take a person's free instructions."""

    def write(
        self,
        brief: Brief,
        speaker: Speaker,
        emit: Callable[[str], None],
        images: Sequence[str],
        similarity: Similarity,
    ) -> Article:
        """The article; `emit` gets its Markdown as it grows. images: data URLs of the brief's, if they are shown.

        Raises UnreadableReply where two answers hold no paragraph, BudgetReached, ModelError.
        """
        return writer.write(brief, speaker, emit, reference_images=images)

    def outline(self, brief: Brief, speaker: Speaker, before: str, wish: str, similarity: Similarity) -> str:
        """What the article shall cover, as Markdown headings and lists. before, wish: an earlier one, changed how."""
        return writer.outline(brief, speaker, before, wish)

    def outlined(self, brief: Brief, outline: str) -> Brief:
        """The brief with an outline to write to."""
        return outlines.outlined(brief, outline)

    def spot(self, article: Article, speaker: Speaker, brief: Brief, wish: str) -> list[Spot]:
        """Where images belong, in reading order, more places than will be kept. wish: a person's, or "".

        Raises UnreadableReply where two answers cannot be read: places then come from the text alone.
        """
        return spotter.spot(article, speaker, brief.images, brief.seed, wish)

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
        """One of the candidates, best first, or none. chosen: for earlier spots. pixels: None for a blind model."""
        return selector.select(article, spot, candidates, chosen, speaker, pixels, seed)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """Raises BadInput where the model called `name` cannot do what is wished, e.g. "translate".

        one_paragraph: it is about one paragraph alone.
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
        """A block's Markdown in other words; selection: only these characters of it."""
        return reviser.revise_block(article, block, task, speaker, instruction, selection, seed)

    def insert(
        self, article: Article, before: Block | None, after: Block | None, instruction: str, speaker: Speaker, seed: int
    ) -> str:
        """A new paragraph between two blocks."""
        return reviser.write_paragraph(article, before, after, instruction, speaker, seed)


class Small(Dialect):
    """Text models under one billion parameters: they write a checked sentence at a time, and judge nothing."""

    judges = follows = sees = shows_references = False

    def write(self, brief: Brief, speaker: Speaker, emit: Any, images: Any, similarity: Similarity) -> Article:
        """Sentence by sentence."""
        from limner.agents.families.small import write_in_steps  # with numpy, which no other family needs

        return write_in_steps(brief, speaker, emit, similarity)

    def outline(self, brief: Brief, speaker: Speaker, before: str, wish: str, similarity: Similarity) -> str:
        """The headings that would be written to."""
        from limner.agents.families import small

        return small.outline(brief, speaker, similarity)

    def outlined(self, brief: Brief, outline: str) -> Brief:
        """The outline as the brief."""
        return outlines.outlined_alone(brief, outline)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """Nothing of the kind."""
        raise BadInput(f"{name or 'The model'} is too small to {what}. {_LARGER}")


class Trained(Dialect):
    """InternLM-XComposer, version 1 or 2, asked in the sentences it was trained with."""

    outlines = follows = False
    sees = True  # the probe's words are not theirs; a server that takes no images says so

    def __init__(self, name: xcomposer.Trained) -> None:
        self.name: xcomposer.Trained = name
        self.shows_references = xcomposer.sees_brief_images(name)

    def write(self, brief: Brief, speaker: Speaker, emit: Any, images: Sequence[str], similarity: Any) -> Article:
        """As trained."""
        return xcomposer.write(brief, speaker, emit, self.name, images)

    def outline(self, brief: Brief, speaker: Speaker, before: str, wish: str, similarity: Similarity) -> str:
        """None."""
        return ""

    def spot(self, article: Article, speaker: Speaker, brief: Brief, wish: str) -> list[Spot]:
        """Places, then a caption for each."""
        return xcomposer.spot(article, speaker, brief.images, brief.seed, self.name)

    def select(
        self, article: Any, spot: Any, candidates: Any, chosen: Any, speaker: Any, pixels: Pixels | None, seed: int
    ) -> Selection:
        """One of four, by looking."""
        if not pixels:
            return xcomposer.unseen(spot, candidates)
        return xcomposer.select(article, spot, candidates, chosen, speaker, pixels, seed, self.name)

    def require(self, name: str, what: str, *, one_paragraph: bool = False) -> None:
        """One paragraph, and that from version 2 on."""
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
"""By the names that LIMNER_DIALECT and `dialects.dialect_for` know them by."""
