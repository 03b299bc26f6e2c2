"""Give a library another encoder of captions or of pictures, or its first one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from limner.errors import EncoderMismatch
from limner.models.encoders.known import Kind
from limner.tools.encoders import Encoders
from limner.tools.library.folders import Connect, collection, edge, library_path, locked, mismatch
from limner.tools.library.library import Library
from limner.tools.library.records import set_meta
from limner.tools.store import PATIENCE
from limner.tools.trial import runs

_PART: dict[Kind, str] = {"captions": "caption", "pictures": "clip"}
"""The vectors of an encoder, by their name in the records."""


def switch(
    home: Path,
    name: str,
    encoders: Encoders,
    chosen: tuple[Kind, str],
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
) -> bool:
    """Let an existing library use these encoders; returns whether its vectors must be made again.

    They are dropped then, and the next run of `indexing.sync` makes them, as far as it comes: images, captions and
    words that people wrote stay. chosen: which of the encoders is the new one, and the name to record. Raises
    EncoderMismatch if the other encoders are not those of the library, LibraryBusy, and what `runs` raises if the new
    encoder does not run; the library then stays as it is.
    """
    (kind, named), part = chosen, _PART[chosen[0]]
    with locked(home, name, patience):
        library = Library(home, name, encoders, connect, patience)
        library.check_format()
        library.complete()  # before anything is dropped: the tables of an older limner's library may be missing
        made, have = json.loads(library.meta("encoders")), encoders.names
        if made == have:
            library.set_meta(kind, named)
            return False
        _check_others(home, name, made, have, part)
        runs(encoders, kind)
        where = library_path(home, name) / "vectors"
        store = (connect or partial(edge, patience))(where, collection(name, library.meta("uid")), {})
        try:
            store.drop()
            # Before the store is let go, so that no process makes one for the old encoders in its place.
            with library.transaction() as records:
                set_meta(records, "encoders", json.dumps(have))
                set_meta(records, kind, named)
                records.execute("DELETE FROM sample WHERE encoder = ?", (part,))
                records.execute("DELETE FROM chance WHERE encoder = ?", (part,))
        finally:
            store.close()
        return True


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
