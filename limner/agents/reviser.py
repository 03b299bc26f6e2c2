"""Ask a model to rewrite parts of an article, or to turn a free instruction into commands. Nothing is applied here.

Each function asks one model one question, so that many can run in parallel.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from limner.agents.dialects import commands, revise, steps
from limner.agents.dialects.commands import Command, Do
from limner.agents.dialects.revise import Block, Task
from limner.agents.families import xcomposer
from limner.agents.speaker import Speaker
from limner.agents.spotter import window_of
from limner.document import Article, Heading, Illustration, Paragraph

FREE, CLOSE = 0.7, 0.2  # temperatures for new text and for a translation


def revise_block(
    article: Article,
    block: Block,
    task: Task,
    speaker: Speaker,
    instruction: str = "",
    selection: tuple[int, int] | None = None,
    seed: int = 0,
) -> str:
    """Rewrite the block's Markdown. selection: only these characters of it.

    Raises UnreadableReply, BudgetReached, ModelError.
    """
    start, end = selection or (0, len(block.text))
    old = block.text[start:end]
    messages = revise.ask_block(article, block, task, instruction, _window(article, block), selection)
    new = speaker.ask(
        messages,
        lambda reply: revise.read_selection(reply, old) if selection else revise.read_block(reply, block),
        max_tokens=revise.tokens_for(old),
        temperature=FREE,
        seed=seed,
    )
    return block.text[:start] + new + block.text[end:] if selection else new


def revise_as_trained(
    block: Block, task: Task, speaker: Speaker, instruction: str, selection: tuple[int, int] | None, seed: int
) -> str:
    """Like `revise_block`, with InternLM-XComposer2, which reads only the text itself."""
    start, end = selection or (0, len(block.text))
    old = block.text[start:end]
    new = xcomposer.revise(task, old if selection else block.plain, instruction, speaker, seed)
    if not selection:
        return revise.read_block(new, block)
    return block.text[:start] + revise.read_selection(new, old) + block.text[end:]


def revise_alone(block: Block, do: Do, instruction: str, language: str, speaker: Speaker, seed: int = 0) -> str:
    """Put a block in other words, with nothing of the article around it: for small models. Raises as `revise_block`.

    do: shorten, expand, rewrite or translate; instruction: for translate a language's code. language: of the block.
    """
    return speaker.ask(
        steps.ask_text(do, block.text, instruction, language),
        lambda reply: revise.read_block(reply, block, keep_form=do == "translate"),
        max_tokens=steps.text_tokens_for(do, block.text),
        temperature=CLOSE,
        seed=seed,
    )


def write_alone(
    article: Article, before: Block | None, instruction: str, language: str, speaker: Speaker, seed: int = 0
) -> str:
    """A new paragraph, with nothing of the article but its title and the text before it: for small models."""
    return speaker.ask(
        steps.ask_paragraph(article.title, before.plain if before is not None else "", instruction, language),
        revise.read_paragraphs,
        max_tokens=steps.PARAGRAPH_TOKENS,
        temperature=FREE,
        seed=seed,
    )


def write_paragraph(
    article: Article, before: Block | None, after: Block | None, instruction: str, speaker: Speaker, seed: int = 0
) -> str:
    """A new paragraph between two blocks. Raises UnreadableReply, BudgetReached, ModelError."""
    near = before if before is not None else after
    window = _window(article, near) if near is not None else None
    return speaker.ask(
        revise.ask_paragraph(article, before, after, instruction, window),
        revise.read_paragraphs,
        max_tokens=1000,
        temperature=FREE,
        seed=seed,
    )


def write_as_trained(before: Block | None, after: Block | None, instruction: str, speaker: Speaker, seed: int) -> str:
    """Like `write_paragraph`, with InternLM-XComposer2, which reads only the two neighbours."""
    texts = [block.plain if block is not None else "" for block in (before, after)]
    return revise.read_paragraphs(xcomposer.insert(texts[0], texts[1], instruction, speaker, seed))


def restyle(article: Article, block: Block, before: str, instruction: str, speaker: Speaker) -> str:
    """A block in another tone; before: the text in front of it. Raises as `revise_block`."""
    return _same_form(revise.ask_restyled(article, block, before, instruction), block, speaker, FREE)


def translate(article: Article, block: Block, before: str, language: str, speaker: Speaker) -> str:
    """A block in another language, its Markdown as it was. Raises as `revise_block`."""
    return _same_form(revise.ask_translated(article, block, before, language), block, speaker, CLOSE)


def _same_form(messages: list[BaseMessage], block: Block, speaker: Speaker, temperature: float) -> str:
    """The block as the model answers it, in the form that it has."""
    return speaker.ask(
        messages,
        lambda reply: revise.read_block(reply, block, keep_form=True),
        max_tokens=revise.tokens_for(block.text),
        temperature=temperature,
    )


def translate_title(article: Article, language: str, speaker: Speaker) -> str:
    """The title in another language. Raises as `revise_block`."""
    return speaker.ask(revise.ask_title(article, language), revise.read_title, max_tokens=300, temperature=CLOSE)


def translate_image(article: Article, image: Illustration, language: str, speaker: Speaker) -> tuple[str, str]:
    """(caption, alternative text) in another language. Raises as `revise_block`."""
    return speaker.ask(
        revise.ask_described(article, image, language),
        lambda reply: revise.read_described(reply, image),
        schema=revise.described_schema(),
        max_tokens=revise.tokens_for(image.caption + image.alt),
        temperature=CLOSE,
    )


def understand(article: Article, instruction: str, speaker: Speaker) -> tuple[list[Command], str]:
    """A free instruction as commands, and what cannot be done of it. Raises as `revise_block`."""
    return speaker.ask(
        commands.ask_commands(article, instruction),
        lambda reply: commands.read_commands(reply, article),
        schema=commands.commands_schema(len(article.body), len(article.illustrations)),
        max_tokens=commands.ANSWER_TOKENS,
    )


def _window(article: Article, block: Block) -> Sequence[Paragraph] | None:
    """The paragraphs shown around a block; for a heading, those around the paragraph under it."""
    if not article.paragraphs:
        return None
    if isinstance(block, Paragraph):
        return window_of(article, block.id)
    seen = False
    for other in article.body:
        seen = seen or other.id == block.id
        if seen and isinstance(other, Paragraph):
            return window_of(article, other.id)
    return window_of(article, article.paragraphs[-1].id)


def revisable(block: Block) -> str:
    """Why a model cannot revise a block, "" if it can."""
    if not isinstance(block, Heading | Paragraph):
        return "code, tables and HTML are left as they are"
    return "it holds an image of its own, which a model would lose" if revise.has_image(block.text) else ""
