"""Give a library another encoder of captions or of pictures, or its first one, beside the one that it has.

New vectors are made at a place of their own (see `places`) while all programs search the former ones. Only what the new
encoder makes is computed: the other vectors are copied. Images are encoded without the lock of writers, so others may
index meanwhile; what they changed is found by a digest of each image's words. With the lock, the rest is encoded, and
one transaction switches encoders, vectors and what is chance together (see `beside`).

A kill at any point loses what is in flight. The next run goes on, and deletes what was left (`beside.sweep`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from limner.errors import EncoderMismatch, LibraryBusy, LibraryError
from limner.models.encoders.known import Kind
from limner.text import printable_path
from limner.tools.encoders import Encoders
from limner.tools.library import places
from limner.tools.library.beside import PART, Done, Progress, Run, sweep
from limner.tools.library.folders import REENCODING, Connect, check_name, libraries, locked, mismatch, missing
from limner.tools.library.library import Library
from limner.tools.library.places import Beside
from limner.tools.library.records import meta, set_meta
from limner.tools.store import PATIENCE
from limner.tools.trial import runs

_PER_IMAGE = 1000  # bytes of ids, words and indices (measured: 930 with captions of nine words)


@dataclass(frozen=True)
class Costs:
    """What is to be done, and the room that it takes."""

    images: int
    done: int
    """Images that have new vectors already."""
    needed: int
    """Bytes for the others; 0 on a Qdrant server."""
    free: int
    """Bytes free on the library's disk."""


class Reencoding:
    """The way of one library to another encoder."""

    def __init__(
        self,
        home: Path,
        name: str,
        encoders: Encoders,
        chosen: tuple[Kind, str],
        *,
        connect: Connect | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Check that the library can get these encoders; nothing is changed.

        chosen: which of the encoders is the new one, and the name to record. Raises LibraryMissing, EncoderMismatch if
        the other encoders are not those of the library, and what `runs` raises if the new one does not run.
        """
        check_name(name)
        if name not in libraries(home):
            raise missing(home, name)
        self.kind: Kind = chosen[0]
        self.named, self.encoders = chosen[1], encoders
        self.part = PART[self.kind]
        self.library = Library(home, name, encoders, connect, patience)
        self.library.check_format()
        self.library.complete()
        made, half = self._now()
        self.is_done = made == encoders.names
        """Whether the library has these encoders already."""
        self.goes_on = half is not None and half.leads(made, encoders.names)
        """Whether an earlier run has begun."""
        if self.is_done:
            return
        _check_others(home, name, made, encoders.names, self.part)
        if not self.goes_on:
            runs(encoders, self.kind)

    def run(
        self, progress: Progress = lambda done, of: None, wait: Callable[[], None] = lambda: None, *, skip: bool = False
    ) -> Done:
        """Make the vectors that are not made yet, and switch to them.

        wait: called when another program writes the library, whose end is waited for. skip: let pictures whose files
        are away go without vectors. Raises LibraryBusy if another program makes vectors beside this library,
        LibraryError for pictures that are away and for a full disk; the next run goes on.
        """
        with _alone(self.library):
            made, half = self._now()
            done = Done()
            if made == self.encoders.names:
                done.dropped = self._keep_what_is()
            else:
                _check_others(self.library.home, self.library.name, made, self.encoders.names, self.part)
                if not half or not half.leads(made, self.encoders.names):
                    done.dropped = half.named if half else ""
                    half = self._begin(made)
                Run(self.library, half, done, progress, wait, skip).run()
            sweep(self.library)
            return done

    def costs(self) -> Costs:
        """What is left to do. Raises LibraryError if the disk has no room for it."""
        library = self.library
        with library.transaction() as records:
            images, done = len(library), places.count(records) if self.goes_on else 0
        # As numbers of four bytes in the store, and once more in its rows.
        needed = (images - done) * (8 * sum(self.encoders.sizes.values()) + _PER_IMAGE) if library.store.is_local else 0
        found = Costs(images, done, needed, shutil.disk_usage(library.path).free)
        if found.needed > found.free and not self.is_done:
            where = printable_path(str(library.path))
            room = f"about {found.needed / 1e6:,.0f} MB in {where}, and {found.free / 1e6:,.0f} MB are free"
            raise LibraryError(f"The new vectors of {library.name} need {room}: make room, then run this again.")
        return found

    def _now(self) -> tuple[dict[str, str], Beside | None]:
        with self.library.transaction() as records:
            return json.loads(meta(records, "encoders")), places.beside(records)

    def _keep_what_is(self) -> str:
        """Note the encoder's name, and leave what is made beside for another one; returns the name of that."""
        with self.library.transaction() as records:
            set_meta(records, self.kind, self.named)
            half = places.abandon(records)
            return half.named if half else ""

    def _begin(self, made: dict[str, str]) -> Beside:
        half = Beside(uuid4().hex[:8], self.kind, self.named, made, self.encoders.names)
        with self.library.transaction() as records:
            places.begin(records, half)
        sweep(self.library)
        return half


def half_made(library: Library) -> tuple[Beside, int] | None:
    """(what is made beside a library's vectors, the number of images that have it); None if nothing is."""
    with library.transaction() as records:
        half = places.beside(records)
        return (half, places.count(records)) if half else None


def abandon(library: Library) -> Beside | None:
    """Drop what is made beside a library's vectors; returns what that was. Raises LibraryBusy while it is made."""
    with _alone(library):
        with library.transaction() as records:
            half = places.abandon(records)
        sweep(library)
    return half


@contextmanager
def _alone(library: Library) -> Iterator[None]:
    """Exclude other programs that make vectors beside this library's."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(library.home, library.name, 0, REENCODING))
        except LibraryBusy as error:
            raise LibraryBusy(f"Another limner is reencoding {library.name}: wait for its end, or stop it.") from error
        yield


def _check_others(home: Path, name: str, made: dict[str, str], have: dict[str, str], part: str) -> None:
    """Raises EncoderMismatch unless all encoders but `part` are those that the library was made with."""
    for other in sorted({*made, *have} - {part}):
        if made.get(other) == have.get(other):
            continue
        if other == "words":  # of another limner: no setting brings them back
            raise mismatch(home, name, made, have)
        variable = "LIMNER_CLIP_MODEL" if other == "clip" else "LIMNER_ENCODER"
        raise EncoderMismatch(
            f"The library {name} was made with {made.get(other, 'no such encoder')} ({other}), but "
            f"{have.get(other, 'none')} is set now: set {variable} as it was."
        )
