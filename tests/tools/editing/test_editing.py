"""Edits: what each does, what is refused, and what holds after any sequence of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from limner.document import Article, Heading, Illustration, plain_text, read_markdown
from limner.errors import BadInput, EditRefused, LibraryError
from limner.exports import to_markdown, without_figures
from limner.notes import Note, note
from limner.tools.editing.apply import COMMANDS, edited, touched
from limner.tools.editing.commands import Edit
from limner.tools.library import Record

SOURCE = """# Honey

Bees gather nectar.

- one
- two

## Home

They carry it home.

```python
print("honey")
```

It dries to honey.
"""
EDITS: TypeAdapter[list[Any]] = TypeAdapter(list[Edit])
PICTURES = [f"{n:032x}" for n in range(6)]


def image_of(library: str, image_id: str) -> Record:
    """What the library "bees" knows."""
    if library != "bees" or image_id not in PICTURES:
        raise LibraryError(f"The library {library} has no image {image_id}: search it again.")
    n = PICTURES.index(image_id)
    return Record(image_id, f"/p/{n}.jpg", ".jpg", 400 + n, 300, f"Picture {n}", f"shows {n}", f"Person {n}", "CC0")


def placed(id: str, after: str, n: int) -> Illustration:
    """A picture of the library at its place."""
    r = image_of("bees", PICTURES[n])
    return Illustration(
        id=id, after=after, image_id=r.id, library="bees", caption=r.caption, alt=r.alt, width=r.width, height=300
    )


@pytest.fixture
def honey() -> Article:
    """Blocks b1 # Honey, b2, b3 a list, b4 ## Home, b5, b6 code, b7; images i1 after b2 and i2 after b5."""
    return read_markdown(SOURCE).illustrated([placed("i1", "b2", 0), placed("i2", "b5", 1)])


def do(article: Article, *edits: dict[str, Any]) -> Article:
    """The article after these edits, given as JSON."""
    return edited(article, EDITS.validate_python(list(edits)), image_of)


def shape(article: Article) -> list[str]:
    """Ids in reading order."""
    return [b.id for b in article.blocks()]


# --- what each does --------------------------------------------------------------------------------------------------


def test_every_command_is_known() -> None:
    from limner.tools.editing.apply import _DO

    assert set(COMMANDS) == set(_DO)


def test_text_is_replaced_and_the_rest_stays(honey: Article) -> None:
    after = do(honey, {"do": "set_text", "block": "b5", "text": "They *fly* home."})
    assert after.source == SOURCE.replace("They carry it home.", "They *fly* home.")
    assert shape(after) == shape(honey)
    assert honey.source == SOURCE


def test_text_of_several_blocks_becomes_several_and_the_image_follows(honey: Article) -> None:
    after = do(honey, {"do": "set_text", "block": "b5", "text": "One.\r\n\r\n### Two\n\nThree.\n\n"})
    assert after.source == SOURCE.replace("They carry it home.", "One.\n\n### Two\n\nThree.")
    assert [b.id == "b5" for b in after.body].count(True) == 1
    assert after.illustrations[1].after == after.paragraphs[3].id
    assert after.paragraphs[3].plain == "Three."


def test_a_paragraph_that_becomes_a_heading_hands_its_image_on(honey: Article) -> None:
    after = do(honey, {"do": "set_text", "block": "b5", "text": "## Them"})
    assert isinstance(after.body[4], Heading)
    assert after.illustrations[1].after == "b3"


def test_text_is_inserted_at_the_beginning_and_at_the_end(honey: Article) -> None:
    after = do(
        honey,
        {"do": "insert_text", "after": None, "text": "First."},
        {"do": "insert_text", "after": "b7", "text": "Last.\n\nVery last."},
    )
    assert after.source == f"First.\n\n{SOURCE}\nLast.\n\nVery last.\n"


def test_a_rule_at_the_beginning_is_no_front_matter(honey: Article) -> None:
    after = do(honey, *[{"do": "insert_text", "after": None, "text": "---"}] * 2)
    assert read_markdown(after.source).source == after.source
    assert len(read_markdown(after.source).body) == 9


def test_a_deleted_block_leaves_its_image_to_the_paragraph_before(honey: Article) -> None:
    after = do(honey, {"do": "delete_block", "block": "b5"})
    assert after.source == SOURCE.replace("They carry it home.\n\n", "")
    assert [(i.id, i.after) for i in after.illustrations] == [("i1", "b2"), ("i2", "b3")]
    first = do(honey, {"do": "delete_block", "block": "b2"})
    assert [(i.id, i.after) for i in first.illustrations] == [("i1", "b3"), ("i2", "b5")]
    last = do(honey, {"do": "delete_block", "block": "b7"})
    assert last.source.endswith("```\n")


def test_link_definitions_outlive_the_block_before_them() -> None:
    article = read_markdown("One [x].\n\n[x]: http://a.example\n\nTwo [x].\n")
    after = do(article, {"do": "delete_block", "block": "b1"})
    assert after.source == "[x]: http://a.example\n\nTwo [x].\n"
    article = read_markdown("Zero.\n\nOne [x].\n\n[x]: http://a.example\n\nTwo [x].\n")
    after = do(article, {"do": "delete_block", "block": "b2"})
    assert after.source == "Zero.\n\n[x]: http://a.example\n\nTwo [x].\n"
    after = do(article, {"do": "split_block", "block": "b2", "at": 3})
    assert after.source.count("[x]: http") == 1


def test_a_block_moves_with_its_image(honey: Article) -> None:
    after = do(honey, {"do": "move_block", "block": "b2", "after": "b7"})
    assert shape(after) == ["b1", "b3", "b4", "b5", "i2", "b6", "b7", "b2", "i1"]
    assert after.source.endswith("It dries to honey.\n\nBees gather nectar.\n")
    assert shape(do(after, {"do": "move_block", "block": "b2", "after": "b1"})) == shape(honey)
    assert shape(do(honey, {"do": "move_block", "block": "b2", "after": None}))[:2] == ["b2", "i1"]


def test_blocks_are_merged() -> None:
    article = read_markdown("# A\n\nOne.\n\nTwo.\n\n## B\n\nThree.\n").illustrated([placed("i1", "b2", 0)])
    after = do(article, {"do": "merge_blocks", "block": "b2"})
    assert after.source == "# A\n\nOne. Two.\n\n## B\n\nThree.\n"
    assert shape(after) == ["b1", "b2", "i1", "b4", "b5"]
    after = do(after, {"do": "merge_blocks", "block": "b4"})
    assert after.source == "# A\n\nOne. Two.\n\nB Three.\n"
    after = do(after, {"do": "merge_blocks", "block": "b1"})
    assert after.source == "A One. Two.\n\nB Three.\n"
    assert [i.after for i in after.illustrations] == ["b1"]


def test_a_block_is_split_and_its_image_stands_after_the_second_part(honey: Article) -> None:
    after = do(honey, {"do": "split_block", "block": "b5", "at": len("They carry")})
    assert after.source == SOURCE.replace("They carry it home.", "They carry\n\nit home.")
    assert [b.plain for b in after.body if b.id == after.illustrations[1].after] == ["it home."]


def test_the_title_and_its_heading_change_together(honey: Article) -> None:
    after = do(honey, {"do": "set_title", "title": "All *about* #honey"})
    assert after.title == "All *about* #honey"
    assert after.body[0].plain == "All *about* #honey"
    after = do(after, {"do": "set_text", "block": "b1", "text": "# Wax"})
    assert after.title == "Wax"
    alone = do(honey, {"do": "set_text", "block": "b4", "text": "## House"})
    assert alone.title == "Honey"


def test_the_language_is_said(honey: Article) -> None:
    assert do(honey, {"do": "set_language", "language": "de"}).language == "de"


def test_images_are_placed_swapped_moved_described_cropped_and_removed(honey: Article) -> None:
    after = do(
        honey, {"do": "place_image", "after": "b7", "image_id": PICTURES[2], "library": "bees", "alt": "a  jar\n"}
    )
    new = after.illustrations[2]
    assert (new.caption, new.alt, new.credit, new.licence, new.width) == ("Picture 2", "a jar", "Person 2", "CC0", 402)
    after = do(after, {"do": "crop_image", "image": "i1", "crop": [0.1, 0.2, 0.5, 0.8]})
    assert after.illustrations[0].crop == (0.1, 0.2, 0.5, 0.8)
    after = do(after, {"do": "swap_image", "image": "i1", "image_id": PICTURES[3], "library": "bees"})
    assert (after.illustrations[0].id, after.illustrations[0].caption) == ("i1", "Picture 3")
    assert after.illustrations[0].crop is None
    after = do(after, {"do": "describe_image", "image": "i1", "credit": "Me", "alt": ""})
    assert (after.illustrations[0].caption, after.illustrations[0].credit) == ("Picture 3", "Me")
    after = do(after, {"do": "move_image", "image": "i1", "after": "b7"})
    assert [i.id for i in after.illustrations] == ["i2", new.id, "i1"]
    after = do(after, {"do": "remove_image", "image": "i2"})
    assert [i.id for i in after.illustrations] == [new.id, "i1"]


def test_a_document_with_carriage_returns_keeps_them() -> None:
    article = read_markdown("One.\r\n\r\nTwo.\r\n")
    after = do(article, {"do": "insert_text", "after": "b1", "text": "And\na half.\n\nMore."})
    assert after.source == "One.\r\n\r\nAnd\r\na half.\r\n\r\nMore.\r\n\r\nTwo.\r\n"


def test_the_same_edits_give_the_same_article(honey: Article) -> None:
    edits = [{"do": "insert_text", "after": "b2", "text": "New."}] * 2
    assert do(honey, *edits) == do(honey, *edits)
    assert len({b.id for b in do(honey, *edits).body}) == 9


def test_what_an_edit_names() -> None:
    (edit,) = EDITS.validate_python([{"do": "move_image", "image": "i1", "after": "b2"}])
    assert touched(edit) == {"i1", "b2"}


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    ({"do": "set_text", "block": "b99", "text": "x"}, "no block 'b99'"),
    ({"do": "set_text", "block": "b2", "text": " \n "}, "no text that would show"),
    ({"do": "set_text", "block": "b2", "text": "[a]: http://b"}, "no text that would show"),
    ({"do": "set_text", "block": "b2", "text": "```\nnever closed"}, "never ends"),
    ({"do": "insert_text", "after": "b2", "text": "<!-- never closed"}, "never ends"),
    ({"do": "set_title", "title": "\u202e \n"}, "title is empty"),
    ({"do": "move_block", "block": "b2", "after": "b2"}, "after itself"),
    ({"do": "move_block", "block": "b2", "after": "i1"}, "no block 'i1'"),
    ({"do": "merge_blocks", "block": "b7"}, "No block follows"),
    ({"do": "split_block", "block": "b2", "at": 500}, "has 19 characters"),
    ({"do": "place_image", "after": "b4", "image_id": PICTURES[2], "library": "bees"}, "is a heading"),
    ({"do": "place_image", "after": "b2", "image_id": PICTURES[1], "library": "bees"}, "in the article already"),
    ({"do": "swap_image", "image": "b2", "image_id": PICTURES[2], "library": "bees"}, "no image 'b2'"),
    ({"do": "move_image", "image": "i1", "after": "b6"}, "is a verbatim"),
    ({"do": "crop_image", "image": "i1", "crop": [0.5, 0, 0.6, 1]}, "does not lie in the image"),
    ({"do": "crop_image", "image": "i1", "crop": [0.5, 0, 0, 1]}, "does not lie in the image"),
    ({"do": "lock", "ids": ["b2", "x"]}, "no block or image 'x'"),
]


@pytest.mark.parametrize(("edit", "reason"), REFUSED, ids=lambda x: x["do"] if isinstance(x, dict) else "")
def test_refused_in_one_line(honey: Article, edit: dict[str, Any], reason: str) -> None:
    with pytest.raises(EditRefused, match=reason) as raised:
        do(honey, edit)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


def test_the_refusal_of_one_of_several_says_which(honey: Article) -> None:
    with pytest.raises(EditRefused, match=r"Edit 2 of 2 \(remove_image\): There is no image 'i9'"):
        do(honey, {"do": "remove_image", "image": "i1"}, {"do": "remove_image", "image": "i9"})


def test_an_image_that_is_not_there_is_the_library_s_to_refuse(honey: Article) -> None:
    with pytest.raises(LibraryError, match="search it again"):
        do(honey, {"do": "place_image", "after": "b7", "image_id": "0" * 31 + "f", "library": "bees"})


def test_something_is_left() -> None:
    article = read_markdown("Only this.\n\n## And this\n").illustrated([placed("i1", "b1", 0)])
    with pytest.raises(EditRefused, match="No paragraph would be left"):
        do(article, {"do": "delete_block", "block": "b1"})
    bare = do(article, {"do": "remove_image", "image": "i1"}, {"do": "delete_block", "block": "b1"})
    with pytest.raises(EditRefused, match="Nothing would be left"):
        do(bare, {"do": "delete_block", "block": "b2"})


LOCKED = [
    {"do": "set_text", "block": "b5", "text": "x"},
    {"do": "delete_block", "block": "b5"},
    {"do": "move_block", "block": "b5", "after": None},
    {"do": "merge_blocks", "block": "b5"},
    {"do": "merge_blocks", "block": "b4"},
    {"do": "split_block", "block": "b5", "at": 4},
    {"do": "swap_image", "image": "i1", "image_id": PICTURES[2], "library": "bees"},
    {"do": "move_image", "image": "i1", "after": "b7"},
    {"do": "remove_image", "image": "i1"},
    {"do": "describe_image", "image": "i1", "alt": "x"},
    {"do": "crop_image", "image": "i1", "crop": [0, 0, 0.5, 0.5]},
    {"do": "delete_block", "block": "b2"},
    {"do": "move_block", "block": "b2", "after": "b7"},
    {"do": "split_block", "block": "b2", "at": 4},
    {"do": "set_text", "block": "b2", "text": "One.\n\nTwo."},
    {"do": "set_text", "block": "b2", "text": "# No paragraph any more"},
]


@pytest.mark.parametrize("edit", LOCKED, ids=lambda x: f"{x['do']}")
def test_what_is_locked_stays(honey: Article, edit: dict[str, Any]) -> None:
    locked = do(honey, {"do": "lock", "ids": ["b5", "i1"]})
    with pytest.raises(EditRefused, match="is locked"):
        do(locked, edit)
    do(locked, {"do": "unlock", "ids": ["b5", "i1"]}, edit)


def test_a_locked_heading_keeps_the_title(honey: Article) -> None:
    with pytest.raises(EditRefused, match="is locked"):
        do(honey, {"do": "lock", "ids": ["b1"]}, {"do": "set_title", "title": "Wax"})


def test_the_words_of_a_paragraph_with_a_locked_image_may_change(honey: Article) -> None:
    after = do(honey, {"do": "lock", "ids": ["i1"]}, {"do": "set_text", "block": "b2", "text": "Bees *gather*."})
    assert after.illustrations == honey.illustrations


# --- any sequence ----------------------------------------------------------------------------------------------------

DRAFTS = [
    SOURCE,
    "---\ntitle: x\n---\n# X\npara\n\n",
    "a\r\nb\r\n\r\nc\rd\n\n> q\nlazy\n\n[x]: http://a.example\n\nend",
    "Setext\n===\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<div>\nraw\n</div>\n\n> quote\nlazy\n\n1. x\n   y",
    "text\n\n[def]: <http://x> 'title'\n",
    "p1\n***\np2\n# h\np3\n```\nnever closed",
]
TEXTS = st.one_of(
    st.sampled_from(
        [
            "New.",
            "# H",
            "- a\n- b",
            "> q",
            "One.\n\nTwo.",
            "```\nx\n```",
            "```\nopen",
            "---",
            "[d]: http://e\n\nSee [d].",
            "",
        ]
    ),
    st.text(alphabet=st.sampled_from("ab#-*_`>|~=+1.() \t\n\r\\![]<&:\x0c\u2028é語\x00"), max_size=40),
)
PICK = st.integers(0, 11)  # of the ids there are, and two that are not


@st.composite
def sequences(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """Commands whose ids are numbers, to be read as ids of the article that they meet."""
    fractions = st.sampled_from([0, 0.1, 0.5, 0.9, 1])
    fields: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "set_title": {"title": TEXTS},
        "set_text": {"block": PICK, "text": TEXTS},
        "insert_text": {"after": st.none() | PICK, "text": TEXTS},
        "delete_block": {"block": PICK},
        "move_block": {"block": PICK, "after": st.none() | PICK},
        "merge_blocks": {"block": PICK},
        "split_block": {"block": PICK, "at": st.integers(1, 30)},
        "place_image": {"after": PICK, "image_id": st.sampled_from(PICTURES), "library": st.just("bees")},
        "swap_image": {"image": PICK, "image_id": st.sampled_from(PICTURES), "library": st.just("bees")},
        "move_image": {"image": PICK, "after": PICK},
        "remove_image": {"image": PICK},
        "describe_image": {"image": PICK, "caption": TEXTS},
        "crop_image": {"image": PICK, "crop": st.none() | st.tuples(fractions, fractions, fractions, fractions)},
        "lock": {"ids": st.lists(PICK, min_size=1, max_size=2)},
        "unlock": {"ids": st.lists(PICK, min_size=1, max_size=2)},
    }
    kinds = draw(st.lists(st.sampled_from(sorted(fields)), max_size=12))
    return [(kind, {name: draw(value) for name, value in fields[kind].items()}) for kind in kinds]


def meant(article: Article, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A drawn command, its numbers read as ids."""
    blocks, images = [b.id for b in article.body], [i.id for i in article.illustrations]

    def one(name: str, n: int) -> str:
        known = images if name == "image" else blocks + images if name == "ids" else blocks
        return known[n % len(known)] if known and n < 10 else f"x{n}"

    def read(name: str, value: Any) -> Any:
        if name == "ids":
            return [one(name, n) for n in value]
        return one(name, value) if name in ("block", "image", "after") and value is not None else value

    return {"do": kind, **{name: read(name, value) for name, value in fields.items()}}


def check(article: Article) -> None:
    """What holds of every article."""
    ids = [b.id for b in article.body] + [i.id for i in article.illustrations]
    assert len(set(ids)) == len(ids)
    places = [article.number(i.after) for i in article.illustrations]
    assert places == sorted(places)
    assert article.source == article.lead + "".join(b.text + b.gap for b in article.body)
    assert sum(1 for b in article.blocks() if isinstance(b, Illustration)) == len(article.illustrations)
    assert set(article.locked) <= set(ids)
    assert all(b.text and b.text == b.text.rstrip() for b in article.body)


@given(st.sampled_from(DRAFTS), sequences())
def test_any_sequence_applies_or_is_refused_and_locks_hold(source: str, commands: Sequence[Any]) -> None:
    article = read_markdown(source, title="X")
    refusals: list[str] = []
    for kind, fields in commands:
        try:
            after = do(article, meant(article, kind, fields))
        except BadInput as error:
            refusals.append(str(error))
            continue
        check(after)
        if kind != "unlock":
            kept = {b.id: b for b in after.body}
            for block in article.body:
                if block.id in article.locked:
                    assert (kept[block.id].kind, kept[block.id].text) == (block.kind, block.text)
            images = [i for i in article.illustrations if i.id in article.locked]
            assert [i for i in after.illustrations if i in images] == images
        if kind in ("delete_block", "move_block", "place_image", "move_image"):
            texts = {b.id: b.text for b in article.body}
            assert all(b.text == texts[b.id] for b in after.body)
        article = after
    assert not [line for line in refusals if "\n" in line or not line.endswith(".")]


@given(st.sampled_from(DRAFTS), sequences())
def test_figures_can_be_taken_out_of_any_edited_draft(source: str, commands: Sequence[Any]) -> None:
    article = read_markdown(source, title="X").model_copy(update={"made_with": {"draft": True}})
    for kind, fields in commands:
        try:
            article = do(article, meant(article, kind, fields))
        except BadInput:
            continue
    files = {i.image_id: f"images/{i.image_id}.jpg" for i in article.illustrations}
    text = to_markdown(article, files)
    assert without_figures(text, article, files) == article.source
    shown = [b.text for b in read_markdown(text).body if b.text.startswith("![")]
    assert len([t for t in shown if any(f in t for f in files.values())]) == len(article.illustrations)


@given(st.sampled_from(DRAFTS), sequences())
def test_images_alone_leave_a_draft_as_it_was(source: str, commands: Sequence[Any]) -> None:
    article = read_markdown(source, title="X")
    for kind, fields in commands:
        if kind.endswith("_image") or kind in ("lock", "unlock"):
            try:
                article = do(article, meant(article, kind, fields))
            except BadInput:
                continue
    assert article.source == source


@given(st.text(alphabet=st.sampled_from("ab#-*_`>|~=+1.() \\![]<&:é語"), min_size=1, max_size=30))
def test_any_title_is_what_its_heading_says(title: str) -> None:
    article = read_markdown("# Old\n\nText.\n")
    try:
        after = do(article, {"do": "set_title", "title": title})
    except EditRefused:
        assert not title.strip()
        return
    assert plain_text(after.body[0].text) == after.title


def test_a_picture_outside_its_time_is_placed_with_a_note(honey: Article) -> None:
    def kept_back(library: str, image_id: str) -> Record:
        record = image_of(library, image_id)
        return replace(record, facts={"embargo": ["2999-01-01"]}) if image_id in PICTURES[2:4] else record

    def made(article: Article, *edits: dict[str, Any]) -> Article:
        return edited(article, EDITS.validate_python(list(edits)), kept_back)

    def told(article: Article) -> list[int]:
        return [one.params["n"] for one in article.notes if one.code == "placed-outside-time"]

    place = {"do": "place_image", "after": "b7", "library": "bees", "image_id": PICTURES[2]}
    swap = {"do": "swap_image", "image": "i1", "library": "bees", "image_id": PICTURES[3]}
    one = made(honey, place)
    assert [i.image_id for i in one.illustrations][-1] == PICTURES[2]
    assert told(one) == [1]
    both = made(one, swap)
    assert told(both) == [2]
    assert told(made(both, {"do": "set_text", "block": "b2", "text": "New words."})) == [2]
    assert told(made(both, {"do": "remove_image", "image": "i1"})) == [1]
    assert told(made(honey.model_copy(update={"made_with": {"only": ["anytime=yes"]}}), place)) == []
    assert told(made(honey, {**place, "image_id": PICTURES[4]})) == []


def test_a_doubt_goes_with_the_picture_that_it_is_about(honey: Article) -> None:
    doubts = [note("picture-contradicts", id=i.id, caption=i.caption, reason="It is red.") for i in honey.illustrations]
    doubted = honey.noted(*doubts, "another note")

    def about(article: Article) -> list[Any]:
        return [one.params.get("id") for one in article.notes if one.code == "picture-contradicts"]

    there = [i.id for i in honey.illustrations]
    swapped = do(doubted, {"do": "swap_image", "image": there[0], "library": "bees", "image_id": PICTURES[3]})
    assert about(swapped) == there[1:]
    assert "another note" in swapped.notes
    assert about(do(doubted, {"do": "remove_image", "image": there[-1]})) == there[:-1]
    assert about(do(doubted, {"do": "set_text", "block": "b2", "text": "New words."})) == there
    foreign = doubted.noted(Note("a note that another program wrote", "picture-contradicts"))
    assert about(do(foreign, {"do": "remove_image", "image": there[-1]})) == [*there[:-1], None]
    described = do(doubted, {"do": "describe_image", "image": there[0], "caption": "Mine"})
    assert about(described) == there, "other words change no picture"
