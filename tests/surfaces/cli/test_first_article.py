"""The first article, as a newcomer gets it: the embedded model, the starter library, no setting, one command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from limner.document import Article, Heading
from limner.exports import read_json


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The command of the README, once for all tests of this file."""
    folder = tmp_path_factory.mktemp("first")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("LIMNER_", "OPENAI_", "QDRANT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "limner.surfaces.cli.app", "compose", "How bees make honey"],
        cwd=folder,
        env={**plain, "LIMNER_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
    )
    return folder, done


def article_of(folder: Path) -> Article:
    return read_json(folder / "how-bees-make-honey" / "article.json")


def test_it_is_there_and_says_where(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = first
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# How bees make honey\n")
    for name in ("article.md", "article.html", "article.json"):
        assert f"how-bees-make-honey/{name}" in done.stdout.splitlines()
        assert (folder / "how-bees-make-honey" / name).stat().st_size > 1000
    assert "LIMNER_MODEL_URL" in done.stderr, "what would make it better"


def test_its_text_repeats_nothing_and_ends_its_sentences(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    article = article_of(first[0])
    texts = [p.plain for p in article.paragraphs]
    assert len(texts) >= 4
    assert 250 <= sum(len(t.split()) for t in texts) <= 1200
    sentences = Counter(s.strip().lower() for t in texts for s in re.split(r"(?<=[.!?])\s", t))
    assert max(sentences.values()) == 1
    headings = [b.plain.lower() for b in article.body if isinstance(b, Heading)]
    assert len(set(headings)) == len(headings), "no heading repeats another, or the title"
    assert all(re.search(r"[.!?][\"')]?$", t) for t in texts)


def test_it_has_pictures_with_credit(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = first[0]
    article = article_of(folder)
    assert article.illustrations
    shown = {i.caption.lower() for i in article.illustrations}
    assert any("bee" in c or "honey" in c for c in shown), shown
    for illustration in article.illustrations:
        assert illustration.licence == "CC BY-SA 4.0"
        assert illustration.alt != illustration.caption
        with Image.open(folder / "how-bees-make-honey" / illustration.file) as image:
            assert image.size == (illustration.width, illustration.height)
    assert [n for n in article.notes if "too small to judge images" in n]
