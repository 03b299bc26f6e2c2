"""Pictures of words and of things, and an encoder that takes the one for the other, as CLIP models do."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM

MINILM = MiniLM(threads=1)
NEWS = (
    "The harvest of 1923 was the best in living memory. Farmers of the valley brought wheat and barley to the mill "
    "until late at night and the miller Tobias Quent had to hire four men to carry the sacks across the bridge. "
)


class Parrot:
    """A stand-in for CLIP: the vector of a picture is MiniLM's of the words drawn in it, or of what a thing looks like.
    It knows a picture by the colour of its lower right corner."""

    name, size = "a parrot", MINILM.size

    def __init__(self) -> None:
        self.shown: dict[tuple[int, int, int], str] = {}

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return MINILM.encode_texts(texts)

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        return MINILM.encode_texts([self.shown[p.getpixel((p.width - 1, p.height - 1))] for p in pictures])


class Gallery:
    """A folder of made pictures, with camera names, and the encoders that see them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.parrot = folder, Parrot()
        self.encoders = Encoders(MINILM, Words(), self.parrot)
        self.names: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def thing(self, what: str, looks: str) -> None:
        """A picture of a thing without words: soft shapes, different each time."""
        rng = np.random.default_rng(len(self.names))
        coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        self._save(what, coarse.resize((640, 480), Image.Resampling.BICUBIC), looks)

    def card(self, what: str, words: str) -> None:
        """Words on an empty card."""
        picture = Image.new("RGB", (640, 480), "white")
        write(picture, words, 64, (40, 180))
        self._save(what, picture, words)

    def sign(self, what: str, words: str, looks: str) -> None:
        """A thing with a small sign on it; what it looks like counts."""
        rng = np.random.default_rng(99)
        coarse = Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
        picture = coarse.resize((640, 480), Image.Resampling.BICUBIC)
        ImageDraw.Draw(picture).rectangle((180, 190, 470, 280), fill="white")
        write(picture, words, 56, (200, 200))
        self._save(what, picture, looks)

    def page(self, what: str, text: str) -> None:
        """A page full of text."""
        picture = Image.new("RGB", (800, 1000), "ivory")
        write(picture, text, 26, (30, 30))
        self._save(what, picture, text)

    def _save(self, what: str, picture: Image.Image, shown: str) -> None:
        n = len(self.names) + 1
        mark = (250, 250 - n, 240)
        ImageDraw.Draw(picture).rectangle(
            (picture.width - 12, picture.height - 12, picture.width, picture.height), fill=mark
        )
        picture.save(self.folder / f"IMG_{n:04}.png")
        self.names[f"IMG_{n:04}.png"], self.parrot.shown[mark] = what, shown


def write(picture: Image.Image, text: str, size: int, at: tuple[int, int]) -> None:
    """Draw text, broken into lines."""
    font, draw = ImageFont.load_default(size), ImageDraw.Draw(picture)
    x, y = at
    for word in text.split():
        wide = draw.textlength(word + " ", font=font)
        if x > at[0] and x + wide > picture.width - at[0]:
            x, y = at[0], y + int(size * 1.4)
        if y > picture.height - size - 16:
            return
        draw.text((x, y), word, fill="black", font=font)
        x += int(wide)


def png(picture: Image.Image) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def gallery(folder: Path) -> Gallery:
    """Things, one of them with a sign, and pictures of words that name some of the things."""
    made = Gallery(folder)
    made.thing("sunset", "orange sky above dark water in the evening, the sun low at the horizon")
    made.card("card", "A sunset over the sea")
    made.thing("harbour", "boats moored beside a stone pier")
    made.thing("field", "ripe wheat under a blue sky")
    made.thing("dog", "a brown dog running through grass")
    made.thing("bridge", "an iron bridge across a river gorge")
    made.thing("snow", "a mountain peak covered with snow")
    made.thing("market", "vegetables piled on a market stall")
    made.sign("shop", "BAKERY", "a street with a small shop and its sign")
    made.page("newspaper", NEWS * 2)
    return made
