"""Scan a folder of images: choose the files, and read the captions beside them.

Each field comes from the first of these that has it: `photo.json`, `photo.txt` (first line), `photo.xmp`, a sidecar of
Google Takeout, a row of `metadata.csv` or `metadata.jsonl` (the imagefolder convention of Hugging Face datasets), the
file itself (XMP, IPTC, EXIF), and last the file's name made readable. Names and captions are cleaned of control
characters.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from limner.text import one_line, printable_path, shorten
from limner.tools.images.facts import NAMES, span, stricter, unread
from limner.tools.images.images import SUFFIXES, Described
from limner.tools.library.exported import Exported
from limner.tools.library.scanned import Scan, Stamp, counted, folded
from limner.tools.library.sidecars import ENDINGS, words_beside
from limner.tools.library.tables import TABLE, Table

CAPTION_LENGTH = 2000  # characters; the caption encoder reads about 1,000, and a caption must not flood a prompt
CREDIT_LENGTH = 500
_SYSTEM_NAMES = """
@eadir #recycle @recycle $recycle.bin recycler recycled @tmp #snapshot __macosx lost+found thumbs _thumbs thumbnails
cache caches derivatives encoded-video node_modules
"""
_SYSTEM = frozenset({*_SYSTEM_NAMES.split(), "system volume information"})
"""Folders of Synology, QNAP, Windows, macOS, photo managers and web sites, whose images are copies or deleted ones."""
_SYSTEM_ENDINGS = (".lrdata", ".lrlibrary", ".aplibrary")
_SCALED = re.compile(r"(.+?)(?:-\d{2,5}x\d{2,5}|-scaled|-rotated|_thumb(?:nail)?)")
"""The name of a scaled copy by WordPress or a gallery: photo-768x480, photo-scaled."""


def scan(root: Path, but: Collection[str] = ()) -> Scan:
    """Walk a folder without leaving it. Hidden files and files without an image's suffix are skipped.

    root: an absolute path without links in it. but: absolute paths of files that count as not there.
    """
    found = Scan()
    tables: list[Table] = []

    def refuse(error: OSError) -> None:
        reason = f"{error.strerror or error}: check that it may be read"
        found.refused.append((printable_path(str(error.filename)), reason))
        found.unlisted.append(str(error.filename))

    for here, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(_entered(here, folders, found))
        for name in sorted([*folders, *names]):
            path = os.path.join(here, name)
            if path in but:
                continue
            if os.path.islink(path) and not inside(path, root):
                if name in folders or is_image(name):
                    found.refused.append((printable_path(path), "a link out of the folder: copy the file here instead"))
            elif name in folders or name.startswith("."):
                continue
            elif is_image(name):
                add_image(path, found)
            elif TABLE.fullmatch(name):
                tables.append(Table(path, found.problems))
            elif name.lower().endswith(ENDINGS):
                found.sidecars.setdefault(folded(path), []).append(path)
    _fold_scaled(found)
    for table in tables:
        for path, words in table.match(found.files, found.problems):
            found.rows.setdefault(path, words)
    return found


def _entered(here: str, folders: Iterable[str], found: Scan) -> Iterator[str]:
    """The folders to walk into: no hidden ones and, with a line, no system folders, recycle bins or caches."""
    for name in folders:
        if is_entered(name):
            yield name
        elif is_system(name):
            path = printable_path(os.path.join(here, name))
            found.skipped.append((path, "a system folder, recycle bin or cache: name it itself to add it"))


def is_entered(name: str) -> bool:
    """Whether a folder of this name below the library's own is walked into."""
    return not name.startswith(".") and not is_system(name)


def original_of(stem: str) -> str:
    """The stem of the picture that one of this stem is a scaled copy of, by its name; "" for none."""
    scaled = _SCALED.fullmatch(stem)
    return scaled[1] if scaled else ""


def is_system(name: str) -> bool:
    """Whether a folder of this name is a system's, a recycle bin or a cache."""
    return name.casefold() in _SYSTEM or name.casefold().endswith(_SYSTEM_ENDINGS)


def _fold_scaled(found: Scan) -> None:
    """Leave out scaled copies, e.g. by WordPress, whose original is beside them; one line per folder."""
    there = {folded(os.path.splitext(path)[0]) for path in found.files}
    copies: dict[str, list[str]] = {}
    for path in list(found.files):
        original = original_of(os.path.splitext(path)[0])
        if original and folded(original) in there:
            del found.files[path]
            copies.setdefault(os.path.dirname(path), []).append(repr(os.path.basename(path)))
    for folder, names in copies.items():
        found.skipped += counted(
            folder, names, "scaled [copy|copies] of images beside them", "rename any that are originals"
        )


def is_image(name: str) -> bool:
    """Whether a file of this name is a picture's, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def inside(path: str, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def add_image(path: str, found: Scan) -> None:
    try:
        path.encode()
        status = os.stat(path)
    except UnicodeEncodeError:
        found.refused.append((printable_path(path), "its name is not UTF-8: rename it"))
    except OSError as error:
        found.refused.append(
            (printable_path(path), f"{error.strerror or error}: check that it is there and may be read")
        )
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # it may be there: what the library has stays
            found.unlisted.append(os.path.dirname(path))
    else:
        if stat.S_ISREG(status.st_mode):
            found.files[path] = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        else:
            found.refused.append((printable_path(path), "not a regular file: put an image in its place"))


def describe(path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
    """An image's description, and whether its caption is more than the file's name."""
    beside = words_beside(path, found)
    row = exported(path, found, beside)
    words = merge([*beside, found.rows.get(path, Described()), *([] if row else [embedded])])
    caption = words.caption or ("" if row else words.alt)
    for name in unread(words.facts):
        text = next(text for text in words.facts[name] if span(text) is None)
        line = f"{name} {text!r} is no date: write YYYY-MM-DD; until then no article gets the image"
        found.problems.append((printable_path(path), line))
    name = row.name if row and row.name else path
    return replace(words, caption=caption or readable(Path(name).stem)), bool(caption)


def exported(path: str, found: Scan, beside: Sequence[Described] | None = None) -> Exported | None:
    """The row of an export of a library about an image, if there is one. beside: its sidecars, if they were read."""
    known = [found.rows.get(path), *(words_beside(path, found) if beside is None else beside)]
    return next((row for row in known if isinstance(row, Exported)), None)


def merge(sources: Sequence[Described]) -> Described:
    """The first non-empty value of each field, cleaned; of embargo and expiry all values."""
    names = [f.name for f in fields(Described) if f.name != "facts"]
    chosen = {name: next((v for s in sources if (v := one_line(getattr(s, name)))), "") for name in names}
    facts = {name: next((s.facts[name] for s in sources if s.facts.get(name)), []) for name in NAMES}
    short = ("credit", "licence")
    words = {n: shorten(v, CREDIT_LENGTH if n in short else CAPTION_LENGTH) for n, v in chosen.items()}
    return Described(**words, facts=stricter(facts, *(s.facts for s in sources)))


def readable(stem: str) -> str:
    """A file's name as words: "harvest_at-dusk.02" -> "harvest at dusk 02", "bigRedBarn" -> "big Red Barn"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"%20|[-_.+~]+", " ", stem))
    return shorten(one_line(spaced) or "image", CAPTION_LENGTH)
