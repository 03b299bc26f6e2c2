"""Check what a composition starts from: the brief, its sources, a draft."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from limner.document import (
    POINTS,
    Article,
    Brief,
    Point,
    Source,
    read_markdown,
)
from limner.errors import BadInput
from limner.markdown import front_matter
from limner.notes import note
from limner.text import printable
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library.filters import Filters
from limner.tools.plugins import find

MAX_BRIEF = 200_000  # characters; about 50 000 tokens, more than servers' contexts take


MAX_DRAFT = 4 * MAX_BRIEF  # characters


MAX_IMAGES = 100  # in one article


MAX_GENERATED = Brief.model_fields["max_generated"].default  # of them generated, by default


Start = dict[str, Any]
"""The keys of `ComposeState` at the start of a run: a brief and, to illustrate, an article."""


Images = int | Literal["auto"]


def make_brief(
    text: str,
    *,
    images: Images = "auto",
    language: str | None = None,
    seed: int = 0,
    sources: Sequence[str | Path | Source] = (),
    review: Sequence[str] = (),
    generate: str = "",
    max_generated: int = MAX_GENERATED,
    check: bool | None = None,
    only: Sequence[str] = (),
) -> Brief:
    """A checked Brief. Raises BadInput with one line for an empty or oversized one, a count out of range, or what is no
    filter."""
    text = printable(text).strip()
    if not any(c.isalnum() for c in text):
        raise BadInput(note("brief-empty"))
    if len(text) > MAX_BRIEF:
        raise BadInput(
            f"The brief has {len(text):,} characters, more than {MAX_BRIEF:,}. Give long material with --source."
        )
    if images != "auto" and not 0 <= images <= MAX_IMAGES:
        raise BadInput(f"--images {images} is out of range. Give a number from 0 to {MAX_IMAGES}, or auto.")
    if not 0 <= max_generated <= MAX_IMAGES:
        raise BadInput(f"--max-generated {max_generated} is out of range. Give a number from 0 to {MAX_IMAGES}.")
    if generate:
        find("generator", generate)
    return Brief(
        text=text,
        images=images,
        language=language_code(language),
        seed=seed,
        sources=tuple(s if isinstance(s, Source) else read_source(Path(s)) for s in sources),
        review=read_points(review),
        generate=generate,
        max_generated=max_generated,
        check=check,
        only=Filters.read(only).texts,
    )


def read_points(points: Sequence[str], known: Sequence[Point] = POINTS) -> tuple[Point, ...]:
    """Review points in the order of the graph. Raises BadInput for an unknown one."""
    if unknown := [p for p in points if p not in known]:
        raise BadInput(note("no-review-point", point=str(unknown[0])[:40], points=list(known)))
    return tuple(p for p in known if p in points)


def language_code(code: str | None) -> str | None:
    """A BCP 47 code without spaces around it, None for an empty one. Raises BadInput."""
    if code is None or not code.strip():
        return None
    code = code.strip()
    parts = code.split("-")
    if not (2 <= len(parts[0]) <= 3 and all(p.isascii() and p.isalnum() and len(p) <= 8 for p in parts)):
        raise BadInput(f"{code[:40]!r} is not a language code. Write e.g. --language en, de or zh.")
    return code


def read_source(path: Path) -> Source:
    """A text file as material. Raises BadInput if it is missing, too long or not text."""
    return Source(name=path.name, text=printable(read_text(path).strip()))


def read_text(path: Path) -> str:
    """A text file with its line ends as they are. Raises BadInput if it is missing, too long or not UTF-8 text."""
    try:
        if path.stat().st_size > 4 * MAX_DRAFT:  # UTF-8 has at most four bytes for a character
            raise BadInput(f"{path} is larger than {4 * MAX_DRAFT:,} bytes. Give a shorter text.")
        data = path.read_bytes()
    except OSError as e:
        raise BadInput(f"{path} cannot be read ({e.strerror}). Check the name.") from e
    if b"\0" in data[:8192]:
        raise BadInput(f"{path} is not a text file. Give Markdown or plain text.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise BadInput(
            f"{path} is not UTF-8 at byte {e.start}. Convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name}."
        ) from e
    if len(text) > MAX_DRAFT:
        raise BadInput(f"{path} has {len(text):,} characters, more than {MAX_DRAFT:,}. Give a shorter text.")
    return text


def read_words(words: str) -> str:
    """An instruction as printable text. Raises BadInput if nothing is left of it."""
    text = printable(words).strip()
    if not text:
        raise BadInput("The text is empty. Say in words what you want.")
    return text


def draft_state(
    draft: str | Path,
    *,
    images: Images = "auto",
    language: str | None = None,
    seed: int = 0,
    review: Sequence[str] = (),
    generate: str = "",
    max_generated: int = MAX_GENERATED,
    check: bool | None = None,
    only: Sequence[str] = (),
) -> Start:
    """The state that `illustrate` starts from. Raises BadInput for a draft without a paragraph.

    language: a BCP 47 code; None takes the front matter's, else the detected language, else "und".
    """
    text = read_text(draft) if isinstance(draft, Path) else draft
    if len(text) > MAX_DRAFT:
        raise BadInput(
            f"The draft has {len(text):,} characters, more than {MAX_DRAFT:,}. Illustrate its parts one by one."
        )
    named = f"Illustrate {draft.name if isinstance(draft, Path) else 'the text'}."
    points = read_points(review, [p for p in POINTS if p != "outline"])  # its text exists already
    about: dict[str, Any] = {"images": images, "seed": seed, "review": points}
    brief = make_brief(named, **about, generate=generate, max_generated=max_generated, check=check, only=only)
    article = read_markdown(text, language=language_code(language) or "")
    if not article.paragraphs:
        raise BadInput(note("no-paragraph"))
    title = article.title or (draft.stem if isinstance(draft, Path) else "")
    made_with = {"draft": True, "language": "given"}
    article = article.model_copy(update={"title": title, "made_with": made_with})
    if isinstance(draft, Path):
        from limner.exports.shown import shown_ids

        article = article.model_copy(update={"shows": shown_ids(article, draft.parent)})
    return {"brief": brief, "article": article if language or _says_language(text) else _in_its_language(article)}


def _says_language(text: str) -> bool:
    return bool(front_matter.read(text).language)


def _in_its_language(article: Article) -> Article:
    """The article with its detected language, and a note if none was found."""
    code, confidence = language_of([b.plain for b in article.body])
    made_with = {**article.made_with, "language": {"found": code, "confidence": confidence}}
    found = article.model_copy(update={"language": code, "made_with": made_with})
    if code != UNKNOWN:
        return found
    return found.noted(note("language-unknown"))
