"""A page of a library costs what its images cost, however many others there are."""

from __future__ import annotations

import sqlite3

import pytest

from limner.tools.images.images import Described
from limner.tools.library import captions, facts, machine
from limner.tools.library.records import INSERT_IMAGE, SCHEMA, Record, complete, image_row, page


def library(count: int) -> sqlite3.Connection:
    records = sqlite3.connect(":memory:")
    records.executescript(SCHEMA)
    complete(records)
    for n in range(count):
        image = f"{n * 7919 % 100_003:032x}"
        record = Record(image, "", ".png", 8, 8, f"picture {n}", credit="Ada" if n % 2 else "")
        records.execute(INSERT_IMAGE, image_row(record, Described()))
        facts.keep(records, {image: {"tag": ["a"]}}, "2026-11-30")
        paths = [f"/photos/{n:05}.png", f"/photos/{count - n:05} copy.png"] if n % 10 == 0 else [f"/photos/{n:05}.png"]
        records.executemany(
            "INSERT INTO file (path, size, changed, image) VALUES (?, 1, 1, ?)", [(p, image) for p in paths]
        )
    return records


def steps(records: sqlite3.Connection, after: str, without: str = "") -> int:
    """Tens of a page's steps in SQLite."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    records.set_progress_handler(step, 10)
    page(records, without, after, 20)
    records.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("without", ["", "credit"])
def test_each_image_is_on_one_page_by_its_first_path(without: str) -> None:
    records = library(120)
    captions.write(records, f"{7919:032x}", {"credit": ""})
    expected = [
        image for (path, image) in records.execute("SELECT min(path), image FROM file GROUP BY image ORDER BY 1")
        if not without or image == f"{7919:032x}" or path in {p for (p,) in records.execute(
            "SELECT path FROM file JOIN image ON id = image WHERE credit = ''")}
    ]  # fmt: skip
    found: list[str] = []
    after = ""
    while True:
        rows, total = page(records, without, after, 7)
        assert total == len(expected)
        if not rows:
            break
        found += [row.id for row in rows]
        after = rows[-1].path
        assert all(row.facts == {"tag": ["a"]} for row in rows)
    assert found == expected


def test_a_page_of_many_images_takes_as_many_steps_as_one_of_few() -> None:
    few, many = library(200), library(4000)
    for after in ("", "/photos/00100.png"):
        assert steps(many, after) < 2 * steps(few, after)


def test_machine_words_count_as_words() -> None:
    records = library(3)
    machine.keep(records, f"{0:032x}", machine.Suggestion(alt="A heron", language="en", model="m", made=1.0))
    assert page(records, "alt", "", 9)[1] == 2
