"""The table of formats, and the function that writes an article in some of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from limner.document import Article
from limner.errors import BadInput
from limner.exports.counting import counted, figures
from limner.exports.documents import DOCX, EPUB, to_docx, to_epub
from limner.exports.format import Format
from limner.exports.markdown import check_markdown, to_markdown
from limner.exports.names import file_names, linked_files
from limner.exports.own import read_own
from limner.exports.page import check_html, own_in_html, shown_in_html, to_html
from limner.exports.pdf import check_pdf, own_in_pdf, shown_in_pdf, to_pdf
from limner.exports.pictures import SIDE, Images, Pictures, decoded, filed, shown_parts
from limner.exports.plugged import exporter
from limner.exports.record import check_json, to_json
from limner.exports.seen import check_seen
from limner.exports.staging import put, staged
from limner.exports.text import notes_on
from limner.exports.words import as_bytes, line


class Written(NamedTuple):
    """The result of `write_article`."""

    folder: Path
    article: Article
    """The article with `file` of each illustration set, as in article.json."""
    files: dict[str, Path]
    """Format -> its file."""
    images: int
    """Number of files in images/."""


def write_article(
    article: Article,
    folder: Path,
    images: Images,
    formats: Sequence[str] = ("md", "html", "json"),
    *,
    beside: Mapping[str, Path] | None = None,
    side: int = SIDE,
    keep_metadata: bool = False,
) -> Written:
    """Write article.md and images/, article.html, article.json … into `folder`, completely or not at all.

    beside: a draft's own images (`own_images`), shown in pages and copied beside Markdown under these names. side:
    limit in px of the longer side of images within a page or document; files in images/ stay as they are.
    keep_metadata: keep private metadata such as place, camera, faces and preview (`tools.images.publish`).

    Everything is written beside the folder, synced, reopened and checked against the article before the rename. In an
    existing folder, each file then replaces its former version one by one; others stay. Raises BadInput (unknown
    format), ImageUnreadable (browsers do not show it), ExportFailed (the disk refuses, or the result is incomplete).
    """
    chosen = _chosen(formats)
    own = read_own(article, beside, keep_metadata=keep_metadata)
    parts = cache(shown_parts(article, images))
    pictures = Pictures(article, parts, own.shown, side=side, keep_metadata=keep_metadata)
    files = file_names(article, pictures)
    article = _filed(article, files, parts).noted(*own.notes)
    if any(f.own for f in chosen.values()):
        article = article.noted(*notes_on(article))
    linked = any(f.linked for f in chosen.values())
    with staged(folder) as stage:
        for name, f in chosen.items():
            if name != "json":
                _write(f, article, pictures, stage)
        if linked:
            _put_images(stage, ((name, pictures(i)[0]) for i, name in files.items()), own.files)
        if "json" in chosen:  # the record comes last, with the hashes of the other files
            article = article.model_copy(update={"made_with": {**article.made_with, "files": hashes(stage)}})
            _write(chosen["json"], article, pictures, stage)
        _check_all(chosen.values(), article, stage, parts, own.images)
    return Written(folder, article, {name: folder / f.file for name, f in chosen.items()}, len(files) if linked else 0)


def _filed(article: Article, files: Mapping[str, str], images: Images) -> Article:
    """The article with `file` of each illustration, and without the key for a draft's folder, which is private."""
    shown = tuple(filed(i, files[i.image_id], images) for i in article.illustrations)
    made_with = {key: value for key, value in article.made_with.items() if key != "draft_folder"}
    return article.model_copy(update={"illustrations": shown, "made_with": made_with})


def _chosen(formats: Sequence[str]) -> dict[str, Format]:
    """The formats by name. Raises BadInput for an unknown one, and for two that write the same file."""
    chosen = {name: format_named(name) for name in dict.fromkeys(formats)}
    if len({f.file for f in chosen.values()}) < len(chosen):
        names = ", ".join(map(line, chosen))
        raise BadInput(f"Two of the formats {names} write the same file. Ask for one at a time.")
    return chosen


def _put_images(stage: Path, placed: Iterable[tuple[str, bytes]], own: Mapping[str, bytes]) -> None:
    """Write images beside the text, one by one; of two with one name, the article's own stays."""
    for name, data in chain(placed, own.items()):
        if not (stage / name).exists():
            put(stage / name, data)


def _check_all(formats: Collection[Format], article: Article, stage: Path, images: Images, own: int) -> None:
    """Reopen the files and compare them with the article: texts, pictures as they are seen, the draft's own images.

    images: the pictures that its figures must show. own: the number of the draft's own. Raises ExportFailed.
    """
    sources = [images(i.image_id)[0] for i in figures(article)]
    for f in formats:
        file = stage / f.file
        f.check(article, file)
        if f.shown:
            check_seen(file, sources, f.shown(file), ordered=f.ordered)
        if f.own:
            counted(file, "images of the draft's own", own, f.own(file))
    if any(f.linked for f in formats):
        check_files(article, stage)


def _write(f: Format, article: Article, pictures: Pictures, stage: Path) -> None:
    content = f.write(article, pictures)
    put(stage / f.file, as_bytes(content) if isinstance(content, str) else content)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its name relative to the folder, as `sha256sum` prints it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def format_named(name: str) -> Format:
    """A format by name, limner's own or a plug-in's. Raises BadInput, PluginFailed."""
    if name in FORMATS:
        return FORMATS[name]
    return exporter(name, FORMATS)


def _markdown(article: Article, _: Pictures) -> str:
    return to_markdown(article, linked_files(article))


def check_files(article: Article, folder: Path) -> None:
    """Check that every image of the article exists and decodes to its last row."""
    for file in dict.fromkeys(i.file for i in article.illustrations):
        decoded((folder / file).read_bytes(), file)


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
FORMATS: dict[str, Format] = {
    "md": Format("article.md", True, _markdown, check_markdown, None, "text/markdown"),
    "html": Format("article.html", False, to_html, check_html, own_in_html, "text/html", shown_in_html),
    "json": Format("article.json", True, lambda a, _: to_json(a), check_json, None, "application/json"),
    "docx": Format("article.docx", False, to_docx, DOCX.check, DOCX.own, _WORD, DOCX.shown),
    "epub": Format("article.epub", False, to_epub, EPUB.check, EPUB.own, "application/epub+zip", EPUB.shown),
    "pdf": Format("article.pdf", False, to_pdf, check_pdf, own_in_pdf, "application/pdf", shown_in_pdf, ordered=False),
}
