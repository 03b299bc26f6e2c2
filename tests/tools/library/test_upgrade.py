"""Libraries of an older limner, which knew vectors but no rows, or left the rows as they were."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add
from limner.tools.library.records import FORMAT
from limner.tools.rows import Rows
from limner.tools.stored import Vectors

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.mark.parametrize("rows", ["stale", "none"])
def test_what_an_older_limner_changed_is_found_without_encoding_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(3):
        Image.new("RGB", (8, 8), (50 * n, 7, 7)).save(photos / f"{n}.png")
        (photos / f"{n}.txt").write_text(f"A jar of honey, number {n}")
    library = Library.create(home, "photos", ENCODERS)
    add(library, [photos])
    first = library.records()[0]
    words = "The rings of Saturn"
    with monkeypatch.context() as patched, library.vectors() as store:
        patched.setattr(Rows, "append", lambda *_: None)
        store.upsert([(first.id, Vectors(ENCODERS.caption.encode_texts([words])[0], ENCODERS.words.document(words)))])
    library.set_meta("format", "1")
    if rows == "none":
        shutil.rmtree(library.path / "vectors.rows")

    opened = Library.open(home, "photos", ENCODERS)
    monkeypatch.setattr(Library, "put", lambda *_: pytest.fail("encoded again"))
    [found] = opened.search(["The rings of Saturn"], 3)
    assert len(found) == 3
    assert found[0].image_id == first.id
    assert found[0].scores["caption"] == pytest.approx(1, abs=1e-5)
    assert opened.meta("format") == str(FORMAT)
    made = json.loads((library.path / "vectors.rows/rows.json").read_text())
    Library.open(home, "photos", ENCODERS).search(["Saturn"], 3)
    assert json.loads((library.path / "vectors.rows/rows.json").read_text()) == made, "upgraded each time"


def test_what_killed_creations_and_removals_left_is_swept(home: Path) -> None:
    names = (".photos.0123456789ab", ".photos.0123456789ac", ".photos.b.0123456789ab")
    for name in names:
        (home / "libraries" / name).mkdir(parents=True)
    for name in (names[0], names[2]):  # the other one may be one that goes on
        os.utime(home / "libraries" / name, (1e9, 1e9))
    library = Library.create(home, "photos", ENCODERS)
    left = {path.name for path in (home / "libraries").iterdir() if path.is_dir()}
    assert left == {"photos", *names[1:]}
    os.utime(home / "libraries" / names[1], (1e9, 1e9))
    os.utime(library.path, (1e9, 1e9))
    library.remove()
    assert {path.name for path in (home / "libraries").iterdir() if path.is_dir()} == {names[2]}


def test_files_that_an_older_limner_read_are_read_once_more_and_not_encoded(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept no time of their last change of any kind."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8), (50, 7, 7)).save(photos / "a.png")
    (photos / "a.txt").write_text("A jar of honey")
    library = Library.create(home, "photos", ENCODERS)
    add(library, [photos])
    with library.transaction() as records:
        records.executescript("ALTER TABLE file DROP COLUMN touched; DELETE FROM meta WHERE key LIKE 'unchanged %'")
    monkeypatch.setattr(Library, "put", lambda _self, records, _pictures: not records or pytest.fail("encoded again"))
    report = add(Library.open(home, "photos", ENCODERS), [photos])
    assert (report.known, report.changed, report.added) == (1, 0, 0)
    with library.transaction() as records:
        assert records.execute("SELECT touched FROM file").fetchall() == [((photos / "a.png").stat().st_ctime_ns,)]
