"""Several processes use a library at once: searches wait for nobody, and never see half a batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Folders, Library, add
from limner.tools.store import EdgeStore, Store

ENCODERS = Encoders(MiniLM(threads=1), Words())
READER = """
import json, sys
from pathlib import Path
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library
library = Library.open(Path(sys.argv[1]), "many", Encoders(MiniLM(threads=1), Words()), patience=0.05)
seen = []
while not seen or seen[-1] < int(sys.argv[2]):
    [hits] = library.search(["a picture of things"], 100)
    if len(hits) not in seen[-1:]:
        seen.append(len(hits))
        print(len(seen), flush=True)
print(json.dumps(seen))
"""


def paint(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for n in numbers:
        Image.new("RGB", (8, 8), (n, 7, 7)).save(folder / f"{n:02}.png")
        (folder / f"{n:02}.txt").write_text(f"picture number{n:02} of things")
    return folder


@pytest.fixture
def library(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(Folders, "batch", 4)
    library = Library.create(home, "many", ENCODERS)
    add(library, [paint(tmp_path / "photos", range(8))])
    return library


def test_four_processes_search_while_another_indexes(library: Library, tmp_path: Path) -> None:
    total = 48
    command = [sys.executable, "-c", READER, str(library.home), str(total)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for reader in readers:
        assert reader.stdout
        assert reader.stdout.readline() == "1\n", "the first search failed"
    report = add(library, [paint(tmp_path / "photos", range(total))])
    assert report.added == total - 8
    for reader in readers:
        lines = reader.communicate()[0].splitlines()
        assert reader.returncode == 0
        seen = json.loads(lines[-1])
        assert (seen[0], seen[-1]) == (8, total)
        assert seen == sorted(seen)
        assert all(n % 4 == 0 for n in seen), "half a batch was found"


def test_a_search_does_not_wait_for_the_store(library: Library) -> None:
    reader = Library.open(library.home, "many", ENCODERS, patience=0.05)
    with library.alone(), library.held():
        assert reader.search(["number03"], 1)[0][0].caption == "picture number03 of things"


def test_an_indexing_opens_the_store_a_few_times_however_many_batches(home: Path, tmp_path: Path) -> None:
    opened: list[Path] = []

    def connect(folder: Path, _collection: str, sizes: dict[str, int]) -> Store:
        opened.append(folder)
        return EdgeStore(folder, sizes)

    counts = []
    for name, many in (("few", range(8)), ("more", range(40))):
        opened.clear()
        library = Library.create(home, name, ENCODERS, connect=connect)
        Folders.batch, before = 4, Folders.batch
        try:
            add(library, [paint(tmp_path / name, many)])
        finally:
            Folders.batch = before
        counts.append(len(opened))
    assert counts[0] == counts[1] <= 4
