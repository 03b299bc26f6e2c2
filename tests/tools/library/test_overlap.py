"""Pictures are decoded while others are encoded, batch by batch, and each once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.images.images import Inspected
from limner.tools.library import Folders, Library, sync

BATCH = 4


class Watched(Folders):
    """Folders that say when a picture of the second batch is being read."""

    batch = BATCH

    def __init__(self, folder: Path, begun: threading.Event) -> None:
        super().__init__([folder])
        self.begun, self.count, self.lock = begun, 0, threading.Lock()

    def inspect(self, data: bytes, clip: bool) -> Inspected:
        with self.lock:
            self.count += 1
            if self.count > BATCH:
                self.begun.set()
        return super().inspect(data, clip)


class Waiting:
    """An encoder that does not finish its first batch before the second is being read."""

    name, size = "waiting", 8

    def __init__(self, begun: threading.Event) -> None:
        self.begun, self.waited, self.seen = begun, [], 0

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.waited.append(self.begun.wait(60))
        self.seen += len(pictures)
        return self.encode_texts([str(p.getpixel((0, 0))) for p in pictures])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([np.random.default_rng(len(t)).normal(size=8) for t in texts], np.float32).reshape(-1, 8)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3 * BATCH):
        Image.new("RGB", (16, 16), (20 * n, 0, 0)).save(folder / f"DSC_{n:04}.png")
    return folder


def test_the_next_batch_is_read_while_one_is_encoded(home: Path, photos: Path) -> None:
    begun = threading.Event()
    encoder = Waiting(begun)
    library = Library.create(home, "photos", Encoders(MiniLM(threads=1), Words(), encoder))
    done: list[tuple[int, int]] = []
    report = sync(library, Watched(photos, begun), lambda n, of: done.append((n, of)))
    assert encoder.waited[0], "the first batch was encoded before the second was being read"
    assert (report.added, encoder.seen) == (3 * BATCH, 3 * BATCH)
    assert done == [(0, 12), (4, 12), (8, 12), (12, 12)]
