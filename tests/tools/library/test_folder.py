"""What a folder says of its images: sidecars, tables, names, and how hostile text is cleaned."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.text import one_line, printable_path
from limner.tools.images.images import Described
from limner.tools.library.folder import CAPTION_LENGTH, CREDIT_LENGTH, describe, readable, scan


def said(folder: Path, name: str, embedded: Described | None = None) -> tuple[Described, bool]:
    return describe(str(folder / name), embedded or Described(), scan(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = (tmp_path / "pictures").resolve()
    made.mkdir()
    (made / "a.jpg").write_bytes(b"x")
    return made


def test_a_text_beside_the_image_gives_its_first_line(folder: Path) -> None:
    (folder / "a.txt").write_text("\ufeff\n A heron \n more", encoding="utf-8")
    assert said(folder, "a.jpg") == (Described("A heron"), True)


def test_the_text_may_be_named_after_the_whole_file(folder: Path) -> None:
    (folder / "a.jpg.txt").write_text("A heron")
    assert said(folder, "a.jpg")[0].caption == "A heron"


def test_json_beside_the_image_gives_every_field(folder: Path) -> None:
    row = {"Caption": "A heron", "alt_text": "Grey bird", "author": "Ada", "license": "CC0", "other": [1]}
    (folder / "a.json").write_text(json.dumps(row))
    assert said(folder, "a.jpg") == (Described("A heron", "Grey bird", "Ada", "CC0"), True)


def test_a_takeouts_title_is_the_files_name_and_no_caption(folder: Path) -> None:
    (folder / "a.jpg.json").write_text(json.dumps({"title": "a.jpg", "description": ""}))
    assert said(folder, "a.jpg") == (Described("a"), False)


@pytest.mark.parametrize("key", ["file_name", "file"])
@pytest.mark.parametrize("name", ["metadata.jsonl", "library.jsonl", "metadata.csv", "metadata-2.csv"])
def test_tables_name_their_images(folder: Path, name: str, key: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "b.png").write_bytes(b"x")
    rows = [{key: "a.jpg", "text": "A heron, fishing"}, {key: "sub/b.png", "text": "A tide", "licence": "CC BY 4.0"}]
    if name.endswith("jsonl"):
        lines = [json.dumps(row) for row in rows]
    else:
        lines = [f"{key},text,licence", 'a.jpg,"A heron, fishing",', "sub/b.png,A tide,CC BY 4.0"]
    (folder / name).write_text("\n".join(lines))
    assert said(folder, "a.jpg")[0].caption == "A heron, fishing"
    assert said(folder, "sub/b.png")[0] == Described("A tide", licence="CC BY 4.0")


def test_what_is_nearer_to_the_image_comes_first_field_by_field(folder: Path) -> None:
    embedded = Described("in the file", "alt in the file", "credit in the file", "licence in the file")
    assert said(folder, "a.jpg", embedded) == (embedded, True)
    (folder / "metadata.csv").write_text(
        "file_name,text,alt,credit\na.jpg,in the table,alt in the table,credit in the table"
    )
    (folder / "a.txt").write_text("in the text")
    (folder / "a.json").write_text(json.dumps({"credit": "credit in JSON"}))
    expected = Described("in the text", "alt in the table", "credit in JSON", "licence in the file")
    assert said(folder, "a.jpg", embedded) == (expected, True)


def test_an_alternative_text_alone_is_a_caption_too(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({"alt": "Grey bird"}))
    assert said(folder, "a.jpg") == (Described("Grey bird", "Grey bird"), True)


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("harvest_at-dusk.02", "harvest at dusk 02"),
        ("bigRedBarn", "big Red Barn"),
        ("IMG_2041", "IMG 2041"),
        ("蜂蜜%20罐", "蜂蜜 罐"),
        ("---", "image"),
    ],
)
def test_else_the_files_name_is_made_readable(stem: str, words: str) -> None:
    assert readable(stem) == words


def test_captions_that_cannot_be_read_are_noted_with_their_place(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "A heron"}\n{oops\n{"text": "whose?"}\n[1]')
    (folder / "a.json").write_text("{oops")
    found = scan(folder)
    assert describe(str(folder / "a.jpg"), Described(), found)[0].caption == "A heron"
    reasons = [(Path(path).name, reason) for path, reason in found.problems]
    assert [r[1] for r in reasons if r[0] == "metadata.jsonl"] == [
        "3 rows have no file name, the first in line 2: name it in a column file_name"
    ]
    assert any(name == "a.json" and "not JSON" in reason for name, reason in reasons)


def test_a_table_cannot_reach_out_of_the_folder(folder: Path) -> None:
    (folder.parent / "secret.jpg").write_bytes(b"x")
    (folder / "metadata.csv").write_text("file_name,text\n../secret.jpg,mine\n/etc/passwd,mine")
    assert set(scan(folder).files) == {str(folder / "a.jpg")}


def test_hidden_files_and_other_files_are_passed_over(folder: Path) -> None:
    for name in (".hidden.jpg", "notes.md", "Thumbs.db", ".git/b.jpg", "__MACOSX/._a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    found = scan(folder)
    assert list(found.files) == [str(folder / "a.jpg")]
    assert found.refused == []


def test_links_out_of_the_folder_are_refused_and_links_within_are_not(folder: Path) -> None:
    (folder.parent / "secret").mkdir()
    (folder.parent / "secret" / "s.jpg").write_bytes(b"x")
    (folder / "out.jpg").symlink_to(folder.parent / "secret" / "s.jpg")
    (folder / "outdir").symlink_to(folder.parent / "secret")
    (folder / "in.jpg").symlink_to(folder / "a.jpg")
    (folder / "a.txt").symlink_to(folder.parent / "secret" / "words.txt")
    (folder.parent / "secret" / "words.txt").write_text("secret words")
    found = scan(folder)
    assert [Path(p).name for p in found.files] == ["a.jpg", "in.jpg"]
    assert [(Path(p).name, "copy the file" in reason) for p, reason in found.refused] == [
        ("out.jpg", True),
        ("outdir", True),
    ]
    assert describe(str(folder / "a.jpg"), Described(), found)[0].caption == "a"


def test_a_pipe_and_a_broken_link_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    assert [Path(p).name for p, _ in scan(folder).refused] == ["gone.png", "pipe.png"]


def test_a_name_that_is_not_utf_8_is_refused_in_words_that_can_be_printed(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(b"x")
    [(path, reason)] = scan(folder).refused
    path.encode()
    assert path.endswith("caf\\xe9.jpg") or "caf" in path
    assert "rename it" in reason


def test_hostile_captions_become_one_bounded_line(folder: Path) -> None:
    text = "A\x00 heron\x1b[31m \u202egnp.\u2066 end"
    (folder / "a.json").write_text(json.dumps({"caption": text, "credit": "x" * 5000, "alt": "y" * 5000}))
    found, _ = said(folder, "a.jpg")
    assert found.caption == "A heron [31m gnp. end"
    assert (len(found.alt), len(found.credit)) == (CAPTION_LENGTH, CREDIT_LENGTH)


@given(st.text())
def test_cleaned_text_is_one_printable_line_and_stays(text: str) -> None:
    once = one_line(text)
    assert len(once.splitlines()) <= 1
    assert one_line(once) == once
    once.encode()


def test_paths_are_shown_on_one_line() -> None:
    assert printable_path("a\nb\x1b[0m.jpg") == "a b [0m.jpg"
