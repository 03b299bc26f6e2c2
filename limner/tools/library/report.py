"""The report of an indexing run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from limner.tools.images.images import Inspected


@dataclass
class Report:
    """What an indexing run did; counts are of files."""

    added: int = 0
    known: int = 0
    """Unchanged, or another copy of a known image."""
    renamed: int = 0
    changed: int = 0
    """With other bytes or another caption."""
    vanished: int = 0
    written: int = 0
    """Images with a caption written in the library that takes precedence over a different one in the folder."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """System folders and scaled copies that are left out on purpose, path and reason."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason; the reason ends with what to do."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Captions that could not be read, path and reason; their images are in the library all the same."""
    texts_read: int = 0
    """Pictures in which text was looked for, if the library's pictures are to be read; `texts_found` have some."""
    texts_found: int = 0
    texts_unread: list[tuple[str, str]] = field(default_factory=list)
    """Pictures in which text could not be looked for, path or library and reason."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Sources that could not be read, path and reason; what the library has of them stays."""

    @property
    def files(self) -> int:
        """All files, unreadable ones included."""
        return self.added + self.known + self.renamed + self.changed + len(self.unreadable)

    def again(self) -> dict[str, Any]:
        """The report of a second run, if nothing changes until then, for `read`."""
        stays: dict[str, Any] = {name: getattr(self, name) for name in ("written", "skipped", "unreadable", "problems")}
        return asdict(Report(known=self.files - len(self.unreadable), **stays))

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Report:
        """From `again`, also by way of JSON."""
        fields: dict[str, Any] = {name: [*map(tuple, v)] if isinstance(v, list) else v for name, v in kept.items()}
        return cls(**fields)


class Read(NamedTuple):
    """A file as it was read."""

    path: str
    image_id: str = ""
    seen: Inspected | None = None
    """The decoded image; None for one that the library has."""
    problem: str = ""
