"""Bundled libraries are rebuilt by several processes at once, and what was written in them stays."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import filelock
import pytest
from PIL import Image

from limner.errors import EncoderMismatch
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Folders, Library, bundled
from limner.tools.library.bundled import bundled_library

ENCODERS = Encoders(MiniLM(threads=1), Words())
OTHERS = Encoders(ENCODERS.caption, Words(k1=2))
LONG = 60.0  # seconds; a test that waits so long has failed


def wait(event: threading.Event) -> None:
    assert event.wait(LONG)


def test_two_that_rebuild_it_at_once_keep_its_captions(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the mismatch. The second begins when the first has an empty library, and could remove it when the first
    has written the captions into it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    made = bundled_library(home, "bundled", ENCODERS, Folders([folder]), "1")
    [record] = made.records()
    made.write({record.id: {"caption": "A heron"}})
    both, emptied, begun, done = threading.Barrier(2), *(threading.Event() for _ in range(3))
    libraries: dict[str, Library] = {}

    def is_second() -> bool:
        return threading.current_thread().name == "second"

    opened, restore = Library.open_or_create, Library.restore
    acquire, words, remove = filelock.FileLock.acquire, bundled.written_in, bundled.remove

    def open_or_create(*given: Any, **more: Any) -> Library:
        try:
            return opened(*given, **more)
        except EncoderMismatch:
            both.wait(LONG)
            if is_second():
                wait(emptied)
            raise

    def restored(self: Library, kept: Any) -> None:
        if not is_second():
            emptied.set()
            wait(begun)
        restore(self, kept)

    def locked(self: Any, *given: Any, **more: Any) -> Any:
        if is_second():
            begun.set()
        return acquire(self, *given, **more)

    def written_in(*given: Any) -> Any:
        found = words(*given)
        if is_second():
            begun.set()
        return found

    def removed(*given: Any, **more: Any) -> None:
        if is_second():
            wait(done)
        remove(*given, **more)

    monkeypatch.setattr(Library, "open_or_create", open_or_create)
    monkeypatch.setattr(Library, "restore", restored)
    monkeypatch.setattr(filelock.FileLock, "acquire", locked)
    monkeypatch.setattr(bundled, "written_in", written_in)
    monkeypatch.setattr(bundled, "remove", removed)

    def rebuild() -> None:
        name = threading.current_thread().name
        try:
            libraries[name] = bundled_library(home, "bundled", OTHERS, Folders([folder]), "1")
        finally:
            if name == "first":
                done.set()

    threads = [threading.Thread(target=rebuild, name=name) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(libraries) == {"first", "second"}
    library = Library.open(home, "bundled", OTHERS)
    assert library.own_words() == {record.id: {"caption": "A heron"}}
    assert [r.caption for r in library.records()] == ["A heron"]
    assert libraries["first"].search(["heron"], 1)[0][0].caption == "A heron"
