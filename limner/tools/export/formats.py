"""The formats, and the one function that writes an article in some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from limner.document import Article
from limner.errors import BadInput
from limner.tools.export.markdown import check_markdown, to_markdown
from limner.tools.export.names import file_names, linked_files
from limner.tools.export.page import check_html, to_html
from limner.tools.export.pictures import Images, filed, opened, shown_parts
from limner.tools.export.record import check_json, to_json
from limner.tools.export.staging import put, staged
from limner.tools.export.words import as_bytes, line


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
    write: Callable[[Article, Images], str]
    """The article, `file` of its illustrations set, as text."""
    check: Callable[[Article, Path], None]
    """Reads the written file again; raises ExportFailed where it is not the whole article."""


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
    chosen = {name: format_named(name) for name in dict.fromkeys(formats)}
    images = cache(shown_parts(article, images))
    files = file_names(article, images)
    article = article.model_copy(
        update={"illustrations": tuple(filed(i, files[i.image_id], images) for i in article.illustrations)}
    )
    texts = {f.file: f.write(article, images) for f in chosen.values()}
    linked = any(f.linked for f in chosen.values())
    with staged(folder) as stage:
        for name, text in texts.items():
            put(stage / name, as_bytes(text))
        for image_id, name in files.items() if linked else ():
            put(stage / name, images(image_id)[0])
        for name, path in (beside or {}).items() if linked else ():
            if not (stage / name).exists():
                put(stage / name, path.read_bytes())
        for f in chosen.values():
            f.check(article, stage / f.file)
        if linked:
            check_files(article, stage)
    written = {name: folder / f.file for name, f in chosen.items()}
    return Written(folder, article, written, len(files) if linked else 0)


def format_named(name: str) -> Format:
    if name not in FORMATS:
        raise BadInput(f"There is no format {line(name)!r}. Use some of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def check_files(article: Article, folder: Path) -> None:
    """Every image of the article is there and decodes to its last row."""
    for file in dict.fromkeys(i.file for i in article.illustrations):
        with opened((folder / file).read_bytes(), file) as image:
            image.load()


FORMATS: dict[str, Format] = {
    "md": Format("article.md", True, lambda a, _: to_markdown(a, linked_files(a)), check_markdown),
    "html": Format("article.html", False, to_html, check_html),
    "json": Format("article.json", True, lambda a, _: to_json(a), check_json),
}
