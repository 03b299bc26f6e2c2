"""Captions written in the shell: they win, they are saved before a library goes, and they come back."""

from __future__ import annotations

import json
from pathlib import Path

from shell import Shell


def test_captions_are_written_kept_and_given_up(shell: Shell, bees: Path) -> None:
    said = shell("library", "edit", "bees", "hive.png", "--caption", "A hive\nin snow", "--licence", "")
    assert said.code == 0, said.err
    assert "A hive in snow" in said.out
    found = shell("library", "search", "bees", "a hive in snow", "-k", "1").out
    assert "A hive in snow" in found
    again = shell("library", "add", "bees", str(bees))
    assert "1 keep words that people wrote in the library; they win over the folder's" in again.out
    assert "written here: words of 1 images" in shell("library", "show", "bees").out
    assert "A hive in snow" in shell("library", "show", "bees").out
    lacking = shell("library", "show", "bees", "--without", "licence").out
    assert ("hive.png" in lacking, "jar.png" in lacking) == (True, False)
    assert shell("library", "edit", "bees", "hive.png", "--reset").code == 0
    assert "A hive in snow" not in shell("library", "show", "bees").out
    assert "keep words" not in shell("library", "add", "bees", str(bees)).out


def test_a_library_with_captions_is_not_removed_by_accident(shell: Shell, bees: Path, tmp_path: Path) -> None:
    shell("library", "edit", "bees", "hive.png", "--caption", "A hive in snow")
    refused = shell("library", "remove", "bees")
    assert refused.code == 2
    assert "limner library captions bees bees.jsonl" in refused.err
    kept = tmp_path / "bees.jsonl"
    assert "words of 1 images" in shell("library", "captions", "bees", kept).out
    [row] = map(json.loads, kept.read_text().splitlines())
    assert row["caption"] == "A hive in snow"
    assert shell("library", "remove", "bees", "--captions-too").code == 0
    assert shell("library", "add", "bees", str(bees)).code == 0
    assert "A hive in snow" not in shell("library", "show", "bees").out
    assert "A hive in snow" in shell("library", "edit", "bees", "--from", kept).out
    assert "A hive in snow" in shell("library", "show", "bees").out


def test_what_cannot_be_written_is_one_line_and_exit_code_2(shell: Shell, bees: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"id": "hive.png", "caption": "good"}\n{"caption": 3}\n')
    for arguments, says in (
        (["hive.png"], "Nothing to write"),
        ([], "Name one image"),
        (["hive.png", "--caption", " "], "caption is empty"),
        (["nothing.png", "--caption", "x"], "no image nothing.png"),
        (["--from", wrong], "line 2"),
        (["--from", tmp_path / "none.jsonl"], "Cannot read"),
    ):
        said = shell("library", "edit", "bees", *arguments)
        assert (said.code, says in said.err, said.err.count("\n")) == (2, True, 1), said.err
    assert "written here" not in shell("library", "show", "bees").out
