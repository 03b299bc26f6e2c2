"""`limner sample`: a newcomer's first minute."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from PIL import Image
from shell import Shell

from limner.exports import read_json
from limner.tools.library.sample import PICTURES, TITLE

SHOWN = {  # a word of the paragraph before: words of the caption that must follow it
    "highlands": "highlands",
    "Lisbon": "Valles Marineris",
    "radar": "Venus",
    "sprays ice": "Enceladus",
    "comet": "Comet",
    "hexagons": "Keck",
}


def test_the_sample_is_illustrated_without_a_model_and_each_picture_shows_what_is_told(shell: Shell) -> None:
    said = shell("sample")
    assert said.code == 0, said.err
    (address,) = re.findall(r"file://\S+", said.out)
    page = Path(unquote(urlparse(address).path))
    assert page.is_file()
    article = read_json(page.parent / "article.json")
    assert article.title == TITLE
    assert 5 <= len(article.illustrations) <= 14
    blocks = list(article.blocks())
    before = {b.id: blocks[n - 1].text for n, b in enumerate(blocks) if b in article.illustrations}  # type: ignore[union-attr]
    for image in article.illustrations:
        assert image.credit
        for word, caption in SHOWN.items():
            if word in before[image.id]:
                assert caption in image.caption


def test_the_sample_can_be_had_twice(shell: Shell) -> None:
    first, second = shell("sample", "-q").out.strip(), shell("sample", "-q").out.strip()
    assert first != second
    assert (Path(first) / "article.html").is_file()
    assert (Path(second) / "article.html").is_file()


def test_every_photograph_has_its_words_and_its_licence() -> None:
    with (PICTURES / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["file_name"] for r in rows} == {p.name for p in PICTURES.glob("*.webp")}
    assert all(all(r.values()) for r in rows)
    for row in rows:
        with Image.open(PICTURES / row["file_name"]) as image:
            image.load()
            assert not image.getexif()
