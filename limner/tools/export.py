"""Article -> a folder with Markdown, one self-contained HTML page and JSON, a credit under every image.

Notable choices:

- A draft's text is never touched: figures are spliced in as whole blocks between its characters, and `without_figures`
  takes them out again. A text that a model wrote has its raw HTML and images turned into plain text instead, because
  only limner adds images.
- Captions, alternative texts, credits, names and file names come from outside and are escaped for where they go. What
  kind an image file is, its bytes say, not its name.
- A folder appears whole or not at all: everything is written beside it, reopened, counted against the article, renamed.
- The page asks the network for nothing and runs nothing; its Content-Security-Policy names the one style by its hash.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from pydantic import ValidationError

from limner.document import (
    FORMAT,
    Article,
    Candidate,
    Heading,
    Illustration,
    Verbatim,
    markdown,
    read_markdown,
)
from limner.errors import BadInput, ExportFailed, ImageUnreadable
from limner.tools.generate import marked
from limner.tools.images import read_picture

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL import Image

Images = Callable[[str], tuple[bytes, str]]
"""image id -> (bytes of a file that browsers show, its suffix)."""

EMBED_BYTES = 2_000_000  # a photograph above this is scaled down before it goes into the page; base64 adds a third
EMBED_SIDE = 1600  # px; the column is at most 880 CSS px wide, so this is sharp on most dense screens
_SHOWN = {  # Pillow's name of a format that every current browser shows -> (suffix, media type)
    "JPEG": (".jpg", "image/jpeg"),
    "MPO": (".jpg", "image/jpeg"),  # what many cameras write: a JPEG with a second picture behind it
    "PNG": (".png", "image/png"),
    "GIF": (".gif", "image/gif"),
    "WEBP": (".webp", "image/webp"),
    "AVIF": (".avif", "image/avif"),
    "BMP": (".bmp", "image/bmp"),
}


# --- names ---------------------------------------------------------------------------------------------------------

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


def slug(title: str) -> str:
    """A folder name from any title: letters and digits of every script, lower case, hyphens between words.

    At most 60 characters and 120 bytes of UTF-8, in NFC, never empty, never a name that Windows reserves.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", title).lower())
    text = re.sub("['’ʼ]", "", text)  # bee's -> bees
    kept = "".join(c if _in_names(c) else "-" for c in text)
    # A mark belongs to the letter before it (Hindi vowels); after a hyphen it has lost that letter.
    while (bare := re.sub("(?<![^-])(.)", lambda m: m[0] if m[0].isalnum() else "", kept)) != kept:
        kept = bare
    name = _cut(re.sub("-{2,}", "-", kept).strip("-"))
    name = name or "article"
    return f"{name}-article" if name in _RESERVED else name


def _in_names(char: str) -> bool:
    return char.isalnum() or (unicodedata.category(char) in ("Mn", "Mc") and not "\ufe00" <= char <= "\ufe0f")


def _cut(name: str, characters: int = 60) -> str:
    """At most so many characters, and twice as many bytes of UTF-8; whole words where that keeps at least half."""
    short = name[:characters].encode()[: 2 * characters].decode(errors="ignore")
    if short != name and name[len(short)] != "-" and short.rfind("-") > len(short) // 2:
        short = short[: short.rfind("-")]
    return short.strip("-")


def fresh_folder(parent: Path, title: str) -> Path:
    """A path in `parent` that does not exist yet, named after the title; -2, -3 ... are added to a name taken."""
    name = slug(title)
    path, n = parent / name, 1
    while path.exists() or path.is_symlink():
        n += 1
        path = parent / f"{name}-{n}"
    return path


def _file_names(article: Article, images: Images) -> dict[str, str]:
    """image id -> images/what-it-shows-1a2b3c4d.jpg, a name of its own for each image."""
    names: dict[str, str] = {}
    for i in article.illustrations:
        if i.image_id in names:
            continue
        short = re.sub("[^0-9a-z]", "", i.image_id.lower())[:8]
        stem = "-".join(part for part in (_cut(slug(_line(i.caption) or _alt(i) or "image"), 48), short) if part)
        suffix = _kind(images(i.image_id)[0], i.image_id)[0]
        name, n = f"images/{stem}{suffix}", 1
        while name in names.values():
            n += 1
            name = f"images/{stem}-{n}{suffix}"
        names[i.image_id] = name
    return names


# --- words from outside ----------------------------------------------------------------------------------------------

_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff]")  # turn the direction of what follows, or show nothing
_SURROGATE = re.compile("[\ud800-\udfff]")
# Everything that CommonMark, its table and strikethrough extensions or GitHub's mathematics could read as a mark, and
# the characters by which GitHub turns addresses into links.
_MARK = re.compile(r"[\\`*_\[\]<>&~|$@]|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def _line(text: str) -> str:
    """Text from outside as one line without control characters."""
    text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in _UNSEEN.sub("", text))
    return " ".join(_SURROGATE.sub("\ufffd", text).split())


def _escaped(text: str) -> str:
    """One line of Markdown that shows exactly this text."""
    return _MARK.sub(lambda m: "\\" + m[0], _line(text))


def _target(file: str) -> str:
    """A relative file name as the target of a Markdown image. Letters of any script stay readable."""
    _refuse_outside(file)
    return re.sub(r"[^\w\-./]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode(errors="replace")), file)


def _attribution(i: Illustration | Candidate) -> str:
    """Credit and licence as one line, "" if neither is known."""
    credit, licence = _line(i.credit), _line(i.licence)
    return ", ".join(part for part in (credit, "" if licence in credit else licence) if part)


def _alt(i: Illustration) -> str:
    return _line(i.alt) or _line(i.caption)


_CREDITS = {
    "ar": "مصادر الصور",
    "de": "Bildnachweise",
    "es": "Créditos de las imágenes",
    "fr": "Crédits des images",
    "it": "Crediti delle immagini",
    "ja": "画像クレジット",
    "ko": "이미지 출처",
    "nl": "Beeldverantwoording",
    "pl": "Źródła ilustracji",
    "pt": "Créditos das imagens",
    "ru": "Источники изображений",
    "zh": "图片来源",
}
_RIGHT_TO_LEFT = {"ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "syr", "ug", "ur", "yi"}


def _credits_title(language: str) -> str:
    return _CREDITS.get(re.split("[-_]", language.lower())[0], "Image credits")


def _direction(language: str) -> str:
    """ "rtl" or "ltr"; a script named in the code ("pa-Arab") decides before the language does."""
    parts = re.split("[-_]", language.lower())
    scripts = [part for part in parts[1:] if len(part) == 4 and part.isalpha()]
    if scripts:
        return "rtl" if scripts[0] in ("arab", "hebr", "thaa", "syrc", "nkoo", "adlm") else "ltr"
    return "rtl" if parts[0] in _RIGHT_TO_LEFT else "ltr"


def _credited(article: Article) -> list[Illustration]:
    """The images with a credit or licence, each once, in reading order."""
    once = {b.image_id: b for b in reversed(list(article.blocks())) if isinstance(b, Illustration) and _attribution(b)}
    return list(reversed(once.values()))


# --- Markdown --------------------------------------------------------------------------------------------------------

_NEWLINE = r"(?:\r\n|\n|\r(?!\n))"
_BLANK_LINE = re.compile(rf"{_NEWLINE}[ \t]*{_NEWLINE}\Z")


def to_markdown(article: Article, files: Mapping[str, str]) -> str:
    """The article's source with each figure as a paragraph of its own after the paragraph that it belongs to.

    files: image id -> path of the image file, relative to where the Markdown will stand.
    A draft (`made_with["draft"]`) keeps its text character for character, and credits stand in the caption lines. A
    composed article has raw HTML and images in its text turned into plain text, and a list of credits at its end.
    Raises BadInput for a file name that leads out of the folder, KeyError for an image without a file.
    """
    return "".join(text for _, text in _pieces(article, files))


def without_figures(text: str, article: Article, files: Mapping[str, str]) -> str:
    """What `to_markdown` was given, from what it gave: all that limner added taken out.

    For a draft that is `article.source`. Raises BadInput where the text is not what `to_markdown` writes.
    """
    kept, at = [], 0
    for ours, piece in _pieces(article, files):
        if not text.startswith(piece, at):
            raise BadInput(
                f"The Markdown differs from the article at character {at}. Export it again with `limner export`."
            )
        at += len(piece)
        if not ours:
            kept.append(piece)
    if at != len(text):
        raise BadInput(f"The Markdown goes on after the article's end at character {at}. Export the article again.")
    return "".join(kept)


def _pieces(article: Article, files: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """The Markdown from start to end, as (added by limner, text)."""
    composed = not article.made_with.get("draft")
    if composed:
        article = _harmless(article)
    newline = _newline(article.source)
    figures: dict[str, list[str]] = {}
    for i in article.illustrations:
        figures.setdefault(i.after, []).append(_figure(i, files[i.image_id], newline))
    yield False, article.lead
    for block in article.body:
        if block.id not in figures:
            yield False, block.text + block.gap
            continue
        head, tail = _cut_gap(block.gap)
        at_end = block is article.body[-1] and not tail.strip()
        yield False, block.text + head
        yield True, _between(block.text + head, figures[block.id], newline, at_end)
        yield False, tail
    if composed and _credited(article):
        yield True, _credits(article, newline)


def _newline(source: str) -> str:
    found = re.search(_NEWLINE, source)
    return found[0] if found else "\n"


def _cut_gap(gap: str) -> tuple[str, str]:
    """A block's gap cut where the next thing (a block, or a link definition within the gap) starts its first line."""
    blank = gap[: len(gap) - len(gap.lstrip())]
    ends = [m.end() for m in re.finditer(_NEWLINE, blank)]
    at = ends[-1] if ends else len(blank)
    return gap[:at], gap[at:]


def _between(before: str, figures: Sequence[str], newline: str, at_end: bool) -> str:
    """The figures with the blank lines they need.

    Without one before, a figure would go on with the paragraph; without one after, `---` would make it a heading.
    """
    gap_before = "" if _BLANK_LINE.search(before) else newline if before.endswith(("\n", "\r")) else newline * 2
    gap_after = newline * 2 if not at_end else newline if before.endswith(("\n", "\r")) else ""
    return gap_before + (newline * 2).join(figures) + gap_after


def _figure(i: Illustration, file: str, newline: str) -> str:
    """The image, a hard line break, its caption in italics and its credit in brackets; no blank line within."""
    image, caption = f"![{_escaped(_alt(i))}]({_target(file)})", _caption_line(i)
    return f"{image}\\{newline}{caption}" if caption else image


def _caption_line(i: Illustration) -> str:
    caption, attribution = _escaped(i.caption), _escaped(_attribution(i))
    parts = [f"*{caption}*" if caption else "", f"({attribution})" if attribution else ""]
    return " ".join(part for part in parts if part)


def _credits(article: Article, newline: str) -> str:
    """The section that ends a composed article."""
    lines = [f"## {_credits_title(article.language)}", ""]
    for n, i in enumerate(_credited(article), 1):
        caption = _escaped(i.caption) or _escaped(_alt(i))
        lines.append(f"{n}. " + " — ".join(part for part in (caption, _escaped(_attribution(i))) if part))
    fence = _open_fence(article, newline)
    before = article.source + fence
    gap = "" if _BLANK_LINE.search(before) else newline if before.endswith(("\n", "\r")) else newline * 2
    return fence + gap + newline.join(lines) + newline


def _open_fence(article: Article, newline: str) -> str:
    """The line that closes a code block which the writer left open at the very end, else ""."""
    last = article.body[-1] if article.body else None
    if not isinstance(last, Verbatim):
        return ""
    tokens = markdown().parse(f"{last.text}\n\nx", {})
    if len(tokens) != 1 or tokens[0].type != "fence":
        return ""
    return ("" if last.gap.endswith(("\n", "\r")) else newline) + tokens[0].markup + newline


# --- text that a model wrote -------------------------------------------------------------------------------------

_RAW = {"html_block", "html_inline", "image"}
_CODE_OR_MARKUP = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|<(?=[A-Za-z/!?])|!\[", re.DOTALL)
_MARKUP = re.compile(r"<|!\[")


def _harmless(article: Article) -> Article:
    """The article with raw HTML and images in its text written out as text; unchanged where there are none."""
    env: dict[str, Any] = {}
    if not _has_raw(article.source, env):
        return article
    # First with code spans left alone, because that reads best; then, should the parser still see anything, without.
    for pattern in (_CODE_OR_MARKUP, _MARKUP):
        body = [
            b.model_copy(update={"text": pattern.sub(_as_text, b.text)}) if _has_raw(b.text, env) else b
            for b in article.body
        ]
        tamed = article.model_copy(update={"body": tuple(body)})
        if not _has_raw(tamed.source, {}):
            return tamed
    whole = {"body": tuple(b.model_copy(update={"text": _MARKUP.sub(_as_text, b.text)}) for b in article.body)}
    return article.model_copy(update={**whole, "lead": _MARKUP.sub(_as_text, article.lead)})


def _as_text(match: re.Match[str]) -> str:
    # Entities, not backslashes: a backslash before `<` could meet one that is there already and undo both.
    return {"<": "&lt;", "![": "&#33;\\["}.get(match[0], match[0])


def _has_raw(source: str, env: dict[str, Any]) -> bool:
    """Whether Markdown holds raw HTML or an image. env: link definitions, read and added to."""
    tokens = markdown().parse(source, env)
    return any(t.type in _RAW or any(c.type in _RAW for c in t.children or ()) for t in tokens)


# --- images ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Pillow's image of a file's bytes. Raises ImageUnreadable for what is none, or is broken when decoded within."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # The library has judged the size before (LIMNER_MAX_PIXELS); Pillow still refuses the really huge.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ImageUnreadable(
            f"Image {_line(name)} cannot be read: {_line(str(e))}. Put a sound copy in its place."
        ) from e


def _kind(data: bytes, name: str) -> tuple[str, str]:
    """(suffix, media type) by what the bytes are. Raises ImageUnreadable for what browsers do not show."""
    with _opened(data, name) as image:
        found = image.format or ""
    if found not in _SHOWN:
        raise ImageUnreadable(
            f"Image {_line(name)} is {found or 'of no known kind'}, which browsers do not show. Save it as JPEG or PNG."
        )
    return _SHOWN[found]


class Embedded(NamedTuple):
    """An image as the page holds it."""

    src: str
    """data: URL."""
    width: int
    """px, turned as it is shown."""
    height: int
    clear: bool
    """Whether it lets the page shine through: black drawings need light paper under them in the dark."""


def _embedded(data: bytes, name: str) -> Embedded:
    """A file's bytes as a data: URL; scaled to EMBED_SIDE px when it has more than EMBED_BYTES."""
    from PIL import ImageOps

    _kind(data, name)
    data = _scaled(data, name) if len(data) > EMBED_BYTES else data
    media = _kind(data, name)[1]
    with _opened(data, name) as image:
        shown = ImageOps.exif_transpose(image)
        width, height = shown.size
        clear = _is_clear(shown)
    return Embedded(f"data:{media};base64,{base64.b64encode(data).decode()}", width, height, clear)


def shown_parts(article: Article, images: Images) -> Images:
    """The same images, those that the article crops with only the part that it shows. The originals stay whole."""
    crops = {i.image_id: i.crop for i in article.illustrations if i.crop is not None}

    def image(image_id: str) -> tuple[bytes, str]:
        data, suffix = images(image_id)
        crop = crops.get(image_id)
        return (data, suffix) if crop is None else _cropped(data, image_id, crop)

    return image


def _cropped(data: bytes, name: str, crop: tuple[float, float, float, float]) -> tuple[bytes, str]:
    """A part of an image, upright, encoded anew: (bytes, suffix). An animation becomes its first frame."""
    kind = _kind(data, name)[0]
    picture = read_picture(data, max_pixels=sys.maxsize)  # the library has judged the size before
    left, top, width, height = crop
    x, y = (min(int(share * side), side - 1) for share, side in zip((left, top), picture.size, strict=True))
    right = min(picture.width, max(x + 1, round((left + width) * picture.width)))
    bottom = min(picture.height, max(y + 1, round((top + height) * picture.height)))
    part, profile, out = picture.crop((x, y, right, bottom)), picture.info.get("icc_profile"), io.BytesIO()
    if kind == ".jpg":
        part.convert("RGB").save(out, "JPEG", quality=92, icc_profile=profile)
        return out.getvalue(), ".jpg"
    part.info = {}  # Pillow would write comments and EXIF of the file it came from
    part.save(out, "PNG", icc_profile=profile)
    return out.getvalue(), ".png"


def _filed(i: Illustration, file: str, images: Images) -> Illustration:
    """An illustration as it stands in an export: the file there is what it shows, and is cropped no more."""
    if i.crop is None:
        return i.model_copy(update={"file": file})
    with _opened(images(i.image_id)[0], i.image_id) as image:
        return i.model_copy(update={"file": file, "crop": None, "width": image.width, "height": image.height})


def _is_clear(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    low, _ = image.convert("RGBA").getchannel("A").getextrema()
    return isinstance(low, int | float) and low < 128


def _scaled(data: bytes, name: str) -> bytes:
    """The image at most EMBED_SIDE px wide and high; animations, and what would not get smaller, as they are."""
    from PIL import ImageOps

    with _opened(data, name) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            return data
        share = EMBED_SIDE / max(image.size)
        # A JPEG decodes straight to a half, a quarter or an eighth, as long as that is not below the size asked for.
        image.draft("RGB", (math.ceil(image.width * share), math.ceil(image.height * share)))
        small = ImageOps.exif_transpose(image)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((EMBED_SIDE, EMBED_SIDE))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=85) if small.mode == "RGBA" else small.save(out, "JPEG", quality=88)
    return min(data, out.getvalue(), key=len)


# --- HTML ------------------------------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("limner.tools"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style(name: str) -> tuple[str, str]:
    """A style sheet, and its hash as a Content-Security-Policy wants it."""
    css = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
    css = re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)).strip()
    return css, f"'sha256-{base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()}'"


def _page(template: str, **values: Any) -> str:
    from markupsafe import Markup

    css, digest = _style(template.replace(".html", ".css"))
    text = _templates().get_template(template).render(style=Markup(css), style_hash=Markup(digest), **values)
    return _SURROGATE.sub("\ufffd", text)  # a page is UTF-8; a draft need not be


def to_html(article: Article, images: Images) -> str:
    """One page that holds everything it shows: no script, no request, dark where the reader's system is dark.

    images: as they are to be shown; `shown_parts` crops them.
    Raises ImageUnreadable for bytes that are not an image which browsers show.
    """
    return _page(
        "article.html",
        title=_line(article.title) or "Untitled",
        headline=_line(article.title) if _wants_headline(article) else "",
        language=_line(article.language) or "und",
        direction=_direction(article.language),
        parts=list(_parts(article, images)),
        credits_title=_credits_title(article.language),
        credits=[
            {"what": _line(i.caption) or _alt(i), "credit": _attribution(i), "number": _number(article, i)}
            for i in _credited(article)
        ],
        notes=[_line(note) for note in article.notes],
        verb="Illustrated" if article.made_with.get("draft") else "Made",
    )


def _wants_headline(article: Article) -> bool:
    """Whether the page must show the title itself, because the text does not begin with it."""
    headings = [b for b in article.body if isinstance(b, Heading)]
    if not article.title.strip() or any(h.level == 1 for h in headings):
        return False
    first = next((b.plain for b in article.body if b.plain), "")
    return " ".join(first.split())[: len(article.title)] != article.title


def _number(article: Article, illustration: Illustration) -> int:
    return list(article.illustrations).index(illustration) + 1


def _parts(article: Article, images: Images) -> Iterator[dict[str, Any]]:
    """The page's parts in reading order: {"html": safe text} or {"figure": Illustration and what is shown of it}."""
    from markupsafe import Markup

    env: dict[str, Any] = {}
    markdown().parse(article.source, env)  # link definitions may stand anywhere
    embedded = cache(lambda image_id: _embedded(images(image_id)[0], image_id))
    for block in article.blocks():
        if isinstance(block, Illustration):
            yield {"figure": _shown(block, embedded(block.image_id), _number(article, block))}
        else:
            yield {"html": Markup(block_html(block.text, env))}


def _shown(i: Illustration, image: Embedded, number: int) -> dict[str, Any]:
    ratio = image.width / image.height
    kinds = [
        "wide"
        if image.width >= 1000 and ratio >= 1.3
        else "column"
        if image.width >= 480 and ratio >= 1.1
        else "small",
        *(["clear"] if image.clear else []),
    ]
    return {
        "number": number,
        "image": image,
        "kinds": " ".join(kinds),
        "alt": _alt(i),
        "caption": _line(i.caption),
        "credit": _attribution(i),
    }


def block_html(text: str, env: dict[str, Any]) -> str:
    """One block of Markdown as HTML that cannot run, load or style anything.

    env: what the parser found in the whole text, whose link definitions are the block's as well.
    """
    parser = markdown()
    tokens = parser.parse(text, {"references": env.get("references", {})})
    for token in tokens:
        if align := token.attrGet("style"):  # table cells; the page's policy allows no style in an attribute
            token.attrs.pop("style")
            token.attrSet("class", str(align).removeprefix("text-align:"))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer nofollow")
    return parser.renderer.render(tokens, parser.options, env)


def contact_sheet(title: str, rows: Sequence[tuple[Candidate, bytes]]) -> str:
    """A page of search hits, best first: thumbnail, score, caption, credit.

    rows: each hit with the bytes of a small image. Raises ImageUnreadable for bytes that are none.
    """
    hits = [
        {
            "image": _embedded(thumbnail, c.image_id),
            "alt": _line(c.alt) or _line(c.caption),
            "score": f"{c.score:.3f}",
            "scores": ", ".join(f"{_line(name)} {score:.3f}" for name, score in c.scores.items()),
            "caption": _line(c.caption),
            "credit": _attribution(c),
            "image_id": _line(c.image_id),
        }
        for c, thumbnail in rows
    ]
    return _page("contact_sheet.html", title=_line(title), hits=hits)


# --- JSON ------------------------------------------------------------------------------------------------------------


def to_json(article: Article) -> str:
    """`{"format": 1, "article": ...}`. Bytes of a draft that are not UTF-8 survive as JSON escapes."""
    # Python mode: pydantic's own JSON refuses the lone surrogates that stand for such bytes.
    text = json.dumps({"format": FORMAT, "article": article.model_dump()}, ensure_ascii=False, indent=1, default=str)
    return _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"


def read_json(path: Path) -> Article:
    """The Article in a file that `to_json` wrote.

    The file is not trusted: ids must be its own, images must lie in its folder. Raises BadInput.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as e:
        raise BadInput(f"Cannot read {path}: {e.strerror}. Give the article.json that limner wrote.") from e
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{path} is not JSON ({_line(str(e))}). Give the article.json that limner wrote.") from e
    if not isinstance(value, dict) or type(value.get("format")) is not int or "article" not in value:
        raise BadInput(f"{path} is JSON, but not an article. Give the article.json that limner wrote.")
    if value["format"] > FORMAT:
        raise BadInput(f"{path} has format {value['format']}, this limner reads up to {FORMAT}. Update limner.")
    try:
        article = Article.model_validate(value["article"])
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the article"
        raise BadInput(
            f"{path} is not a whole article: {_line(where)}: {_line(first['msg'])}. Compose or export it again."
        ) from e
    _refuse_tangled(article, path)
    return article


def _refuse_tangled(article: Article, path: Path) -> None:
    """Raise BadInput for ids that are not unique or point nowhere, and for files outside the folder."""
    ids = [b.id for b in article.body] + [i.id for i in article.illustrations]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise BadInput(f"{path} has two blocks with the id {_line(twice)}. Compose or export the article again.")
    paragraphs = {p.id for p in article.paragraphs}
    for i in article.illustrations:
        if i.after not in paragraphs:
            raise BadInput(
                f"{path} has an image after {_line(i.after)}, which is no paragraph. Export the article again."
            )
        if i.file:
            _refuse_outside(i.file)


def _refuse_outside(file: str) -> None:
    """Raise BadInput unless a file name, on any system, stays below the folder it is relative to."""
    parts = PurePosixPath(file).parts
    odd = not parts or ".." in parts or "\\" in file or any(unicodedata.category(c) == "Cc" for c in file)
    if (
        odd
        or PurePosixPath(file).is_absolute()
        or PureWindowsPath(file).drive
        or re.match("[A-Za-z][A-Za-z0-9+.-]*:", file)
    ):
        raise BadInput(f"The article's image file {_line(file)!r} leads out of its folder. Compose or export it again.")


def images_beside(article: Article, folder: Path) -> Images:
    """What `write_article` needs, from an exported article alone: its images by their files in `folder`.

    The function given raises BadInput for an image without a file, or one that leads out of the folder by a link.
    """
    files = {i.image_id: i.file for i in article.illustrations}

    def image(image_id: str) -> tuple[bytes, str]:
        file = files.get(image_id, "")
        if not file:
            raise BadInput(f"The article has no file for image {_line(image_id)}. Compose or export it again.")
        _refuse_outside(file)
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise BadInput(f"The image file {_line(file)!r} is a link out of {folder}. Put the image itself there.")
        try:
            return path.read_bytes(), path.suffix
        except OSError as e:
            raise BadInput(f"Cannot read {path}: {e.strerror}. Keep article.json and images/ together.") from e

    return image


# --- the folder ------------------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What `write_article` wrote."""

    folder: Path
    article: Article
    """With `file` of each illustration set, as article.json has it."""
    files: dict[str, Path]
    """Format -> its file."""
    images: int
    """How many files are in images/."""


class Format(NamedTuple):
    """One way to write an article. To add one, put it in FORMATS."""

    file: str
    """Its name in the folder."""
    linked: bool
    """Whether it points at the files in images/."""
    write: Callable[[Article, Images], str | bytes]
    """The article, `file` of its illustrations set, as text, or as the bytes of a file that is none."""
    check: Callable[[Article, Path], None]
    """Reads the written file again; raises ExportFailed where it is not the whole article."""


def _linked_files(article: Article) -> dict[str, str]:
    return {i.image_id: i.file for i in article.illustrations}


def own_images(article: Article, folder: Path) -> dict[str, Path]:
    """The image files in `folder` that a draft points at itself: relative name, as it stands in the text -> file.

    Left out are addresses, absolute names, names that lead out of the folder, and what is no image by its name.
    """
    root, found = folder.resolve(), {}
    inline = [child for token in markdown().parse(article.source) for child in token.children or ()]
    for token in (t for t in inline if t.type == "image"):
        name = unquote(str(token.attrs.get("src", "")))
        if not name or ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
            continue
        path = (root / name).resolve()
        if (
            path.is_relative_to(root)
            and path.suffix.lower() in _OWN
            and path.is_file()
            and ".." not in Path(name).parts
        ):
            found[name] = path
    return found


_OWN = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".svg"}


def write_article(
    article: Article,
    folder: Path,
    images: Images,
    formats: Sequence[str] = ("md", "html", "json"),
    *,
    beside: Mapping[str, Path] | None = None,
) -> Written:
    """Write article.md and images/, article.html, article.json into `folder`, whole or not at all.

    beside: files that go along under these relative names (`own_images`), so that a draft's own images are found.

    Everything is written beside the folder, synced, reopened and counted against the article before it gets its name.
    Into a folder that exists, each file is then moved one by one in place of its former self; others stay.
    Raises BadInput for an unknown format, ImageUnreadable for an image that browsers do not show, and ExportFailed
    when the disk refuses or what was written is not whole; no half-written file remains.
    """
    chosen = {name: _format(name) for name in dict.fromkeys(formats)}
    if len({f.file for f in chosen.values()}) < len(chosen):
        names = ", ".join(map(_line, chosen))
        raise BadInput(f"Two of the formats {names} write the same file. Ask for one at a time.")
    images = cache(marked(article, shown_parts(article, images)))
    files = _file_names(article, images)
    article = article.model_copy(
        update={"illustrations": tuple(_filed(i, files[i.image_id], images) for i in article.illustrations)}
    )
    texts = {f.file: f.write(article, images) for f in chosen.values()}
    linked = any(f.linked for f in chosen.values())
    with _staged(folder) as stage:
        for name, text in texts.items():
            _put(stage / name, text if isinstance(text, bytes) else _bytes(text))
        for image_id, name in files.items() if linked else ():
            _put(stage / name, images(image_id)[0])
        for name, path in (beside or {}).items() if linked else ():
            if not (stage / name).exists():
                _put(stage / name, path.read_bytes())
        for f in chosen.values():
            f.check(article, stage / f.file)
        if linked:
            _check_files(article, stage)
    written = {name: folder / f.file for name, f in chosen.items()}
    return Written(folder, article, written, len(files) if linked else 0)


def _format(name: str) -> Format:
    if name in FORMATS:
        return FORMATS[name]
    from limner.tools.plugged import exporter  # only for a format that is not limner's own

    return exporter(name, FORMATS)


def _bytes(text: str) -> bytes:
    """UTF-8, and the bytes that were not UTF-8 in a draft as they were."""
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text).encode("utf-8", errors="surrogateescape")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its name when the block ends, and is gone when the block fails."""
    stage = folder.parent / f".limner-{secrets.token_hex(4)}.part"
    made: list[Path] = []
    try:
        _make_parents(folder.parent, made)
        stage.mkdir()
        yield stage
        _publish(stage, folder)
    except BaseException as e:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in reversed(made):
            if not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(e, OSError):
            raise ExportFailed(_refusal(e, folder)) from e
        raise


def _make_parents(parent: Path, made: list[Path]) -> None:
    """Create a folder and those above it; `made` gets each one as it appears, so that a failure can be undone."""
    missing = [p for p in (parent, *parent.parents) if not p.exists()]
    for p in reversed(missing):
        p.mkdir()
        made.append(p)


def _publish(stage: Path, folder: Path) -> None:
    _sync(stage)
    if not folder.exists():
        stage.rename(folder)
    else:
        # Images first: at no moment does a text point at an image that is not there.
        for path in sorted(stage.rglob("*"), key=lambda p: p.parent == stage):
            if path.is_file():
                target = folder / path.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        shutil.rmtree(stage)
    _sync(folder)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make names durable. Windows has no handle on a folder, and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(error: OSError, folder: Path) -> str:
    what = f"Cannot write {folder}: {error.strerror or _line(str(error))}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{what} Nothing was kept; free some space, or choose another disk with --out."
    if error.errno == errno.ENAMETOOLONG:
        return f"{what} Choose a shorter name with --out."
    return f"{what} Choose a folder that you can write to with --out."


# --- read again and counted ------------------------------------------------------------------------------------------


def _compare(path: Path, what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise ExportFailed unless two lists are equal; the message names the first difference."""
    wanted, found = list(wanted), list(found)
    if wanted == found:
        return
    missing = next((w for n, w in enumerate(wanted) if n >= len(found) or found[n] != w), "none")
    raise ExportFailed(
        f"{path.name} has {len(found)} {what} where the article has {len(wanted)}; "
        f"first missing: {_line(missing)[:80]!r}. Nothing was kept; export again, and report this if it comes back."
    )


def _figures(article: Article) -> list[Illustration]:
    """The illustrations in reading order. Raises ExportFailed for one that has no place in the text."""
    placed = [b for b in article.blocks() if isinstance(b, Illustration)]
    lost = next((i for i in article.illustrations if i not in placed), None)
    if lost is not None:
        raise ExportFailed(
            f"Image {_line(lost.image_id)} stands after {_line(lost.after)}, which the text has not. Compose it again."
        )
    return placed


def _check_files(article: Article, folder: Path) -> None:
    """Every image of the article is there and decodes to its last row."""
    for file in dict.fromkeys(i.file for i in article.illustrations):
        with _opened((folder / file).read_bytes(), file) as image:
            image.load()


def _check_markdown(article: Article, path: Path) -> None:
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    if article.made_with.get("draft"):
        source = _bytes(article.source).decode("utf-8", errors="surrogateescape")
        _compare(path, "texts", [source], [without_figures(text, article, _linked_files(article))])
    files = {i.file for i in article.illustrations}
    found = [figure for figure in _markdown_figures(text) if figure[0] in files]
    wanted = _figures(article)
    _compare(path, "images", [i.file for i in wanted], [file for file, _, _ in found])
    _compare(path, "alternative texts", [_alt(i) for i in wanted], [alt for _, alt, _ in found])
    _compare(path, "captions", [_caption_text(i) for i in wanted], [caption for _, _, caption in found])


def _caption_text(i: Illustration) -> str:
    attribution = _attribution(i)
    return " ".join(part for part in (_line(i.caption), f"({attribution})" if attribution else "") if part)


def _markdown_figures(text: str) -> Iterator[tuple[str, str, str]]:
    """(file, alternative text, caption line) of each paragraph that begins with an image."""
    for block in read_markdown(text).paragraphs:
        inline = markdown().parse(block.text, {})[1]
        first, *rest = inline.children or [inline]
        if first.type == "image":
            alt = "".join(t.content for t in first.children or ())
            yield unquote(str(first.attrGet("src"))), alt, "".join(t.content for t in rest)


def _check_html(article: Article, path: Path) -> None:
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    wanted = _figures(article)
    _compare(path, "images", [_alt(i) for i in wanted], [figure["alt"] for figure in page.figures])
    _compare(path, "credits", [_attribution(i) for i in wanted], [figure["credit"] for figure in page.figures])
    for figure, i in zip(page.figures, wanted, strict=True):
        _, _, encoded = figure["src"].partition(";base64,")
        with _opened(base64.b64decode(encoded), i.image_id) as image:
            image.load()


class _FigureReader(HTMLParser):
    """Collects src, alt and credit of each <figure>."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[dict[str, str]] = []
        self._in_credit = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "img":
            self.figures.append({"src": values["src"], "alt": values["alt"], "credit": ""})
        elif tag == "span":
            self._in_credit = values.get("class") == "credit"

    def handle_endtag(self, tag: str) -> None:
        self._in_credit = self._in_credit and tag != "span"

    def handle_data(self, data: str) -> None:
        if self._in_credit:
            self.figures[-1]["credit"] += data


def _check_json(article: Article, path: Path) -> None:
    again = read_json(path)
    _compare(path, "images", [i.image_id for i in article.illustrations], [i.image_id for i in again.illustrations])
    _compare(path, "articles", [to_json(article)], [to_json(again)])


FORMATS: dict[str, Format] = {
    "md": Format("article.md", True, lambda a, _: to_markdown(a, _linked_files(a)), _check_markdown),
    "html": Format("article.html", False, to_html, _check_html),
    "json": Format("article.json", True, lambda a, _: to_json(a), _check_json),
}
