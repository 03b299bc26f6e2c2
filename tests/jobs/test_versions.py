"""The history of an article, on SQLite and on Postgres: a tree, never two heads, nobody overwritten silently."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orders import submitted
from pydantic import TypeAdapter
from sqlalchemy import create_engine, func, insert, select, update
from sqlalchemy.pool import NullPool

from limner.document import Article, Illustration, read_markdown
from limner.errors import BadInput, EditRefused, JobConflict, JobUnknown, LibraryMissing, VersionConflict
from limner.jobs.history.revisions import Revisions, describe
from limner.jobs.ledger import Ledger
from limner.jobs.ledger import database as module
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.ledger.schema import jobs, now, versions
from limner.settings import Settings
from limner.tools.editing.commands import Edit

EDITS: TypeAdapter[list[Any]] = TypeAdapter(list[Edit])
SOURCE = "# Honey\n\nBees gather nectar.\n\nThey carry it home.\n\nIt dries.\n"


def no_images(library: str, _image: str) -> Any:
    """These articles are of text alone."""
    raise LibraryMissing(f"There is no library {library}.")


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """Leases hold for the whole of a test."""
    return Ledger(database, lease=600)


@pytest.fixture
def revisions(ledger: Ledger) -> Revisions:
    """What people revise by."""
    return Revisions(ledger)


def finished(ledger: Ledger, source: str = SOURCE, owner: str = "local") -> str:
    """A job with an article."""
    [job] = submitted(ledger, "Honey", owner=owner)
    lease = ledger.take(job.id, "w")
    assert lease
    ledger.finish(lease, read_markdown(source))
    return job.id


def write(revisions: Revisions, job: str, version: int, block: str, text: str, who: str = "ann", **more: Any) -> int:
    """Give a block other text; the version then."""
    edits = EDITS.validate_python([{"do": "set_text", "block": block, "text": text}])
    return revisions.edit(job, edits, version, who, no_images, **more).version.number


def text(revisions: Revisions, job: str) -> str:
    """The article as it is."""
    return revisions.show(job).article.source


# --- one person ----------------------------------------------------------------------------------------------------


def test_an_edit_is_a_version_and_an_event_and_what_exports_read(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    assert revisions.show(job).version.model_dump(exclude={"at"}) == {
        "number": 1, "parent": None, "who": "limner", "by": "model", "what": "Composed",
        "code": "composed", "params": {},
    }  # fmt: skip
    assert revisions.show(job).version.at == ledger.job(job).finished
    assert write(revisions, job, 1, "b2", "Bees *drink* nectar.") == 2
    head = revisions.show(job)
    assert (head.version.parent, head.version.who, head.version.by, head.version.what) == (
        1, "ann", "person", "Edited paragraph 1",
    )  # fmt: skip
    assert ledger.article(job) == head.article
    event = ledger.events(job)[-1]
    assert (event.kind, event.data["version"], event.data["who"]) == ("edited", 2, "ann")
    assert revisions.at(job, 1)[1].source == SOURCE


def test_what_changes_nothing_is_no_version(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    assert write(revisions, job, 1, "b2", "Bees gather nectar.") == 1
    with pytest.raises(EditRefused):
        write(revisions, job, 1, "b9", "x")
    assert len(revisions.history(job)[1]) == 1


def test_no_edits_say_that_it_is_good(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    head = revisions.edit(job, [], 1, "ann", no_images)
    assert (head.version.number, head.version.what) == (2, "Accepted as it is")
    assert head.article.source == SOURCE


def test_undo_redo_go_and_branch(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "Two.")
    write(revisions, job, 2, "b2", "Three.")
    assert revisions.undo(job, 3, "ann").version.number == 2
    assert revisions.undo(job, 2, "ann").version.number == 1
    assert text(revisions, job) == SOURCE
    with pytest.raises(JobConflict, match="nothing to undo"):
        revisions.undo(job, 1, "ann")
    assert revisions.redo(job, 1, "ann").version.number == 2
    assert write(revisions, job, 2, "b2", "Four.") == 4  # a branch: 1 - 2 - 4, and 3 is still there
    with pytest.raises(JobConflict, match="nothing to redo"):
        revisions.redo(job, 4, "ann")
    assert revisions.go(job, 4, 3, "ann").version.number == 3
    assert "Three." in text(revisions, job)
    revisions.undo(job, 3, "ann")
    assert revisions.redo(job, 2, "ann").version.number == 3  # the way that was last walked, not the newest
    with pytest.raises(BadInput, match="no version 9"):
        revisions.go(job, 3, 9, "ann")
    assert [(v.number, v.parent) for v in revisions.history(job)[1]] == [(1, None), (2, 1), (3, 2), (4, 2)]
    assert [e.data["what"] for e in ledger.events(job) if e.kind == "edited"][-3:] == [
        "Went to version 3", "Undid: Edited paragraph 1", "Redid: Edited paragraph 1",
    ]  # fmt: skip


def test_only_finished_articles_are_revised(revisions: Revisions, ledger: Ledger) -> None:
    [job] = submitted(ledger, "Honey")
    with pytest.raises(JobConflict, match=r"is queued: there is nothing to revise yet. Wait until it is done"):
        revisions.show(job.id)
    lease = ledger.take(job.id, "w")
    assert lease
    ledger.wait(lease, {"ask": "Good?"})
    with pytest.raises(JobConflict, match=r"is waiting.*changed by answering it"):
        revisions.show(job.id)


def test_another_owner_s_article_is_not_there(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger, owner="alice")
    for look in (
        lambda: revisions.show(job, "bob"),
        lambda: revisions.history(job, "bob"),
        lambda: revisions.at(job, 1, "bob"),
        lambda: revisions.compare(job, 1, 1, "bob"),
        lambda: write(revisions, job, 1, "b2", "x", owner="bob"),
        lambda: revisions.undo(job, 1, "bob", owner="bob"),
    ):
        with pytest.raises(JobUnknown):
            look()
    assert write(revisions, job, 1, "b2", "x", owner="alice") == 2
    with pytest.raises(JobUnknown):
        revisions.show(job, "bob")


def test_deleting_a_job_deletes_its_versions(revisions: Revisions, ledger: Ledger, database: Database) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "x")
    ledger.delete(job)
    with database.read() as c:
        assert c.execute(select(func.count()).select_from(versions)).scalar_one() == 0
    with pytest.raises(JobUnknown):
        revisions.show(job)


# --- two people ----------------------------------------------------------------------------------------------------


def test_who_saves_on_an_old_version_is_told_what_changed(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "Ann's.")
    with pytest.raises(VersionConflict, match="at version 2, not 1: ann changed paragraph b2") as raised:
        write(revisions, job, 1, "b3", "Ben's.", "ben")
    assert (raised.value.head, raised.value.changed) == (
        2, [{"block": "b2", "kind": "paragraph", "who": "ann", "what": "Edited paragraph 1", "code": "did-set-text-of",
             "params": {"part": {"code": "part-paragraph", "params": {"n": 1}, "text": "paragraph 1"}}}],
    )  # fmt: skip
    assert text(revisions, job) == SOURCE.replace("Bees gather nectar.", "Ann's.")
    for change in (revisions.undo, revisions.redo):
        with pytest.raises(VersionConflict):
            change(job, 1, "ben")
    with pytest.raises(VersionConflict):
        revisions.go(job, 1, 1, "ben")


def test_changes_of_different_blocks_are_merged(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "Ann's.")
    assert write(revisions, job, 1, "b3", "Ben's.", "ben", merge=True) == 3
    assert text(revisions, job) == "# Honey\n\nAnn's.\n\nBen's.\n\nIt dries.\n"


def test_a_change_sent_twice_under_a_key_is_made_once(revisions: Revisions, ledger: Ledger) -> None:
    """Also after it was undone, and after typing on folded its version into the next."""
    job = finished(ledger)
    new = EDITS.validate_python([{"do": "insert_text", "after": "b2", "text": "Only once."}])
    for _ in range(2):
        head = revisions.edit(job, new, 1, "ann", no_images, merge=True, key="k1")
    assert (head.version.number, text(revisions, job).count("Only once.")) == (2, 1)
    revisions.undo(job, 2, "ann")
    assert revisions.edit(job, new, 1, "ann", no_images, key="k1").version.number == 1
    assert write(revisions, job, 1, "b2", "Typed", typing=True, key="k2") == 3
    assert write(revisions, job, 3, "b2", "Typed on", typing=True, key="k3") == 4
    assert write(revisions, job, 1, "b2", "Typed", typing=True, key="k2") == 4
    assert "Typed on" in text(revisions, job)


def test_changes_of_the_same_block_are_not_merged(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "Ann's.")
    write(revisions, job, 2, "b4", "Ann's too.")
    with pytest.raises(VersionConflict, match="cannot be merged into version 3: ann changed paragraph b2") as raised:
        write(revisions, job, 1, "b2", "Ben's.", "ben", merge=True)
    assert [c["block"] for c in raised.value.conflicts] == ["b2"]
    assert [c["block"] for c in raised.value.changed] == ["b2", "b4"]
    assert "Ann's." in text(revisions, job)


@pytest.mark.parametrize(
    ("ann", "ben", "merges"),
    [
        ({"do": "delete_block", "block": "b3"}, {"do": "insert_text", "after": "b3", "text": "x"}, False),
        ({"do": "set_text", "block": "b3", "text": "y"}, {"do": "insert_text", "after": "b3", "text": "x"}, True),
        ({"do": "set_text", "block": "b3", "text": "y"}, {"do": "merge_blocks", "block": "b2"}, False),
        ({"do": "move_block", "block": "b2", "after": "b4"}, {"do": "set_text", "block": "b2", "text": "x"}, True),
        ({"do": "set_text", "block": "b2", "text": "y"}, {"do": "move_block", "block": "b2", "after": "b4"}, False),
        ({"do": "set_title", "title": "Wax"}, {"do": "set_title", "title": "Combs"}, False),
        ({"do": "delete_block", "block": "b3"}, {"do": "delete_block", "block": "b3"}, False),
        ({"do": "lock", "ids": ["b2"]}, {"do": "set_text", "block": "b2", "text": "x"}, False),
    ],
)
def test_what_merges_and_what_does_not(
    revisions: Revisions, ledger: Ledger, ann: dict[str, Any], ben: dict[str, Any], merges: bool
) -> None:
    job = finished(ledger)
    revisions.edit(job, EDITS.validate_python([ann]), 1, "ann", no_images)
    try:
        revisions.edit(job, EDITS.validate_python([ben]), 1, "ben", no_images, merge=True)
    except (VersionConflict, EditRefused):
        assert not merges
        assert revisions.show(job).version.who == "ann"
    else:
        assert merges
        assert revisions.show(job).version.who == "ben"


def test_what_was_undone_meanwhile_is_told_as_well(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    write(revisions, job, 1, "b2", "Ann's.")
    revisions.undo(job, 2, "ann")
    with pytest.raises(VersionConflict) as raised:
        write(revisions, job, 2, "b2", "Ben's.", "ben")
    assert raised.value.changed == [
        {
            "block": "b2",
            "kind": "paragraph",
            "who": "limner",
            "what": "Went back to: Composed",
            "code": "went-back",
            "params": {"line": {"code": "composed", "params": {}, "text": "Composed"}},
        }
    ]


def test_of_two_at_once_exactly_one_wins(revisions: Revisions, ledger: Ledger) -> None:
    for _ in range(5):
        job = finished(ledger)
        revisions.show(job)
        together = threading.Barrier(4)

        def save(n: int, job: str = job, together: threading.Barrier = together) -> int | None:
            together.wait()
            try:
                return write(revisions, job, 1, "b2", f"Number {n}.", f"p{n}")
            except VersionConflict:
                return None

        with ThreadPoolExecutor(4) as pool:
            won = [n for n in pool.map(save, range(4)) if n]
        assert won == [2]
        head, history = revisions.history(job)
        assert (head, len(history)) == (2, 2)
        assert text(revisions, job).count("Number") == 1


def test_merging_at_once_loses_nothing(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger, "".join(f"Paragraph {n}.\n\n" for n in range(6)))
    revisions.show(job)
    together = threading.Barrier(6)

    def save(n: int) -> None:
        together.wait()
        write(revisions, job, 1, f"b{n + 1}", f"New {n}.", f"p{n}", merge=True)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(save, range(6)))
    assert text(revisions, job) == "".join(f"New {n}.\n\n" for n in range(6))
    assert [v.parent for v in revisions.history(job)[1]] == [None, 1, 2, 3, 4, 5, 6]


def test_the_first_look_of_many_makes_one_first_version(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    with ThreadPoolExecutor(8) as pool:
        numbers = [head.version.number for head in pool.map(lambda _: revisions.show(job), range(8))]
    assert numbers == [1] * 8


# --- typing --------------------------------------------------------------------------------------------------------


def types(revisions: Revisions, job: str, words: str, who: str = "ann", block: str = "b2", **more: Any) -> int:
    """Save what is being typed, on the version that the article is at."""
    return write(revisions, job, revisions.show(job).version.number, block, words, who, typing=True, **more)


def numbers(revisions: Revisions, job: str) -> list[tuple[int, int | None]]:
    return [(v.number, v.parent) for v in revisions.history(job)[1]]


def test_saves_of_one_typing_are_one_step(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    assert [types(revisions, job, "Bees" + " fly" * n) for n in range(1, 6)] == [2, 3, 4, 5, 6]
    assert numbers(revisions, job) == [(1, None), (6, 1)]
    assert revisions.at(job, 4)[1].body[1].text == "Bees fly fly fly"  # for those who saw it
    assert revisions.undo(job, 6, "ann").version.number == 1
    assert text(revisions, job) == SOURCE
    assert revisions.redo(job, 1, "ann").version.number == 6
    assert "Bees fly fly fly fly fly" in text(revisions, job)
    assert {b.id for b in revisions.compare(job, 1, 6).blocks if b.change == "changed"} == {"b2"}


def test_typing_ends_with_whatever_comes_between(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    types(revisions, job, "A.")
    types(revisions, job, "B.", block="b3")  # another block
    types(revisions, job, "C.", who="ben", block="b3")  # another person
    types(revisions, job, "D.", block="b3")
    write(revisions, job, 5, "b3", "E.")  # a change that is no typing
    types(revisions, job, "F.", block="b3")
    assert numbers(revisions, job) == [(1, None), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6)]
    revisions.undo(job, 7, "ann")
    revisions.redo(job, 6, "ann")
    types(revisions, job, "G.", block="b3")  # he looked at it: that is a step
    assert numbers(revisions, job)[-2:] == [(7, 6), (8, 7)]
    revisions.undo(job, 8, "ann")
    types(revisions, job, "H.", block="b3")  # a branch, and the other one is still there
    assert numbers(revisions, job)[-2:] == [(8, 7), (9, 7)]


def test_typing_is_one_step_for_a_bounded_time(revisions: Revisions, ledger: Ledger, database: Database) -> None:
    job = finished(ledger)
    types(revisions, job, "A.")
    with database.write() as c:  # five minutes by the database's clock go by
        c.execute(update(versions).values(began=versions.c.began - 301))
    types(revisions, job, "B.")
    types(revisions, job, "C.")
    assert numbers(revisions, job) == [(1, None), (2, 1), (4, 2)]


def test_who_saw_a_folded_version_is_told_what_changed_and_can_merge(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    seen = types(revisions, job, "A.")
    types(revisions, job, "A. B.")
    with pytest.raises(VersionConflict) as raised:
        write(revisions, job, seen, "b3", "Ben's.", "ben")
    assert [(row["block"], row["who"]) for row in raised.value.changed] == [("b2", "ann")]
    assert write(revisions, job, seen, "b3", "Ben's.", "ben", merge=True) == 4
    types(revisions, job, "A. B. C.")  # ben came between
    assert numbers(revisions, job) == [(1, None), (3, 1), (4, 3), (5, 4)]
    assert text(revisions, job) == "# Honey\n\nA. B. C.\n\nBen's.\n\nIt dries.\n"
    revisions.go(job, 5, seen, "ben")  # it is a step again
    assert [n for n, _ in numbers(revisions, job)] == [1, 2, 3, 4, 5]


def test_folded_versions_go_after_a_day_and_a_late_save_on_one_is_not_lost(
    revisions: Revisions, ledger: Ledger, database: Database
) -> None:
    job = finished(ledger)
    seen = types(revisions, job, "A.")
    types(revisions, job, "B.")
    with database.write() as c:
        c.execute(update(versions).where(versions.c.folded.is_not(None)).values(at=versions.c.at - 86_401))
    types(revisions, job, "C.")
    with pytest.raises(BadInput):
        revisions.at(job, seen)
    with pytest.raises(VersionConflict, match="not kept any more") as raised:
        write(revisions, job, seen, "b3", "Ben's.", "ben", merge=True)
    assert raised.value.head == 4


def test_two_that_type_at_once_lose_nothing(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    revisions.show(job)
    together = threading.Barrier(2)

    def typist(who: str, block: str) -> None:
        together.wait()
        seen = 1
        for n in range(8):
            seen = write(revisions, job, seen, block, f"{who} {n}.", who, merge=True, typing=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(typist, ("ann", "ben"), ("b2", "b3")))
    assert text(revisions, job) == "# Honey\n\nann 7.\n\nben 7.\n\nIt dries.\n"
    while (head := revisions.show(job)).version.parent is not None:
        revisions.undo(job, head.version.number, "ann")
    assert text(revisions, job) == SOURCE


# --- comparing -----------------------------------------------------------------------------------------------------


def test_two_versions_are_compared_by_words(revisions: Revisions, ledger: Ledger) -> None:
    job = finished(ledger)
    edits = [
        {"do": "set_text", "block": "b2", "text": "Bees drink nectar."},
        {"do": "delete_block", "block": "b3"},
        {"do": "insert_text", "after": "b4", "text": "New."},
        {"do": "move_block", "block": "b4", "after": None},
    ]
    revisions.edit(job, EDITS.validate_python(edits), 1, "ann", no_images)
    found = revisions.compare(job, 1, 2)
    by_id = {b.id: b for b in found.blocks}
    assert [(w.op, w.text) for w in by_id["b2"].words] == [
        ("same", "Bees "), ("removed", "gather"), ("added", "drink"), ("same", " nectar."),
    ]  # fmt: skip
    assert {b.id: b.change for b in found.blocks if b.id.startswith("b") and len(b.id) == 2} == {
        "b4": "moved", "b1": "same", "b2": "changed", "b3": "removed",
    }  # fmt: skip
    assert [b.change for b in found.blocks].count("added") == 1
    back = revisions.compare(job, 2, 1)
    assert {b.change for b in back.blocks if b.id == "b3"} == {"added"}
    assert all(b.change == "same" for b in revisions.compare(job, 2, 2).blocks)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([{"do": "delete_block", "block": "b1"}, {"do": "delete_block", "block": "b2"}], "Deleted a block (2 times)"),
        ([{"do": "set_text", "block": "b3", "text": "x"}], "Edited paragraph 2"),
        ([{"do": "set_text", "block": "b3", "text": "x"}] * 3, "Edited paragraph 2"),
        ([{"do": "set_text", "block": "b1", "text": "# x"}], "Edited the heading “Honey”"),
        ([{"do": "move_block", "block": "b4", "after": ""}], "Moved block 4"),
        ([{"do": "set_text", "block": "gone", "text": "x"}], "Edited a block"),
        ([{"do": "crop_image", "image": "f1", "crop": [0, 0, 1, 0.5]}], "Cropped image 1"),
        ([{"do": "lock", "ids": ["b1"]}], "Locked"),
        ([{"do": "remove_image", "image": "f2"}, {"do": "delete_block", "block": "b2"}],
         "Removed image 2, Deleted paragraph 1"),
    ],
)  # fmt: skip
def test_what_was_done_is_told_in_words(edits: list[dict[str, Any]], words: str) -> None:
    article = read_markdown("# Honey\n\nOne.\n\nTwo.\n\n```\ncode\n```\n")
    image = Illustration(id="f1", after="b2", image_id="i", caption="", alt="", width=4, height=3)
    article = article.illustrated([image, image.model_copy(update={"id": "f2", "after": "b3"})])
    assert describe(EDITS.validate_python(edits), article) == words


# --- any sequence --------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set_text"), st.integers(0, 6), st.sampled_from(["x", "One.\n\nTwo.", "## H", "- a"])),
        st.tuples(st.just("delete_block"), st.integers(0, 6), st.just("")),
        st.tuples(st.just("merge_blocks"), st.integers(0, 6), st.just("")),
        st.tuples(st.just("typing"), st.integers(0, 2), st.sampled_from(["x", "y", "One.\n\nTwo.", "- a"])),
        st.tuples(st.just("undo"), st.just(0), st.just("")),
        st.tuples(st.just("redo"), st.just(0), st.just("")),
    ),
    max_size=10,
)


@given(STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_edits_then_undo_of_all_gives_the_first_version(
    revisions: Revisions, ledger: Ledger, steps: list[tuple[str, int, str]]
) -> None:
    job = finished(ledger)
    line = [1]
    for do, n, words in steps:
        head = revisions.show(job)
        try:
            if do in ("undo", "redo"):
                getattr(revisions, do)(job, head.version.number, "ann")
            else:
                block = head.article.body[n % len(head.article.body)].id
                fields = {"text": words} if words else {}
                command_ = {"do": "set_text" if do == "typing" else do, "block": block, **fields}
                edit = EDITS.validate_python([command_])
                revisions.edit(job, edit, head.version.number, "ann", no_images, typing=do == "typing")
        except (EditRefused, JobConflict):
            continue
        line.append(revisions.show(job).version.number)
    while (head := revisions.show(job)).version.parent is not None:
        revisions.undo(job, head.version.number, "ann")
    assert (revisions.show(job).version.number, text(revisions, job)) == (1, SOURCE)
    assert ledger.article(job) == revisions.at(job, 1)[1]
    shown = [v.number for v in revisions.history(job)[1]]
    assert len(set(line)) >= len(shown)
    assert (max(line) in shown, set(shown) <= set(line)) == (True, True)
    assert {v.parent for v in revisions.history(job)[1]} - {None} <= set(shown)  # no step hangs in the air


# --- databases of before ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, home: Path) -> Database:
    """A database of the release before, with a finished job in it."""
    url = request.getfixturevalue("postgres").database("older") if request.param == "postgres" else ""
    made = Database(database_url(Settings(home=home, database_url=url)))  # type: ignore[arg-type]
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parents[1] / "migrations"))
    engine = create_engine(made.url, poolclass=NullPool)
    row = {
        "id": "honey-1", "owner": "local", "title": "Honey", "state": "done", "queue": "interactive", "attempt": 1,
        "request": {"brief": "Honey"}, "request_digest": "d", "crashes": 0, "tries": 0, "step": "", "done": 0, "of": 0,
        "spent": 0, "error": "", "last_seq": 0, "webhook_tries": 0, "webhook_error": "",
        "article": read_markdown(SOURCE).model_dump(mode="json", exclude={"locked"}),
    }  # fmt: skip
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(insert(jobs).values(**row, created=now(), finished=now(), last_event=now()))
        connection.commit()
    engine.dispose()
    return made


def test_jobs_of_the_release_before_can_be_revised(older: Database) -> None:
    migrate(older)
    migrate(older)
    revisions = Revisions(Ledger(older))
    assert revisions.show("honey-1").version.what == "Composed"
    assert write(revisions, "honey-1", 1, "b2", "Now.") == 2
    assert isinstance(revisions.show("honey-1").article, Article)
    older.close()
