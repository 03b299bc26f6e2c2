"""The prompts of InternLM-XComposer2 (arXiv 2401.16420), and its edits of paragraphs. See xcomposer.py.

Most prompts are those of the first model. This one takes free instructions with images and material, samples instead of
using beams, and needs no special tokens in a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from limner.agents.dialects.instruct import image_part
from limner.agents.dialects.xcomposer import (
    LETTERS,
    Content,
    Question,
    blocks,
    describe_in,
    heading,
    lettered,
    listed,
    message,
    numbered,
    one_line,
    read_article,
    read_caption,
    read_choice,
    read_locations,
    section,
    titled,
    without_marks,
)
from limner.agents.prompts import text_tokens
from limner.document import Brief, Paragraph
from limner.errors import UnreadableReply

__all__ = [
    "LETTERS",
    "READS_SOURCES",
    "SEEN_BEFORE",
    "SEES_BRIEF_IMAGES",
    "WINDOW_TOKENS",
    "ask_article",
    "ask_caption",
    "ask_choice",
    "ask_description",
    "ask_expansion",
    "ask_insertion",
    "ask_locations",
    "ask_rewriting",
    "ask_shortening",
    "heading",
    "read_article",
    "read_caption",
    "read_choice",
    "read_edit",
    "read_locations",
]

SEES_BRIEF_IMAGES = True
READS_SOURCES = True
WINDOW_TOKENS = 1400  # tokens; of 4 096 trained positions four candidates and four earlier images take 2 048
SEEN_BEFORE = 4
SAMPLING = {"top_p": 0.8, "top_k": 40, "repetition_penalty": 1.005}
EDIT_TOKENS = 500  # tokens of prompt and answer together


def ask_article(brief: Brief, reference_images: Sequence[str] = ()) -> Question:
    """Ask for an article from an instruction, followed by its material. reference_images: data URLs, in front of it."""
    parts = [titled(brief), *(f"{source.name}：{source.text.strip()}" for source in brief.sources)]
    images: Content = []
    for n, url in enumerate(reference_images):
        images += [" "] if n else []
        images.append(image_part(url))
    return Question([message([*images, "\n".join(parts)])], 4096, 1.0, SAMPLING)


def ask_locations(sections: Sequence[Paragraph], count: int | None, images: Sequence[str] = ()) -> Question:
    """Like xcomposer.py's; images: data URLs of the article's reference images."""
    content: Content = []
    for url in images:
        content += [image_part(url), " "]
    content.append(f'给定文章"{numbered(sections)}" 根据上述文章，选择适合插入图像的{count or ""}行')
    return Question([message(content), AIMessage("适合插入图像的行是")], 200, 1.0, SAMPLING)


def ask_caption(sections: Sequence[Paragraph], place: int, past: Sequence[tuple[int, str]]) -> Question:
    """As in xcomposer.py."""
    question = (
        f'给定文章"{numbered(sections[: place + 2])}" {listed(past)}给出适合在<Seg{place}>后插入的图像对应的标题。'
    )
    return Question([HumanMessage(question), AIMessage('标题是"')], 200, 1.0, SAMPLING, stop=['"'])


def ask_choice(
    sections: Sequence[Paragraph], place: int, candidates: Sequence[str], placed: Sequence[tuple[int, str]] = ()
) -> Question:
    """Like xcomposer.py's, but as an ordinary message."""
    content: Content = ["根据给定上下文和候选图像，选择合适的配图："]
    content += blocks(sections, place, placed, section)
    content += ["候选图像包括: ", *lettered(candidates)]
    return Question([message(content), AIMessage("最合适的图是")], 10, 1.0, SAMPLING)


def ask_description(image: str, language: str) -> Question:
    """Like xcomposer.py's, with the published settings: no sampling."""
    return Question([message([image_part(image), describe_in(language)])], 500, fields={"repetition_penalty": 1.005})


# --- editing a paragraph -------------------------------------------------------------------------------------------


def ask_expansion(text: str, hint: str) -> Question:
    """Ask for a longer form of a paragraph. hint: material to use, may be empty."""
    return _edit(f"扩写以下段落：{one_line(text)}\n基于以下素材：{one_line(hint)}")


def ask_rewriting(text: str, hint: str) -> Question:
    """Ask for a paragraph in other words. hint: material to use, may be empty."""
    return _edit(f"改写以下段落：{one_line(text)}\n基于以下素材：{one_line(hint)}")


def ask_shortening(text: str) -> Question:
    """Ask for a shorter form of a paragraph."""
    return _edit(f"缩写以下段落：{one_line(text)}")


def ask_insertion(before: str, after: str, hint: str) -> Question:
    """Ask for a new paragraph between two. hint: its outline."""
    before, after, hint = one_line(before), one_line(after), one_line(hint)
    return _edit(f"在以下两段中插入一段。\n第一段：{before}\n第二段：{after}\n插入段的大纲：{hint}")


def read_edit(reply: str) -> str:
    """Read the paragraph as one line. Raises UnreadableReply if it is empty."""
    text = one_line(without_marks(reply))
    if not text:
        raise UnreadableReply("There is no paragraph in that.")
    return text


def _edit(prompt: str) -> Question:
    # The demo gives the answer the rest of 500 tokens; a long paragraph needs more.
    room: Any = max(EDIT_TOKENS - round(text_tokens(prompt)), EDIT_TOKENS // 5)
    return Question([HumanMessage(prompt)], room, 1.0, SAMPLING)
