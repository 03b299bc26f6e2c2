"""Copies of one image: whose caption counts, and the embargo and expiry of all of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from limner.tools.images.facts import Facts, limits, stricter
from limner.tools.images.images import Described
from limner.tools.library.records import Record


@dataclass
class Copies:
    """The copies of the library's images, in the scan of a run and outside it."""

    best: dict[str, tuple[Described, bool]] = field(default_factory=dict)
    """By image: the description of the first scanned copy that has a caption, else of the first; whether it has."""
    elsewhere: dict[str, list[Facts | None]] = field(default_factory=dict)
    """By image: the limits of its copies outside the scan; None for those that an older limner read."""
    here: dict[str, list[Facts]] = field(default_factory=dict)
    """By image: the limits of its scanned copies."""
    changed: list[tuple[str, str]] = field(default_factory=list)
    """(limits as JSON, path) of the scanned copies whose limits are not in the records yet."""

    def scanned(self, path: str, image: str, words: tuple[Described, bool], kept: str | None) -> None:
        """A copy within the scan. kept: its limits in the records, as JSON; None if they are unknown."""
        if image not in self.best or (words[1] and not self.best[image][1]):
            self.best[image] = words
        own = limits(words[0].facts)
        self.here.setdefault(image, []).append(own)
        if (text := json.dumps(own)) != kept:
            self.changed.append((text, path))

    def outside(self, image: str, kept: str | None) -> None:
        """A copy outside the scan. kept: as for `scanned`."""
        self.elsewhere.setdefault(image, []).append(None if kept is None else json.loads(kept))

    def record(self, old: Record) -> Record:
        """The record with the words of its best copy and the limits of all; a file's name does not displace the words
        of a copy elsewhere."""
        words, described = self.best[old.id]
        away = self.elsewhere.get(old.id, [])
        known = [old.facts if one is None else one for one in away]
        new = replace(old, **asdict(words), described=described) if described or not away else old
        return replace(new, facts=stricter(new.facts, *self.here[old.id], *known, first=False))


def keep(records: sqlite3.Connection, rows: Iterable[tuple[str, str]]) -> None:
    """Store limits of files: (limits as JSON, path)."""
    records.executemany("UPDATE file SET limits = ? WHERE path = ?", rows)
