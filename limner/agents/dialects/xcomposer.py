"""The prompts that InternLM-XComposer (arXiv 2309.15112) was trained on: each `ask_*` beside its `read_*`.

The released models expect these Chinese sentences, whatever the article's language; other words or another order are
outside their training. An article is a list of sections, numbered from 0; here a section is a paragraph. Settings are
those of the published demo. `limner-model-server` understands the fields beyond OpenAI's (beams, a repetition penalty,
a finished prompt); most other servers ignore them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from limner.agents.dialects.instruct import MAX_CAPTION, MAX_PARAGRAPH, image_part, is_chinese, language_of
from limner.agents.prompts import whole_characters
from limner.document import Article, Brief, Paragraph, read_markdown
from limner.errors import UnreadableReply

SEES_BRIEF_IMAGES = False  # the writer was trained on a title alone
READS_SOURCES = False
WINDOW_TOKENS = 1000  # tokens of sections per prompt; 2 048 positions also hold ten images of 66 rows and the answer
SEEN_BEFORE = 6  # earlier images shown to the selector
MAX_LINES = 60
LETTERS = "ABCD"

_MARK = re.compile(r"<(?=/?s>|unk>|TOKENS_UNUSED_|ImageHere>|0x[0-9A-F]{2}>)|\[(?=UNUSED_TOKEN_)")

JOINED: dict[str, Any] = {"chat_template_kwargs": {"joined": True}}
"""For limner-model-server: tokenise the question together with the mark behind it, unlike in a chat."""

Content = list[str | dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """One call: its prompt and settings."""

    messages: list[BaseMessage]
    max_tokens: int
    temperature: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)
    """Request fields besides OpenAI's."""
    stop: list[str] | None = None


# --- writing -------------------------------------------------------------------------------------------------------


def ask_article(brief: Brief, reference_images: Sequence[str] = ()) -> Question:
    """Ask for an article from a title or an instruction. reference_images: unused by this model."""
    text = f"根据给定标题写一个图文并茂，不重复的文章：{one_line(titled(brief))}"
    return Question([HumanMessage(text)], 1000, fields={"num_beams": 5, "repetition_penalty": 5.0, **JOINED})


def titled(brief: Brief) -> str:
    """The brief's text, with "in English" for English articles, as in the training."""
    english = (brief.language or "").lower().startswith("en")
    return brief.text.strip() + (" in English" if english else "")


def read_article(reply: str, brief: Brief) -> Article:
    """Read the reply's lines as paragraphs, under the brief's title if it has one. Raises UnreadableReply without
    any."""
    lines = [line.strip() for line in without_marks(reply).split("\n") if line.strip()][:MAX_LINES]
    markdown = heading(brief) + "\n\n".join(lines) + "\n"
    article = read_markdown(markdown, language=language_of(brief) or ("zh" if is_chinese(reply) else "en"))
    if not article.paragraphs:
        raise UnreadableReply("There is no paragraph in that. Write the article.")
    return article


def heading(brief: Brief) -> str:
    """The brief as a first heading, "" if it is longer than a title."""
    title = one_line(brief.text)
    shown = re.sub(r"([\\`*_\[\]<>&~|#])", r"\\\1", title)
    return f"# {shown}\n\n" if 0 < len(title) <= 80 and "\n" not in brief.text.strip() else ""


# --- spotting ------------------------------------------------------------------------------------------------------


def ask_locations(sections: Sequence[Paragraph], count: int | None) -> Question:
    """Ask after which sections an image fits. count: how many; None leaves it to the model."""
    question = f'给定文章"{numbered(sections)}" 根据上述文章，选择适合插入图像的{count or ""}行 '
    messages = [HumanMessage(question), AIMessage("适合插入图像的行是")]
    return Question(messages, 300, fields={"num_beams": 5, **JOINED})


def read_locations(reply: str, count: int) -> list[int]:
    """Read distinct positions among `count` sections, in reading order. Raises UnreadableReply if none is named."""
    named = [int(n) for n in re.findall(r"<Seg(\d{1,4})>", reply)]
    found = sorted({n for n in named if n < count})
    if not found:
        raise UnreadableReply(f"No section from <Seg0> to <Seg{count - 1}> is named.")
    return found


def ask_caption(sections: Sequence[Paragraph], place: int, past: Sequence[tuple[int, str]]) -> Question:
    """Ask what the image after a section should show. past: the places and captions so far, in order."""
    question = (
        f' 给定文章"{numbered(sections[: place + 2])}" {listed(past)}给出适合在<Seg{place}>后插入的图像对应的标题。 '
    )
    messages = [HumanMessage(question), AIMessage(' 标题是"')]
    return Question(messages, 100, fields={"repetition_penalty": 5.0, **JOINED}, stop=['"'])


def listed(past: Sequence[tuple[int, str]]) -> str:
    """The captions so far, in the form that the next question repeats."""
    parts = [f'<Seg{place}>后插入图像对应的标题是"{caption}"' for place, caption in past]
    return f"现在{'， '.join(parts)}。" if parts else ""


def read_caption(reply: str) -> str:
    """Read the text before the first quotation mark, one line. Raises UnreadableReply if it is empty."""
    caption = one_line(without_marks(reply).split('"')[0])[:MAX_CAPTION]
    if not re.search(r"\w", caption):
        raise UnreadableReply("There is no caption in that.")
    return caption


# --- selecting -----------------------------------------------------------------------------------------------------


def ask_choice(
    sections: Sequence[Paragraph], place: int, candidates: Sequence[str], placed: Sequence[tuple[int, str]] = ()
) -> Question:
    """Ask which candidate fits after a section, given the text so far and the images chosen for it.

    candidates: data URLs, at most four. placed: place and data URL of earlier images, in reading order. The prompt is
    finished text, because the training had its marks twice.
    """
    content: Content = ["  <|User|>:根据给定上下文和候选图像，选择合适的配图："]
    content += blocks(sections, place, placed, plain)
    content += ["\n\n候选图像包括: ", *lettered(candidates), "\n"]
    content.append("\n<TOKENS_UNUSED_0> <TOKENS_UNUSED_0> <|Bot|>:最合适的图是")
    return Question([message(content)], 9, fields={"num_beams": 5, "chat_template_kwargs": {"raw": True}})


def read_choice(reply: str, count: int) -> int:
    """Read the index of the candidate whose letter begins the reply. Raises UnreadableReply for anything else."""
    found = re.match(r"[\s:：]*([A-D])", without_marks(reply))
    if not found or LETTERS.index(found[1]) >= count:
        raise UnreadableReply(f"The answer is a letter from A to {LETTERS[count - 1]}.")
    return LETTERS.index(found[1])


# --- captions of pictures --------------------------------------------------------------------------------------------


def ask_description(image: str, language: str) -> Question:
    """Ask for a description of one picture, in Chinese or English. image: data URL."""
    fields = {"num_beams": 5, "repetition_penalty": 1.5}  # those of the published `chat`
    return Question([message([image_part(image), describe_in(language)])], 500, fields=fields)


def describe_in(language: str) -> str:
    """The published question, for both models."""
    return "请详细描述这张图片。" if language.lower().startswith("zh") else "Please describe this image in detail."


# --- parts of prompts, for both models -----------------------------------------------------------------------------


def section(paragraph: Paragraph) -> str:
    """A section's text on one line."""
    return one_line(paragraph.plain)[:MAX_PARAGRAPH]


def plain(paragraph: Paragraph) -> str:
    """A section in a finished prompt, where the model's special tokens would count."""
    return _MARK.sub(r"\g<0> ", section(paragraph))


def numbered(sections: Sequence[Paragraph]) -> str:
    """Sections with their numbers, one per line."""
    return "".join(f"<Seg{n}> {section(p)}\n" for n, p in enumerate(sections))


def blocks(sections: Sequence[Paragraph], place: int, placed: Sequence[tuple[int, str]], text: Any) -> Content:
    """The sections up to `place`, with earlier images after theirs. text: gives a section's text."""
    content: Content = []
    images: dict[int, list[str]] = {}
    for n, url in placed:
        images.setdefault(n, []).append(url)
    for n, paragraph in enumerate(sections[: place + 1]):
        content.append(text(paragraph) + "\n")
        content += [image_part(url) for url in images.get(n, [])]
    return content


def lettered(candidates: Sequence[str]) -> Content:
    """`A.` and its image, and so on, one per line, without a final line end."""
    content: Content = []
    for n, url in enumerate(candidates):
        content += [("\n" if n else "") + f"{LETTERS[n]}.", image_part(url)]
    return content


def message(content: Content) -> HumanMessage:
    """Text and images as one message, with adjacent texts joined."""
    parts: Content = []
    for part in content:
        if not isinstance(part, str):
            parts.append(part)
        elif parts and isinstance(parts[-1], dict) and parts[-1]["type"] == "text":
            parts[-1] = {"type": "text", "text": parts[-1]["text"] + part}
        elif part:
            parts.append({"type": "text", "text": part})
    return HumanMessage(parts)


def one_line(text: str) -> str:
    """Text with runs of white space reduced to one space."""
    return " ".join(whole_characters(text).split())


def without_marks(reply: str) -> str:
    """A reply up to its end token, without other special tokens."""
    reply = whole_characters(reply).split("<TOKENS_UNUSED_1>")[0]
    return re.sub(r"\[UNUSED_TOKEN_14[56]\]|<TOKENS_UNUSED_0>|</?s>", "", reply)
