"""The words beside an article's figures, and the addresses in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from limner.document import Article, Illustration, markdown
from limner.text import one_line, shorten
from limner.tools.evaluation.measured import FINDINGS, Finding, Measured
from limner.tools.filenames import says_something

_FILE = re.compile(r"\S+\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic|svg|raw)", re.IGNORECASE)
_HOST = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*\.?")


def wording(figures: Sequence[Illustration]) -> Measured:
    """Captions, alternative texts, credits and licences. figures: in reading order."""
    found, count = Measured(), len(figures)
    numbered = list(enumerate(figures, 1))
    spoken = [(n, f) for n, f in numbered if f.alt.strip()]
    absent = "no figure has an alternative text" if count else ""
    found.share("no_caption", [n for n, f in numbered if not f.caption.strip()], count, "has no caption")
    found.share("no_alt", [n for n, f in numbered if not f.alt.strip()], count, "has no alternative text")
    same = [n for n, f in spoken if _plain(f.alt) == _plain(f.caption)]
    found.share("alt_is_caption", same, len(spoken), "has its caption as alternative text", absent)
    named = [n for n, f in spoken if is_file_name(f.alt, f.file)]
    found.share("alt_is_name", named, len(spoken), "has a file's name as alternative text", absent)
    found.share("no_credit", [n for n, f in numbered if not f.credit.strip()], count, "has no credit")
    found.share("no_licence", [n for n, f in numbered if not f.licence.strip()], count, "has no licence")
    made = [n for n, f in numbered if f.machine_made]
    found.share("machine_made", made, count, "has words that a model wrote and nobody has changed")
    return found


def _plain(text: str) -> str:
    return one_line(text).casefold().rstrip(".")


def is_file_name(words: str, file: str = "") -> bool:
    """Whether words are only a file's name: "IMG_1234", "heron.jpg", or that of the figure's own file."""
    text = one_line(words)
    if _FILE.fullmatch(text) or not says_something(text):
        return True
    if " " in text:
        return False
    stem = re.sub(r"-[0-9a-f]{8}\Z", "", PurePosixPath(file).stem)  # limner adds the start of the image's id
    return "_" in text or ("-" in text and text.casefold() == stem.casefold())


def links(article: Article) -> Measured:
    """Addresses in the text: how many, and the share that no browser could open. Nothing is fetched."""
    found = Measured()
    targets = list(_targets(article.source))
    found.values["links"] = len(targets)
    if not targets:
        found.absent("the text has no link", "bad_links")
        return found
    bad = [(target, why) for target in targets if (why := wrong_with(target))]
    found.values["bad_links"] = len(bad) / len(targets)
    shown = bad[:FINDINGS]
    found.findings += [Finding("bad_links", 0, f"{shorten(one_line(t), 80)!r}: {why}") for t, why in shown]
    return found


def _targets(source: str) -> Iterator[str]:
    for token in markdown().parse(source, {}):
        for inner in token.children or ():
            if inner.type == "link_open":
                yield str(inner.attrGet("href") or "")


def wrong_with(target: str) -> str:
    """Why a link's target is no address, in a few words; "" if it is one.

    `#heading` counts as well-formed; a path does not, because an exported article takes no other files along.
    """
    if target.startswith("#") and len(target) > 1:
        return ""
    try:
        parts = urlsplit(target)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "cannot be read as an address"
    if parts.scheme in ("http", "https"):
        plain = ":" in host or _HOST.fullmatch(host)  # urlsplit has checked an IPv6 address
        return "" if plain else "its host is no name"
    if parts.scheme == "mailto":
        return "" if re.fullmatch(r"[^@\s]+@[^@\s]+", parts.path) else "its mailbox has no @"
    if parts.scheme:
        return f"{parts.scheme}: is not for the web"
    return "a path, which leads nowhere from an exported article" if target else "is empty"
