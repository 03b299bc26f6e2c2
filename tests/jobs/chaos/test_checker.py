"""The checker objects to what it is there for: a database that is right, made wrong in one way at a time."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import evidence
import pytest
from checker import Undisturbed, check
from nursery import Nursery
from place import NewPlace, Place
from served import Served


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, new_place: NewPlace, nursery: Nursery) -> Iterator[Place]:
    """A place with two jobs that are done, one of them after a kill."""
    home = tmp_path_factory.mktemp("sound") / "home"
    with new_place(home) as place:
        for crash in ("", "select:before:2"):
            job, _ = place.submit()
            nursery.work(job.id, place.given, crash=crash)
            place.sweep()
            nursery.work(job.id, place.given)
            if not crash:
                place.undisturbed = Undisturbed.taken(place.evidence(job.id))
        yield place


def objections(place: Place, folder: Path, statement: str, served: list[Served] | None = None) -> list[str]:
    """What the checker says to a copy of the database after a statement."""
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(place.database, folder / "jobs.sqlite")
    with closing(sqlite3.connect(folder / "jobs.sqlite")) as connection, connection:
        connection.executescript(statement)
    book = list(place.book.entries) if served is None else served
    return check(evidence.read_sqlite(folder / "jobs.sqlite"), book, place.undisturbed)


def test_a_sound_database_is_not_objected_to(sound: Place, tmp_path: Path) -> None:
    assert objections(sound, tmp_path, "SELECT 1") == []
    assert [row["state"] for row in sound.evidence().jobs] == ["done", "done"]


KILLED = "(SELECT id FROM jobs WHERE attempt = 2)"
"""The job that went on in a second attempt."""

WRONG = {
    "an event is lost": (
        f"DELETE FROM events WHERE job = {KILLED} AND seq = 4",
        "4 is missing",
    ),
    "an event is lost and the others are numbered anew": (
        f"""DELETE FROM events WHERE job = {KILLED} AND kind = 'step' AND step = 'spot' AND once <> 'spot:begun';
        UPDATE events SET seq = -(SELECT count(*) FROM events e WHERE e.job = events.job AND e.seq <= events.seq)
            WHERE job = {KILLED};
        UPDATE events SET seq = -seq WHERE seq < 0;
        UPDATE jobs SET last_seq = last_seq - 1 WHERE id = {KILLED}""",
        "another story is told",
    ),
    "a step is told twice": (
        f"""INSERT INTO events SELECT job, 1000, at, attempt, kind, step, data, 'x' FROM events WHERE job = {KILLED}
            AND step = 'spot' LIMIT 1; UPDATE jobs SET last_seq = 1000 WHERE id = {KILLED}""",
        "is told 2 times",
    ),
    "an old attempt writes after a new one began": (
        f"UPDATE events SET attempt = 1 WHERE job = {KILLED} AND kind = 'step' AND step = 'arrange'",
        "of attempt 1 while the current one is 2",
    ),
    "two attempts at once": (
        f"UPDATE events SET kind = 'note' WHERE job = {KILLED} AND kind = 'lapsed'",
        "while attempt 1 was at work",
    ),
    "two attempts wrote checkpoints": (
        f"""INSERT INTO checkpoints SELECT thread_id, checkpoint_ns, checkpoint_id || 'x', parent_checkpoint_id, type,
            checkpoint, metadata FROM checkpoints WHERE thread_id = {KILLED} AND parent_checkpoint_id IS NOT NULL
            LIMIT 1""",
        "side by side",
    ),
    "a lease that lapsed": (
        f"UPDATE jobs SET state = 'running', worker = 'w', lease_until = 1, finished = NULL, article = NULL "
        f"WHERE id = {KILLED}",
        "a lease that lapsed",
    ),
    "a job nobody works on": (
        f"UPDATE jobs SET state = 'queued', finished = NULL, article = NULL WHERE id = {KILLED}",
        "is queued still",
    ),
    "a text with a hole": (
        f"""UPDATE events SET data = json_set(data, '$.text', substr(json_extract(data, '$.text'), 5))
            WHERE job = {KILLED} AND kind IN ('text', 'again')""",
        "watchers saw another text",
    ),
    "an image for another": (
        f"UPDATE jobs SET article = json_set(article, '$.illustrations[0].image_id', 'ab') WHERE id = {KILLED}",
        "another illustrations",
    ),
    "a call that was not served": (
        f"UPDATE calls SET prompt = prompt + 1 WHERE job = {KILLED} AND role = 'spotter'",
        "are booked and were not served",
    ),
    "a call booked twice": (
        f"""INSERT INTO calls SELECT NULL, job, owner, attempt, step, role, digest, answer, prompt, completion, cached,
            estimated, at, 'y', cost FROM calls WHERE job = {KILLED} AND role = 'writer'""",
        "tokens are shown as spent",
    ),
    "set aside without a reason": (
        f"""UPDATE jobs SET state = 'set_aside', crashes = 3, article = NULL WHERE id = {KILLED};
        UPDATE events SET kind = 'set_aside' WHERE job = {KILLED} AND kind = 'done'""",
        "does not say why",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_objects_to(what: str, sound: Place, tmp_path: Path) -> None:
    statement, said = WRONG[what]
    found = objections(sound, tmp_path, statement)
    assert any(said in objection for objection in found), found


def test_it_objects_to_calls_that_were_paid_for_again(sound: Place, tmp_path: Path) -> None:
    """The same call, served once more than it may be: twice for the job that was killed once."""
    spotted = next(s for s in reversed(sound.book.entries) if s.role == "spotter")
    found = objections(sound, tmp_path, "SELECT 1", [*sound.book.entries, spotted, spotted])
    assert any("asked again without need (spotter 2 times too often)" in objection for objection in found), found
    assert any("served and not booked" in objection for objection in found), found
    faults = [replace(spotted, fault="500", prompt=0, completion=0)] * 2
    assert objections(sound, tmp_path, "SELECT 1", [*sound.book.entries, *faults]) == []


Spoil = Callable[[Path], None]


def _without_an_image(folder: Path) -> None:
    next((folder / "images").iterdir()).unlink()


def _cut(folder: Path) -> None:
    image = next((folder / "images").iterdir())
    image.write_bytes(image.read_bytes()[:100])


def _without_credit(folder: Path) -> None:
    [page] = folder.glob("*.html")
    page.write_text(page.read_text().replace("Photo", "Foto"))


def _another(folder: Path) -> None:
    [file] = folder.glob("*.json")
    read = json.loads(file.read_text())
    (read.get("article") or read)["illustrations"].pop()
    file.write_text(json.dumps(read))


@pytest.mark.parametrize("spoil", [_without_an_image, _cut, _without_credit, _another])
def test_it_objects_to_an_export_that_is_not_whole(spoil: Spoil, sound: Place, tmp_path: Path) -> None:
    from exported import check_export

    [row] = sound.evidence(sound.evidence().jobs[0]["id"]).jobs
    assert sound.export(row["id"], tmp_path / "article") == []
    spoil(tmp_path / "article")
    assert check_export(tmp_path / "article", row["article"]) != []
