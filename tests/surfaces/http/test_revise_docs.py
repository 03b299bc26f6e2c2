"""The stories of docs/revise.md are true: every command that it shows is run."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from articles import composed
from fastapi import FastAPI
from lives import serving, take
from PIL import Image
from scripted import ScriptedServer
from shell import Shell

from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.tools.editing import commands
from limner.tools.editing.apply import COMMANDS
from limner.tools.encoders import default_encoders
from limner.tools.library import Library

PAGE = (Path(__file__).parents[3] / "docs" / "revise.md").read_text(encoding="utf-8")


def section(title: str, word: str) -> list[str]:
    """The commands of a section, as the shell gets them."""
    (story,) = re.findall(rf"## {title}\n\n(.*?)\n\n[^ ]", PAGE, re.DOTALL)
    return [part.split("   #")[0].rstrip() for part in re.split(rf"^    (?={word} )", story, flags=re.MULTILINE)[1:]]


@pytest.fixture
def library(bees: Path, home: Path) -> Library:
    """The library "bees" of this test's home."""
    return Library.open(home, "bees", default_encoders())


@pytest.fixture
def job(jobs: Jobs, library: Library) -> str:
    """A finished job."""
    [(made, _)] = jobs.submit([JobRequest(brief="Honey", library=["bees"])])
    jobs.ledger.finish(take(jobs, made.id), composed(library.records()))
    return made.id


def short(_asked: Any) -> str:
    """The model."""
    return "Home it goes."


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_story_by_curl(home: Path, jobs: Jobs, job: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "orange").save(out, "PNG")
    (tmp_path / "jar.png").write_bytes(out.getvalue())
    known = {"JOB": job}
    with ScriptedServer(short) as model:
        app: FastAPI = create_app(Settings(home=home, model_url=model.url), jobs)
        with serving(app) as url:

            def run(command: str) -> Any:
                for name, value in known.items():
                    command = command.replace(name, value)
                command = command.replace("localhost:8642", url.removeprefix("http://"))
                done = subprocess.run(
                    ["sh", "-c", command], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=120
                )
                return json.loads(done.stdout) if done.stdout else None

            commands = iter(section("By curl", "curl"))

            def step() -> Any:
                return run(next(commands))

            assert step()["version"] == 1
            assert step()["blocks"][1]["text"] == "Bees *drink* nectar."
            recorded = step()["candidates"]
            assert recorded[0]["chosen"]
            assert recorded[0]["why"]
            assert step()["candidates"][0]["file"] == "ship.png"
            own = step()
            known |= {"IMAGE": own["image_id"], "LIBRARY": own["library"]}
            swapped = step()["blocks"]
            assert [b["locked"] for b in swapped if b["id"] in ("b2", "f-s1")] == [True, True]
            assert [b["caption"] for b in swapped if b["id"] == "f-s1"] == ["Our own jar"]
            proposal = step()
            assert [(e["do"], e["text"]) for e in proposal["edits"]] == [("set_text", "Home it goes.")]
            assert step()["version"] == 2
            assert step()["version"] == 3
            assert [v["number"] for v in step()["versions"]] == [1, 2, 3]
            assert [i["change"] for i in step()["images"]] == ["changed", "same"]
            assert step() is None
            assert next(commands, None) is None
    assert "Bees <em>drink</em> nectar." in (tmp_path / "honey.html").read_text("utf-8")


def test_the_story_by_the_shell(
    shell: Shell, jobs: Jobs, job: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship = next(r.id for r in library.records() if r.path.endswith("ship.png"))
    Path("edits.json").write_text('[{"do": "set_text", "block": "b4", "text": "Then it is honey."}]')
    said = {}
    with ScriptedServer(short) as model:
        monkeypatch.setenv("LIMNER_MODEL_URL", model.url)
        for command in section("By the shell", "limner"):
            words = shlex.split(command.replace("JOB", job).replace("IMAGE", ship))
            done = shell(*words[1:])
            assert done.code == 0, (command, done.err)
            said[command] = done.out
    lines = list(said.values())
    assert "f-s1" in lines[0]
    assert "Version 2:" in lines[1]
    assert "(ship.png)" in lines[3].splitlines()[0]
    assert '"do": "set_text"' in lines[6]
    assert "Version 5:" in lines[7]
    assert "[-gather-]{+*drink*+}" in lines[11]
    assert lines[-2].splitlines()[-1].startswith("all ")
    assert Path("honey", "article.html").is_file()
    assert len(lines) == 16


def test_every_edit_and_each_of_its_fields_is_told() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `") and "`do`" not in line]
    told = {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(told) == set(COMMANDS)
    for kind in commands.Edit.__args__[0].__args__:  # type: ignore[attr-defined]
        fields = set(kind.model_fields) - {"do"}
        optional = {"caption", "alt"} if kind.model_fields["do"].default in ("place_image", "swap_image") else set()
        named = set(re.findall(r"`(\w+)`", told[kind.model_fields["do"].default]))
        assert fields - optional <= named, kind
