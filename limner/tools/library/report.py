"""The report of an indexing run."""

from __future__ import annotations

from dataclasses import dataclass, field


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
