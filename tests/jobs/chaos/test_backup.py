"""A backup while jobs run, restored elsewhere: nothing is missing, and what ran goes on."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nursery import WORKED, Nursery
from PIL import Image
from place import Place

from limner.errors import BadInput, JobConflict
from limner.jobs.backup import backup, restore
from limner.jobs.ledger import News
from limner.jobs.owners import Owner, Owners
from limner.jobs.service import Jobs
from limner.jobs.uploads import keep, own
from limner.settings import Settings
from limner.workflows.context import Context


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The place's settings with an empty home and an empty database of the same kind."""
    given: dict[str, Any] = {**place.given, "home": str(tmp_path / "elsewhere")}
    if "database_url" in given:
        given["database_url"] = request.getfixturevalue("postgres").database(f"back{abs(hash(request.node.name))}")
    return Settings(**given)


@pytest.fixture
def broken_off(place: Place, nursery: Nursery) -> tuple[str, str]:
    """A job whose process died at its second call, and its mark."""
    job, mark = place.submit()
    assert nursery.work(job.id, place.given, crash="keep:after:2") < 0
    assert place.state(job.id) == "running"
    return job.id, mark


@pytest.fixture
def busy(place: Place) -> Iterator[None]:
    """Somebody writes to the database all the time."""
    job, _ = place.submit()
    lease = place.ledger.take(job.id, "busy/1/1")
    assert lease is not None
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            n += 1
            place.ledger.append(lease, [News("text", "write", {"text": f"word {n} "}, once=f"t{n}")])

    thread = threading.Thread(target=write)
    thread.start()
    yield
    ended.set()
    thread.join()
    place.ledger.cancel(job.id)


def png() -> bytes:
    """An image that no library has."""
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "navy").save(out, "PNG")
    return out.getvalue()


def rows(jobs: Jobs, job: str) -> list[Any]:
    """All that is told of a job."""
    ledger = jobs.ledger
    told = ledger.job(job).model_dump(exclude={"now"}), ledger.request(job), ledger.usage(job), ledger.article(job)
    return [*told, [e.model_dump() for e in ledger.events(job)]]


def test_everything_is_back_and_what_ran_goes_on(
    place: Place, nursery: Nursery, elsewhere: Settings, broken_off: tuple[str, str], busy: None, tmp_path: Path
) -> None:
    done, _ = place.submit()
    assert nursery.work(done.id, place.given) == WORKED
    owners = Owners(place.ledger.database, place.settings)
    token = owners.add_token("anna", libraries=["bees"])
    context = Context(place.settings, [])
    _, image = keep(context, Owner("anna"), png(), "swarm.png", "A swarm in a chimney")

    kept = backup(place.settings, tmp_path / "all.tar.gz")
    back = restore(elsewhere, tmp_path / "all.tar.gz")

    assert (back.jobs, back.files) == (kept.jobs, kept.files)
    assert (tmp_path / "all.tar.gz").stat().st_mode & 0o077 == 0
    with closing(Jobs(place.settings)) as before, closing(Jobs(elsewhere)) as after:
        for job in (done.id, broken_off[0]):
            assert rows(after, job) == rows(before, job)
        assert after.owners.whose(token).name == "anna"
        uploaded = own(Context(elsewhere, []), Owner("anna"))
        assert uploaded is not None
        assert uploaded.record(image.id).caption == "A swarm in a chimney"
        assert (elsewhere.home / "uploads").is_dir()

        given = {**place.given, "home": str(elsewhere.home)}
        if url := elsewhere.database_url.get_secret_value():
            given["database_url"] = url
        after.ledger.sweep(lambda _worker: True)
        assert nursery.work(broken_off[0], given) == WORKED
        assert after.ledger.job(broken_off[0]).state == "done"
        first, second = after.ledger.article(done.id), after.ledger.article(broken_off[0])
        assert first is not None
        assert second is not None
        assert [i.image_id for i in first.illustrations] == [i.image_id for i in second.illustrations]
        asked = [served.role for served in place.book.of(broken_off[1])]
        assert asked.count("writer") == 1, "no answered call is made again"
        [(new, _)] = after.ledger.submit("local", [_order()])
        assert after.ledger.job(new.id).state == "queued"
        lease = after.ledger.take(new.id, "w/1/1")
        assert lease is not None
        after.ledger.keep(
            lease, "write", "writer", "d", "answer", _usage(), 1
        )  # numbers go on after those that are back


def _order() -> Any:
    from limner.jobs.request import JobRequest

    return JobRequest(brief="Honey").order()


def _usage() -> Any:
    from limner.agents.meter import Usage

    return Usage(1, 10, 5)


def test_nothing_is_overwritten(place: Place, elsewhere: Settings, tmp_path: Path) -> None:
    place.submit()
    file = tmp_path / "all.tar.gz"
    backup(place.settings, file)
    with pytest.raises(BadInput, match="exists already"):
        backup(place.settings, file)
    with pytest.raises(JobConflict, match="not empty"):
        restore(place.settings, file)
    if "database_url" in place.given:
        with pytest.raises(JobConflict, match="jobs or owners already"):
            restore(place.settings.model_copy(update={"home": tmp_path / "new"}), file)
    restore(elsewhere, file)
    with pytest.raises(JobConflict):
        restore(elsewhere, file)


def _bad(make: Callable[[tarfile.TarFile], None], file: Path) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        make(archive)
    return file


def _member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def test_what_is_no_backup_is_refused(elsewhere: Settings, place: Place, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a backup")
    with pytest.raises(BadInput, match="no backup"):
        restore(elsewhere, text)
    with pytest.raises(BadInput, match="no backup"):
        restore(elsewhere, _bad(lambda a: _member(a, "x", b"y"), tmp_path / "a"))
    with pytest.raises(BadInput, match="format 9"):
        restore(elsewhere, _bad(lambda a: _member(a, "manifest.json", b'{"format": 9}'), tmp_path / "b"))
    kind = "postgres" if "database_url" in place.given else "sqlite"
    other = "sqlite" if kind == "postgres" else "postgres"
    about = {"format": 1, "limner": "0", "schema": "0001", "database": kind}

    def manifest(**more: str) -> Callable[[tarfile.TarFile], None]:
        return lambda a: _member(a, "manifest.json", json.dumps({**about, **more}).encode())

    with pytest.raises(BadInput, match="its own kind"):
        restore(elsewhere, _bad(manifest(database=other), tmp_path / "c"))
    with pytest.raises(BadInput, match="newer limner"):
        restore(elsewhere, _bad(manifest(schema="9999"), tmp_path / "d"))

    def leading_out(archive: tarfile.TarFile) -> None:
        manifest()(archive)
        _member(archive, "home/../../owned", b"x")

    with pytest.raises(BadInput, match="leads out"):
        restore(elsewhere, _bad(leading_out, tmp_path / "e"))
    assert not (tmp_path.parent / "owned").exists()

    file = tmp_path / "all.tar.gz"
    backup(place.settings, file)
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(BadInput, match="not whole"):
        restore(elsewhere.model_copy(update={"home": tmp_path / "cut"}), file)
