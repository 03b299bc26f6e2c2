"""Names on disk: folders by title, image files by caption, and none that leads out of its folder."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from limner.document import Article
from limner.errors import BadInput
from limner.exports.pictures import Images, kind_of
from limner.exports.words import alt_of, line

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


def slug(title: str) -> str:
    """A folder name from a title: letters and digits of every script, lower case, hyphens between words.

    At most 60 characters and 120 bytes of UTF-8, in NFC, never empty, never a name that Windows reserves.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", title).lower())
    text = re.sub("['’ʼ]", "", text)  # bee's -> bees
    kept = "".join(c if _in_names(c) else "-" for c in text)
    # A combining mark belongs to the letter before it (Hindi vowels); drop one after a hyphen.
    while (bare := re.sub("(?<![^-])(.)", lambda m: m[0] if m[0].isalnum() else "", kept)) != kept:
        kept = bare
    name = _cut(re.sub("-{2,}", "-", kept).strip("-"))
    name = name or "article"
    return f"{name}-article" if name in _RESERVED else name


def _in_names(char: str) -> bool:
    return char.isalnum() or (unicodedata.category(char) in ("Mn", "Mc") and not "\ufe00" <= char <= "\ufe0f")


def _cut(name: str, characters: int = 60) -> str:
    """At most `length` characters, and twice as many bytes of UTF-8; whole words if these keep at least half."""
    short = name[:characters].encode()[: 2 * characters].decode(errors="ignore")
    if short != name and name[len(short)] != "-" and short.rfind("-") > len(short) // 2:
        short = short[: short.rfind("-")]
    return short.strip("-")


def fresh_folder(parent: Path, title: str) -> Path:
    """A free path in `parent`, named after the title; -2, -3 ... are added to a taken name."""
    name = slug(title)
    path, n = parent / name, 1
    while path.exists() or path.is_symlink():
        n += 1
        path = parent / f"{name}-{n}"
    return path


def file_names(article: Article, images: Images) -> dict[str, str]:
    """image id -> images/caption-1a2b3c4d.jpg, a unique name for each image."""
    names: dict[str, str] = {}
    for i in article.illustrations:
        if i.image_id in names:
            continue
        short = re.sub("[^0-9a-z]", "", i.image_id.lower())[:8]
        stem = "-".join(part for part in (_cut(slug(line(i.caption) or alt_of(i) or "image"), 48), short) if part)
        suffix = kind_of(images(i.image_id)[0], i.image_id)[0]
        name, n = f"images/{stem}{suffix}", 1
        while name in names.values():
            n += 1
            name = f"images/{stem}-{n}{suffix}"
        names[i.image_id] = name
    return names


def target(file: str) -> str:
    """A relative file name as the target of a Markdown image. Letters of any script stay readable."""
    refuse_outside(file)
    return re.sub(r"[^\w\-./]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode(errors="replace")), file)


def refuse_outside(file: str) -> None:
    """Raise BadInput unless a file name, on any system, stays below the folder it is relative to."""
    parts = PurePosixPath(file).parts
    odd = not parts or ".." in parts or "\\" in file or any(unicodedata.category(c) == "Cc" for c in file)
    if (
        odd
        or PurePosixPath(file).is_absolute()
        or PureWindowsPath(file).drive
        or re.match("[A-Za-z][A-Za-z0-9+.-]*:", file)
    ):
        raise BadInput(f"The article's image file {line(file)!r} leads out of its folder. Compose or export it again.")


def linked_files(article: Article) -> dict[str, str]:
    return {i.image_id: i.file for i in article.illustrations}
