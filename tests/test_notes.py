"""Notes: sentences for people that programs read by their code."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import limner
from limner import errors
from limner.catalogue import ENGLISH
from limner.document import Article
from limner.errors import EditRefused, LimnerError
from limner.notes import Note, coded, note

DONE = note("undid", line=note("edits", done=[note("did-lock"), note("times", line=note("did-set-text"), n=3)]))


def test_a_note_is_its_text_and_says_what_it_is_about() -> None:
    assert DONE == "Undid: Locked, Edited a block (3 times)"
    assert DONE.code == "undid"
    assert DONE.params["line"].params["done"][1].params["n"] == 3
    assert json.dumps(DONE) == '"Undid: Locked, Edited a block (3 times)"'
    with pytest.raises(AttributeError, match="frozen"):
        DONE.code = "redid"  # type: ignore[misc]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_keep_the_code(again) -> None:
    assert again(DONE).json == DONE.json


def test_json_keeps_the_code_and_reads_articles_of_before() -> None:
    article = Article(title="t", notes=(DONE, Note("Words of a person.")))
    stored = json.loads(article.model_dump_json())
    assert stored["notes"][0]["text"] == "Undid: Locked, Edited a block (3 times)"
    assert stored["notes"][0]["code"] == "undid"
    assert stored["notes"][1] == "Words of a person."
    again = Article.model_validate(stored)
    assert [n.code for n in again.notes] == ["undid", ""]
    assert again.notes[0].params["line"].code == "edits"
    old = Article.model_validate({"title": "t", "notes": ["The writer's answer broke off."]})
    assert old.notes[0].code == ""


@pytest.mark.parametrize("bad", [1, None, {"text": "x"}, {"text": "x", "code": "c", "params": [], "more": 1}])
def test_anything_else_is_no_note(bad: object) -> None:
    with pytest.raises(ValueError, match="a note is text"):
        Article.model_validate({"title": "t", "notes": [bad]})


def test_an_error_has_the_code_of_its_message_or_of_its_class() -> None:
    refused = EditRefused(note("no-block", id="b9"))
    assert (refused.code, refused.params) == ("no-block", {"id": "b9"})
    assert str(refused) == "There is no block 'b9' in the article. Show it again: it may have been deleted."
    plain = EditRefused("No.")
    assert (plain.code, plain.params, plain.note.code) == ("edit-refused", {}, "edit-refused")
    assert EditRefused.code == "edit-refused"


def test_every_class_of_errors_has_a_code_of_its_own() -> None:
    for kind in _kinds(LimnerError):
        kebab = re.sub(r"(?<!^)([A-Z])", r"-\1", kind.__name__).lower()
        assert kind.code == ("error" if kind is LimnerError else kebab)
        assert kind.code not in ENGLISH, "a message without parameters would be taken for that sentence"


def _kinds(kind: type[LimnerError]) -> Iterator[type[LimnerError]]:
    if kind.__module__ == errors.__name__:
        yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)


# --- the catalogues ------------------------------------------------------------------------------------------------

ROOT = Path(limner.__file__).parent
LOCALES = sorted((ROOT / "surfaces/web/locales").glob("notes.*.ftl"))
MESSAGE = re.compile(r"^note-([\w-]+) = (.*)$", re.MULTILINE)


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_sentence_is_used() -> None:
    source = "\n".join(f.read_text(encoding="utf-8") for f in ROOT.rglob("*.py") if f.name != "catalogue.py")
    made = ("did-", "kept-", "review-")  # the rest of these is a command, a judgement, a point
    assert [code for code in ENGLISH if f'"{code}"' not in source and not code.startswith(made)] == []


@pytest.mark.parametrize("file", LOCALES, ids=lambda f: f.name)
def test_other_languages_have_every_sentence_with_no_other_parameters(file: Path) -> None:
    messages = dict(MESSAGE.findall(file.read_text(encoding="utf-8")))
    assert sorted(messages) == sorted(ENGLISH)
    for code, words in messages.items():
        assert set(re.findall(r"\{ \$(\w+)", words)) <= fields(ENGLISH[code]), code


def test_there_is_another_language() -> None:
    assert [f.name for f in LOCALES] == ["notes.zh.ftl"]


def test_nothing_decides_by_the_words_of_a_note() -> None:
    """`code` is for that."""
    by_words = re.compile(r"\b(?:note|notes|n|why|said|line|error|detail)\.(?:startswith|endswith|find)\(\"[A-Z]")
    files = [f for f in ROOT.rglob("*.py") if "model_server" not in f.parts]
    assert [f.name for f in files if by_words.search(f.read_text(encoding="utf-8"))] == []


def test_coded_stands_beside_a_text() -> None:
    assert coded("plain") == {"code": "", "params": {}}
    assert coded(note("times", line=note("did-lock"), n=2)) == {
        "code": "times",
        "params": {"line": {"code": "did-lock", "params": {}, "text": "Locked"}, "n": 2},
    }
