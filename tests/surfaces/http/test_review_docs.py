"""docs/review.md says what is true: each of its examples is run, with a worker beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lives import serving
from parts import working
from revising import command, revising_answers
from scripted import ScriptedServer, article_answers
from servers import until
from shell import Shell

from limner.jobs.service import Jobs
from limner.notes import Note
from limner.surfaces.http.app import create_app

PAGE = (Path(__file__).parents[3] / "docs" / "review.md").read_text(encoding="utf-8")
WISHED = [command("shorten", block=2), command("add_image", block=9, where="before", text="A wooden beehive")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def model(bees: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A model that follows what is asked for on the page."""

    def rarely(candidates: int, prompt: str) -> int:
        return candidates if "A wooden beehive" in prompt.rpartition("a picture is wanted")[2] else 1

    with ScriptedServer(revising_answers(WISHED, otherwise=article_answers(sees=True, choose=rarely))) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        yield server


def settled(jobs: Jobs, job: str) -> None:
    until(lambda: jobs.ledger.job(job).state in ("waiting", "done", "failed"), "the job to settle")


def test_the_shape_of_a_question_is_as_it_says() -> None:
    from limner.document import read_markdown
    from limner.workflows.review import questions

    [shown] = [json.loads(block) for block in blocks("json")]
    made = questions.question("draft", questions.text_args(read_markdown("# A\n\nB.\n")), Note("The text."))
    assert made.keys() == shown.keys()
    assert made["config"] == shown["config"]
    assert made["action_request"].keys() == shown["action_request"].keys()
    assert made["action_request"]["args"].keys() == shown["action_request"]["args"].keys()


def test_the_examples_from_python_run(
    model: ScriptedServer, bees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(bees)
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks("python")), "review.md", "exec"), names)
    said = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in said if line] == ["draft", "images", "set_text", "place_image"]
    assert names["article"].language == "de"


def test_the_examples_by_curl_run(model: ScriptedServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    lines = [line.partition("  #")[0] for line in blocks("sh")[0].splitlines()]
    with closing(Jobs()) as jobs, working(jobs), serving(create_app(jobs.settings, jobs)) as url:
        known = {"localhost:8642": url.removeprefix("http://").replace("127.0.0.1", "localhost")}
        states = []
        for line in lines:
            for name, value in known.items():
                line = line.replace(name, value)
            # --json is curl's since 7.82; older ones say the same in two options
            line = line.replace("--json", "-H 'Content-Type: application/json' -d")
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
            job = json.loads(done.stdout)
            assert "status" not in job, job
            states.append(job["state"])
            settled(jobs, job["id"])
            question = jobs.ledger.job(job["id"]).question
            known |= {"JOB": job["id"], "VERSION": question[0]["value"]["version"] if question else "none"}
        assert jobs.ledger.job(known["JOB"]).state == "done"
    assert states == ["queued", "waiting", "queued", "queued"]


def test_the_examples_from_the_shell_run(model: ScriptedServer, shell: Shell) -> None:
    first, *lines = [line.partition("  #")[0].strip() for line in blocks("sh")[1].splitlines()]
    said = shell(*_words(first), "--quiet")
    assert "waits for your review" in said.err, "there is no terminal here; tests/surfaces/cli/test_asking.py has one"
    with closing(Jobs()) as jobs, working(jobs):
        job = ""
        for line in lines:
            words, _, file = line.replace("JOB", job).partition(" > ")
            said = shell(*_words(words))
            assert said.code == 0, (line, said.err)
            if file:
                Path(file).write_text(said.out, encoding="utf-8")
            job = job or said.out.strip()
            settled(jobs, job)
        assert jobs.ledger.job(job).state == "done"


def _words(line: str) -> list[str]:
    import shlex

    program, *words = shlex.split(line)
    assert program == "limner"
    return words
