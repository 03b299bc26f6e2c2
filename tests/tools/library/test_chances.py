"""What is chance in a library: measured when it is indexed and kept; bare pictures are placed by what they show."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.document import Selection, read_markdown
from limner.tools.arrange import arrange
from limner.tools.bm25 import Words
from limner.tools.chance import SAMPLE, unrelated
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, index
from limner.tools.library.records import RECORDS
from limner.tools.retrieve import retrieve
from limner.tools.spotting import spots_from_text

COLOURS = {
    "red": (220, 30, 30), "green": (30, 160, 40), "blue": (30, 40, 220), "yellow": (240, 230, 40),
    "white": (250, 250, 250), "black": (5, 5, 5), "purple": (140, 30, 160), "orange": (250, 140, 20),
}  # fmt: skip
SHADES = tuple(COLOURS)


class Colours:
    """A picture encoder that sees colours and reads their names; its cosines lie in a band from 0.6 on, as e5's do."""

    name, size = "colours", 73
    encoded = 0

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.encoded += len(pictures)
        means = [np.asarray(p.convert("RGB"), np.float32).mean(axis=(0, 1)) for p in pictures]
        near = [[float(np.abs(mean - COLOURS[c]).max() < 8) for c in SHADES] for mean in means]
        return self._banded(np.array(near), [str(mean) for mean in means])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self._banded(np.array([[float(f" {c} " in text.lower()) for c in SHADES] for text in texts]), texts)

    def _banded(self, seen: np.ndarray, seeds: Sequence[str]) -> np.ndarray:
        """The colours, or where there are none a direction by chance; and a part that all vectors have."""
        rest = np.array([np.random.default_rng(zlib.crc32(s.encode())).normal(size=self.size - 9) for s in seeds])
        rest *= (seen.sum(axis=1, keepdims=True) == 0) / np.linalg.norm(rest, axis=1, keepdims=True)
        rows = np.hstack([seen, rest, np.full((len(seen), 1), 1.6)])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pictures(folder: Path, *, names: str = "DSC_{:04}.png") -> dict[str, str]:
    """A picture of each colour and some between; file name -> colour."""
    folder.mkdir()
    made = {}
    for n in range(24):
        shade = SHADES[n % 8] if n < 8 else ""
        colour = COLOURS[shade] if shade else (120 + n, 110 + n, 100 + n)
        Image.new("RGB", (16, 16), colour).save(folder / names.format(n))
        made[names.format(n)] = shade
    return made


@pytest.fixture
def encoders() -> Encoders:
    return Encoders(MiniLM(threads=1), Words(), Colours())


TEXT = "\n\n".join(
    [
        "The ripe tomato was red all over.",
        "The committee elected a new treasurer and adjourned.",
        "Value added tax is due each quarter.",
        "The sea lay blue under the cliffs.",
        "The contract may be ended in writing.",
        "The lease was signed by both parties.",
    ]
)


def placed(library: Library, text: str, images: Any) -> dict[str, str]:
    """Paragraph -> file name of the image after it."""
    article = read_markdown(text, title="Notes")
    spots = spots_from_text(article)
    found = retrieve([library], spots, 50)
    options = [Selection(spot=s, candidates=tuple(found[s.id]), by="similarity") for s in spots]
    kept, _ = arrange(article, options, images)
    after = {s.id: article.paragraphs[article.number(s.after)].text for s in spots}
    return {after[s][:20]: Path(library.record(c.image_id).path).name for s, c in kept.items()}


def test_bare_pictures_are_placed_by_what_they_show(home: Path, tmp_path: Path, encoders: Encoders) -> None:
    pictures(tmp_path / "p")
    library, _ = index(home, "bare", [tmp_path / "p"], encoders)
    assert placed(library, TEXT, "auto") == {
        "The ripe tomato was ": "DSC_0000.png",
        "The sea lay blue und": "DSC_0002.png",
    }
    nothing = "\n\n".join(p for p in TEXT.split("\n\n") if "red" not in p and "blue" not in p)
    assert placed(library, nothing, "auto") == {}
    assert len(placed(library, nothing, 2)) == 2  # as many as asked for all the same


def test_a_bare_picture_has_no_caption_to_be_searched_by(home: Path, tmp_path: Path, encoders: Encoders) -> None:
    pictures(tmp_path / "p")
    (tmp_path / "p" / "DSC_0000.txt").write_text("A ripe tomato")
    library, _ = index(home, "mixed", [tmp_path / "p"], encoders)
    found = {Path(library.record(c.image_id).path).name: c for c in library.search(["A red tomato"], 24)[0]}
    assert set(found["DSC_0000.png"].fits) == {"caption", "clip"}
    assert set(found["DSC_0001.png"].fits) == {"clip"}
    assert "caption" not in found["DSC_0001.png"].scores
    assert found["DSC_0000.png"].fits["clip"] > 4 > 3 > abs(found["DSC_0001.png"].fits["clip"])


def test_without_a_picture_encoder_a_bare_picture_is_still_found_by_its_name(home: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "p")
    library, _ = index(home, "names", [tmp_path / "p"], Encoders(MiniLM(threads=1), Words()))
    first = library.search(["DSC 0007"], 3)[0][0]
    assert (first.caption, first.fits) == ("DSC 0007", {})
    assert placed(library, TEXT, "auto") == {}
    assert len(placed(library, TEXT, 2)) == 2


def rows(library: Library, query: str) -> list[tuple[Any, ...]]:
    with library.transaction() as records:
        return records.execute(query).fetchall()


def test_chance_is_measured_at_indexing_and_kept(home: Path, tmp_path: Path, encoders: Encoders) -> None:
    pictures(tmp_path / "p", names="red barn {}.png")
    library, _ = index(home, "kept", [tmp_path / "p"], encoders)
    assert [name for (name,) in rows(library, "SELECT encoder FROM chance ORDER BY encoder")] == ["caption", "clip"]
    assert rows(library, "SELECT encoder, count(*) FROM sample GROUP BY encoder") == [("caption", 24), ("clip", 24)]
    before = rows(library, "SELECT * FROM chance")
    again = Library.open(home, "kept", encoders)
    again.search(["a barn"], 3)
    index(home, "kept", [tmp_path / "p"], encoders)
    assert rows(again, "SELECT * FROM chance") == before
    assert again.chances()["clip"].base > 0.7 > again.chances()["caption"].base


def test_a_change_of_the_sample_is_measured_again(home: Path, tmp_path: Path, encoders: Encoders) -> None:
    pictures(tmp_path / "p")
    library, _ = index(home, "changing", [tmp_path / "p"], encoders)
    before = rows(library, "SELECT * FROM chance")
    for path in list((tmp_path / "p").iterdir())[:20]:
        path.unlink()
    Image.new("RGB", (16, 16), (1, 200, 200)).save(tmp_path / "p" / "DSC_9999.png")
    index(home, "changing", [tmp_path / "p"], encoders)
    assert rows(library, "SELECT * FROM chance") != before
    assert len(library.chances()["clip"].sample) == 5


def test_a_library_of_an_older_limner_is_measured_on_first_use(home: Path, tmp_path: Path, encoders: Encoders) -> None:
    pictures(tmp_path / "p")
    library, _ = index(home, "older", [tmp_path / "p"], encoders)
    before = rows(library, "SELECT base, spread, apart FROM chance ORDER BY encoder")
    with sqlite3.connect(library.path / RECORDS) as records:
        records.executescript("DROP TABLE chance; DROP TABLE sample;")
    again = Library.open(home, "older", encoders)
    assert placed(again, TEXT, "auto") == placed(library, TEXT, "auto")
    after = rows(again, "SELECT base, spread, apart FROM chance ORDER BY encoder")
    assert np.allclose(np.array(after), np.array(before), atol=1e-5)
    clip = encoders.clip
    assert isinstance(clip, Colours)
    count = clip.encoded
    again.search(["red"], 3)
    assert clip.encoded == count  # measured once


def test_the_sample_is_bounded_and_does_not_depend_on_the_order(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    clip = Colours()
    made = Encoders(MiniLM(threads=1), Words(), clip)
    for n in range(SAMPLE + 30):
        Image.new("RGB", (4, 4), (n, 255 - n, n // 2)).save(folder / f"DSC_{n:04}.png")
    library, _ = index(home, "many", [folder], made)
    ids = sorted(record.id for record in library.records())[:SAMPLE]
    assert [
        image for (image,) in rows(library, "SELECT image FROM sample WHERE encoder = 'clip' ORDER BY image")
    ] == ids


def test_unrelated_texts_are_encoded_once_in_a_process() -> None:
    first = unrelated(MiniLM(threads=1))
    assert unrelated(MiniLM(threads=1)) is first
