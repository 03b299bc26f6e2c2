"""Read the articles to evaluate from the folders that limner left. They are not trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.document import Article, Illustration
from limner.errors import BadInput
from limner.exports.record import images_beside, read_json
from limner.text import printable_path

RECORD = "article.json"
LARGEST = 200_000_000  # bytes of an article.json; one of 100 figures has under 10 MB


@dataclass(frozen=True)
class Given:
    """An article and where it came from."""

    name: str
    """For tables: its folder, as it was named."""
    article: Article
    folder: Path

    def data(self, figure: Illustration) -> bytes:
        """A figure's file. Raises BadInput."""
        return images_beside(self.article, self.folder)(figure.image_id)[0]


def folders(refs: Sequence[str | Path]) -> list[Path]:
    """The article.json of each reference, once: the file, a folder with one, or a folder of such folders.

    Raises BadInput for a reference without an article.
    """
    found: dict[Path, None] = {}
    for ref in refs:
        path = Path(ref)
        if (path / RECORD).is_file():
            below = [path / RECORD]
        else:
            below = sorted(path.glob(f"*/{RECORD}")) if path.is_dir() else [path]
        if not below or not below[0].is_file():
            shown = printable_path(str(path))
            raise BadInput(f"No article in {shown}. Name the folder that `limner compose` or `illustrate` made.")
        found.update(dict.fromkeys(below))
    return list(found)


def read_one(ref: str | Path) -> Given:
    """The one article of a reference. Raises BadInput."""
    found = folders([ref])
    if len(found) > 1:
        raise BadInput(f"{printable_path(str(ref))} has {len(found)} articles. Name one of them.")
    return read(found[0])


def read(path: Path) -> Given:
    """The article of an article.json. Raises BadInput."""
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{printable_path(str(path))} has more than {LARGEST:,} bytes. Give a smaller article.")
    shown = path.parent if path.name == RECORD else path
    return Given(printable_path(str(shown)), read_json(path), path.parent)
