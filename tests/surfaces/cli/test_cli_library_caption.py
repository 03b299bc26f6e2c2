"""limner library caption: the cost first, then the words, marked; stopped and killed without asking twice."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from connected import connected
from pictures import bare_folder
from scripted import Delayed, Script, ScriptedServer, Status, asking, by_colour, colour_of, images_of
from shell import Shell

from limner.tools.encoders import default_encoders
from limner.tools.library import Library, suggesting

PICTURES = 12


def number_of(body: dict[str, Any]) -> int:
    return round(colour_of(images_of(body)[0])[0] / 20)


def caption_of(body: dict[str, Any]) -> str:
    words = f"A plain field in the red number {number_of(body)}. It fills the whole picture."
    return json.dumps({"caption": words, "alt": "A field in red."})


def seeing(script: Any = caption_of) -> Script:
    return lambda body: by_colour(body) if asking(body) == "probe" else script(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with connected(seeing(), monkeypatch) as running:
        yield running


@pytest.fixture
def photos(tmp_path: Path, shell: Shell) -> Path:
    """The library "photos" of photographs without words."""
    folder = bare_folder(tmp_path / "photos", PICTURES, 20)
    assert shell("library", "add", "photos", folder).code == 0
    return folder


def asked_about(server: ScriptedServer) -> Counter[int]:
    return Counter(number_of(body) for body in server.requests if asking(body) == "chat")


def test_the_cost_comes_first_and_nothing_is_asked_without_a_yes(
    shell: Shell, server: ScriptedServer, photos: Path
) -> None:
    said = shell("library", "caption", "photos")
    assert said.code == 2
    assert said.err.splitlines()[0].startswith("12 pictures: about 12 calls to the server's first model, ")
    assert said.err.splitlines()[-1] == "limner: Nothing was asked. Give --yes to ask the model without a question."
    assert server.requests == []


def test_words_are_written_marked_and_taken_back(shell: Shell, server: ScriptedServer, photos: Path) -> None:
    (photos / "DSC_0002.txt").write_text("A field at dusk")
    shell("library", "add", "photos", photos)
    shell("library", "edit", "photos", "DSC_0003.png", "--caption", "My field")
    said = shell("library", "caption", "photos", "--yes")
    assert said.code == 0, said.err
    assert "10 pictures of photos have words now, marked as machine-made." in said.out
    assert " in 10 calls." in said.out
    assert asked_about(server) == Counter({n: 1 for n in range(PICTURES) if n not in (2, 3)})
    shown = shell("library", "show", "photos").out
    assert "machine-made: words of 10 images, by scripted-7b" in shown
    assert shown.count("whole picture. [machine-made]") == 10
    theirs = [line for line in shown.splitlines() if "A field at dusk" in line or "My field" in line]
    assert ["machine-made" in line for line in theirs] == [False, False]
    found = shell("library", "search", "photos", "the red number 7", "-k", "1").out
    assert "It fills the whole picture. [machine-made]" in found
    assert "no picture to ask about" in shell("library", "caption", "photos", "--yes").out
    shell("library", "edit", "photos", "DSC_0004.png", "--caption", "Mine now", "--alt", "A field")
    said = shell("library", "caption", "photos", "--remove")
    assert said.out == "photos: machine-made words of 9 pictures are deleted; other words stay.\n"
    shown = shell("library", "show", "photos").out
    assert "machine-made" not in shown
    assert "Mine now" in shown


def test_a_library_with_machine_made_words_is_not_removed_by_accident(
    shell: Shell, server: ScriptedServer, photos: Path
) -> None:
    shell("library", "caption", "photos", "--yes")
    refused = shell("library", "remove", "photos")
    assert refused.code == 2
    assert "A model (scripted-7b) wrote words for 12 images of photos, which would be lost" in refused.err
    shell("library", "edit", "photos", "DSC_0001.png", "--caption", "Mine")
    refused = shell("library", "remove", "photos")
    assert "People wrote words for 1 images of photos, which would be lost, and a model's for 12" in refused.err
    assert shell("library", "remove", "photos", "--captions-too").code == 0
    assert "photos" not in shell("library", "list").out


def test_reading_a_folder_offers_it_where_a_model_is_connected(
    shell: Shell, server: ScriptedServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = "To have your model describe 12 pictures without words: `limner library caption photos`"
    assert offer in shell("library", "add", "photos").out
    assert server.requests == []
    shell("library", "caption", "photos", "--yes")
    assert "library caption" not in shell("library", "add", "photos").out
    shell("library", "caption", "photos", "--remove")
    monkeypatch.delenv("LIMNER_MODEL_URL")
    assert "library caption" not in shell("library", "add", "photos").out


def test_pictures_left_out_are_named_and_asked_about_again_on_demand(
    shell: Shell, server: ScriptedServer, photos: Path
) -> None:
    server.answer = seeing(lambda body: "I cannot." if number_of(body) == 5 else caption_of(body))
    said = shell("library", "caption", "photos", "-y", "-n", "6")
    assert said.code == 0
    assert "5 pictures of photos have words now" in said.out
    assert "1 left out: 1 because the model refused to describe it." in said.out
    assert f"left out: {photos}/DSC_0005.png: the model refused to describe it" in said.out
    said = shell("library", "caption", "photos", "--model", "scripted-7b")
    assert "; 1 were asked about before in vain: --again, or another model, may do better" in said.err
    said = shell("library", "caption", "photos", "-y", "-n", "1")
    assert "0 pictures of photos have words now" in said.out
    assert "1 were asked about before in vain: --again, or another model, may do better." in said.out
    server.answer = seeing()
    assert "1 pictures of photos have words now" in shell("library", "caption", "photos", "-yn1", "--again").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--yes"], "nowhere"),
        (["photos", "--yes", "--without", "credit"], "choose caption or alt"),
        (["photos", "--yes", "--language", "klingonisch"], "is not a language code"),
        (["photos", "--yes", "--max-tokens", "500"], "Give a larger --max-tokens to go on."),
    ],
)
def test_what_cannot_be_done_is_one_line(
    shell: Shell, server: ScriptedServer, photos: Path, arguments: list[str], says: str
) -> None:
    said = shell("library", "caption", *arguments)
    assert (said.code, says in said.err.splitlines()[-1]) == (2, True), said.err
    assert asked_about(server) == Counter()


def test_what_is_done_is_kept_when_the_server_fails(
    shell: Shell, server: ScriptedServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_WORKERS", "1")
    broken = Status(500, {"error": "out of memory"})
    server.answer = seeing(lambda body: broken if number_of(body) == 3 else caption_of(body))
    said = shell("library", "caption", "photos", "--yes")
    assert said.code == 2
    assert "out of memory" in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].endswith("3 captions of this run are kept; the same command goes on.")
    server.answer = seeing()
    assert "9 pictures of photos have words now" in shell("library", "caption", "photos", "--yes").out


def test_a_model_that_does_not_see_is_one_line(shell: Shell, server: ScriptedServer, photos: Path) -> None:
    server.answer = lambda _body: '{"image": 1}'
    said = shell("library", "caption", "photos", "--yes")
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith(
        "limner: scripted-7b does not see pictures (asked which of two pictures"
    )
    said = shell("library", "caption", "photos", "--yes", "--model-url", "")
    assert said.err.splitlines()[-1].startswith("limner: scripted-7b does not see") or "embedded" in said.err


# --- real processes --------------------------------------------------------------------------------------------------


def command(*arguments: str, server: ScriptedServer, **more: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "LIMNER_MODEL_URL": server.url, "LIMNER_RETRIES": "0", **more}
    return [sys.executable, "-m", "limner.surfaces.cli.app", "library", "caption", "photos", *arguments], environment


@pytest.mark.real
@pytest.mark.parametrize("several", [1, 3])
@pytest.mark.parametrize(("stopped_by", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_no_picture_is_asked_about_twice_but_those_in_flight(
    photos: Path, home: Path, several: int, stopped_by: signal.Signals, code: int
) -> None:
    lock, stopping = threading.Lock(), threading.Event()

    def answer(body: dict[str, Any]) -> Any:
        with lock:
            if sum(asked_about(server).values()) > 5 and not stopping.is_set():
                stopping.set()
                process.send_signal(stopped_by)
        if stopping.is_set() and process.poll() is None:
            return Delayed(caption_of(body), 60)
        return caption_of(body)

    with ScriptedServer(seeing(answer)) as server:
        line, environment = command("--yes", server=server, LIMNER_WORKERS=str(several))
        process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == code, said
        first = asked_about(server)
        kept = {
            r.path[-8:-4] for r in Library.open(home, "photos", default_encoders(threads=1)).records() if not r.bare
        }
        assert 0 < len(kept) < PICTURES
        if stopped_by == signal.SIGINT and several == 1:  # else one may be stored while the line is written
            assert said.splitlines()[-1] == (
                f"limner: Stopped. {len(kept)} captions of this run are kept; the same command goes on."
            )
        again = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
        assert again.returncode == 0, again.stderr
    library = Library.open(home, "photos", default_encoders(threads=1))
    assert all(record.machine_made for record in library.records())
    asked = asked_about(server)
    twice = {n for n, times in asked.items() if times > 1}
    assert set(asked) == set(range(PICTURES))
    assert max(asked.values()) <= 2
    assert len(twice) <= several
    assert twice <= set(first), "only what the first run had asked about"
    assert not {f"{n:04}" for n in twice} & kept, "what was answered is not asked about again"
    assert library.search(["the red number 7"], 1)[0][0].scores["caption"] > 0.5
    assert suggesting.lacking(library).images == []


@pytest.mark.real
@pytest.mark.parametrize(("typed", "asked"), [("y\n", PICTURES), ("n\n", 0)])
def test_at_a_terminal_a_person_is_asked(photos: Path, home: Path, typed: str, asked: int) -> None:
    with ScriptedServer(seeing()) as server:
        line, environment = command(server=server)
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            line, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        os.write(ours, typed.encode())
        out = process.communicate(timeout=120)[0].decode()
        os.close(theirs)
        os.close(ours)
        assert sum(asked_about(server).values()) == asked, out
        assert out.index("12 pictures: about 12 calls") < out.index("Ask?")
        assert (process.returncode, "Nothing was asked" in out) == ((0, False) if asked else (2, True))
