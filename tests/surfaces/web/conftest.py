"""The studio as people have it: `limner up`, a scripted model behind it, Chromium in front."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from scripted import ScriptedServer
from studio import ARGUMENTS, CHROMIUM, Model, Studio, Up, watched

expect.set_options(timeout=30_000)  # machines that run tests are busy at times


@pytest.fixture(scope="session")
def said() -> Model:
    """What the model says."""
    return Model()


@pytest.fixture(autouse=True)
def _usual_answers(said: Model) -> Iterator[None]:
    yield
    said.answer = said.usual


@pytest.fixture(scope="session")
def starting(
    indexed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, said: Model
) -> Iterator[Callable[[], Up]]:
    """Starts `limner up` over a new home with the library "bees"."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with ScriptedServer(lambda body: said.answer(body)) as server:

        def start() -> Up:
            root = tmp_path_factory.mktemp("studio")
            shutil.copytree(indexed[0], root / "home")
            return Up(root / "home", server, root / "log")

        yield start


@pytest.fixture(scope="session")
def shared_up(starting: Callable[[], Up]) -> Iterator[Up]:
    """One for all modules: a start takes as long as a module's tests."""
    running = starting()
    yield running
    running.close()


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, starting: Callable[[], Up]) -> Iterator[Up]:
    """`limner up` over a home with the library "bees", and with articles of other tests.

    A module that says `ALONE = True` has one of its own.
    """
    if not getattr(request.module, "ALONE", False):
        yield request.getfixturevalue("shared_up")
        return
    running = starting()
    yield running
    running.close()


@pytest.fixture
def scripted_up(indexed: tuple[Path, Path], said: Model) -> Iterator[Callable[..., Up]]:
    """Starts `limner up` over a home in a folder; killed at the end, where it still runs."""
    started: list[Up] = []
    with ScriptedServer(lambda body: said.answer(body)) as server:

        def start(folder: Path, port: int) -> Up:
            if not (folder / "home").exists():
                shutil.copytree(indexed[0], folder / "home")
            started.append(Up(folder / "home", server, folder / f"log{len(started)}", port))
            return started[-1]

        yield start
        for one in started:
            one.close()


@pytest.fixture(scope="module")
def browser(up: Up) -> Iterator[Browser]:
    """A browser without a window; of this module, because its event loop would be in the way of others."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; the test fails for an error in its console, for a dialog, for anything the policy refused."""
    context = browser.new_context(viewport={"width": 1400, "height": 1300}, reduced_motion="reduce", locale="en-GB")
    made = context.new_page()
    trouble = watched(made)
    yield made
    context.close()
    assert trouble == [], trouble


@pytest.fixture
def studio(page: Page, up: Up) -> Studio:
    """The editor of an article of one's own, open."""
    return Studio(page, up, up.article()).edit()
