"""Give a library another encoder of pictures, or its first one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from limner.errors import EncoderMismatch
from limner.tools.encoders import Encoders
from limner.tools.library.folders import PICTURES, Connect, collection, edge, library_path, locked
from limner.tools.library.library import Library
from limner.tools.library.records import set_meta
from limner.tools.store import PATIENCE
from limner.tools.trial import likeness


def switch(
    home: Path,
    name: str,
    encoders: Encoders,
    pictures: str,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
) -> bool:
    """Let an existing library use these encoders; returns whether its vectors must be made again.

    They are dropped then, and the next run of `indexing.sync` makes them, as far as it comes: images, captions and
    words that people wrote stay. pictures: the name that `encoders` has its encoder of pictures by. Raises
    EncoderMismatch if the other encoders are not those of the library, LibraryBusy, and what `likeness` raises if the
    new encoder does not run; the library then stays as it is.
    """
    with locked(home, name, patience):
        library = Library(home, name, encoders, connect, patience)
        made, have = json.loads(library.meta("encoders")), encoders.names
        if made == have:
            library.set_meta(PICTURES, pictures)
            return False
        if any(made.get(part) != have.get(part) for part in ("caption", "words")):
            raise EncoderMismatch(
                f"The library {name} was made with {made.get('caption')}, but the caption encoder now is "
                f"{have.get('caption')}: set LIMNER_ENCODER as it was."
            )
        if encoders.clip:
            likeness(encoders.clip)
        where = library_path(home, name) / "vectors"
        store = (connect or partial(edge, patience))(where, collection(name, library.meta("uid")), {})
        try:
            store.drop()
            # Before the store is let go, so that no process makes one for the old encoders in its place.
            with library.transaction() as records:
                set_meta(records, "encoders", json.dumps(have))
                set_meta(records, PICTURES, pictures)
                records.execute("DELETE FROM sample WHERE encoder = 'clip'")
                records.execute("DELETE FROM chance WHERE encoder = 'clip'")
        finally:
            store.close()
        return True
