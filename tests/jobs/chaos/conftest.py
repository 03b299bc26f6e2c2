"""What the chaos tests share: a place with a library, a database and a model server, and processes to be killed."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from checker import Undisturbed
from nursery import WORKED, Nursery
from pictures import make_folder
from place import NewPlace, Place, opened
from scripted import ScriptedServer
from served import Book, article


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Forks workers."""
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as made:
        yield made


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A limner home with the library "bees"."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    root = tmp_path_factory.mktemp("chaos-library")
    index(root / "home", "bees", [make_folder(root / "photos")], default_encoders())
    return root / "home"


@pytest.fixture(scope="session")
def marks() -> Iterator[str]:
    """Marks that no other job has."""
    return (f"hive{n:04}" for n in itertools.count(1))


@pytest.fixture(scope="session")
def book() -> Book:
    """What the model server was asked."""
    return Book()


@pytest.fixture(scope="session")
def model(book: Book) -> Iterator[ScriptedServer]:
    """The model server."""
    with ScriptedServer(book.script) as server:
        yield server


@pytest.fixture(autouse=True)
def _fast_and_well(book: Book) -> Iterator[None]:
    """No test finds the model server as another one broke it."""
    yield
    book.delay, book.inject = 0.0, lambda _served: None


@pytest.fixture(scope="session")
def new_place(library: Path, book: Book, model: ScriptedServer, marks: Iterator[str]) -> NewPlace:
    """Opens a place: in a home, and with a database if its URL is given."""
    return partial(opened, library=library, book=book, model=model, marks=marks)


@pytest.fixture(scope="session")
def calm(
    tmp_path_factory: pytest.TempPathFactory, new_place: NewPlace, nursery: Nursery
) -> tuple[Undisturbed, Counter[str]]:
    """What a job comes to that nothing disturbs, and how often it passes each point where it could be killed."""
    told = tmp_path_factory.mktemp("calm") / "points"
    with new_place(told.parent / "home") as place:
        job, _ = place.submit()
        assert nursery.work(job.id, place.given, passed=str(told)) == WORKED
        assert place.state(job.id) == "done", place.ledger.events(job.id)[-1]
        evidence = place.evidence(job.id)
        place.undisturbed = Undisturbed.taken(evidence)
        assert place.undisturbed.text == article(place.undisturbed.mark)
        assert place.objections() == []
    points = Counter(json.loads(told.read_text()))
    # Text is told every quarter of a second: on a slow machine in more pieces than one, on a fast one not.
    pieces = sum(e["kind"] in ("text", "again") for e in evidence.events)
    for when in ("before", "after"):
        points[f"event:{when}"] -= pieces - 1
    return place.undisturbed, points


@pytest.fixture(scope="session")
def places(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_place: NewPlace,
    calm: tuple[Undisturbed, Counter[str]],
) -> Iterator[Callable[[str], Place]]:
    """A home and a database for "sqlite", and for "postgres"; each is made when it is asked for first."""
    made: dict[str, Place] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Place:
            if kind not in made:
                url = request.getfixturevalue("postgres").database("chaos") if kind == "postgres" else ""
                home = tmp_path_factory.mktemp(kind) / "home"
                made[kind] = stack.enter_context(new_place(home, database=url))
                made[kind].undisturbed = calm[0]
            return made[kind]

        yield get


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, places: Callable[[str], Place]) -> Place:
    """The place on SQLite, and the one on Postgres, shared by the tests."""
    return places(request.param)


@pytest.fixture
def here(tmp_path: Path, new_place: NewPlace, calm: tuple[Undisturbed, Counter[str]]) -> Iterator[Place]:
    """A place on SQLite for one test alone."""
    with new_place(tmp_path / "place") as made:
        made.undisturbed = calm[0]
        yield made
