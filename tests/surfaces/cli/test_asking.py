"""Review points in the shell: a real terminal for `limner compose`, and `limner jobs answer`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from revising import command, revising_answers
from scripted import ARTICLE, ScriptedServer
from shell import Shell

from limner.document import read_markdown
from limner.jobs.ledger import Lease
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.workflows.review import questions

pytestmark = pytest.mark.real


class Typist:
    """`limner ARGS` on a terminal of its own."""

    def __init__(self, *args: str, cwd: Path, **environment: str) -> None:
        self.master, inner = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "limner.surfaces.cli.app", *args],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=cwd,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        os.close(inner)

    def until(self, text: str) -> str:
        """Read on until a text is on the screen; returns what was before it."""
        while text not in self.seen:
            try:
                piece = os.read(self.master, 4096)
            except OSError:  # Linux says so when the other side is closed
                piece = b""
            assert piece, f"it ended before {text!r}: {self.seen[-600:]}"
            self.seen += piece.decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line: str) -> None:
        os.write(self.master, f"{line}\n".encode())

    def end(self) -> int:
        try:
            while os.read(self.master, 4096):
                pass
        except OSError:
            pass
        os.close(self.master)
        return self.process.wait(60)


def test_at_a_terminal_each_point_is_asked_about(bees: Path, home: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import sys, pathlib\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace('How Bees Make Honey', 'Honey, by Hand'))\n"
    )
    with ScriptedServer(revising_answers([command("delete", block=2)])) as server:
        typist = Typist(
            *("compose", "How bees make honey", "-l", "bees", "--review", "draft,images", "--out", "made"),
            cwd=tmp_path,
            LIMNER_MODEL_URL=server.url,
            LIMNER_HOME=str(home),
            EDITOR=f"{sys.executable} {editor}",
        )
        typist.until("Review of the draft")
        typist.until("to change: ")
        typist.type("what?")
        typist.until("to change: ")
        typist.type("e")
        typist.until("Review of the images")
        typist.until("to change: ")
        typist.type("a")
        assert typist.end() == 0
    article = json.loads((tmp_path / "made" / "article.json").read_text())
    assert "Honey, by Hand" in json.dumps(article)


def test_what_is_said_is_followed_and_shown_again(bees: Path, home: Path, tmp_path: Path) -> None:
    with ScriptedServer(revising_answers([command("delete", block=2)])) as server:
        environment = {"LIMNER_MODEL_URL": server.url, "LIMNER_HOME": str(home)}
        arguments = ("compose", "Bees", "-l", "bees", "-n", "0", "--review", "draft", "--out", "made")
        typist = Typist(*arguments, cwd=tmp_path, **environment)
        typist.until("to change: ")
        typist.type("s without the first paragraph")
        typist.until("Review of the draft")
        typist.until("to change: ")
        typist.type("a")
        assert typist.end() == 0
        assert "without the first paragraph" in "".join(server.texts)
    assert "A worker bee leaves the hive" not in (tmp_path / "made" / "article.md").read_text()


def test_without_a_terminal_the_job_is_kept_and_says_how_to_go_on(
    bees: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(revising_answers()) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        said = shell("compose", "Bees", "-l", "bees", "--review", "draft")
        assert said.code == 2
        assert "The draft waits for your review" in said.err
        again = re.search(r"limner compose (--resume [\w-]+)\n*\Z", said.err.strip())
        assert again
        calls = len(server.requests)
        said = shell("compose", *again[1].split())
        assert "The draft waits for your review" in said.err
        assert len(server.requests) == calls, "nothing is paid for twice"
    assert shell("compose", "Bees", "--review", "cover").err.count("\n") == 1
    assert "Unknown review point 'cover'" in shell("compose", "Bees", "--review", "cover").err


# --- jobs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(bees: Path, home: Path) -> Iterator[Jobs]:
    with closing(Jobs(Settings(home=home))) as made:
        yield made


def waiting(jobs: Jobs, shell: Shell) -> str:
    job = shell("jobs", "submit", "How bees make honey", "-l", "bees", "--review", "draft").out.strip()
    assert jobs.ledger.request(job)["review"] == ["draft"]
    question = questions.question("draft", questions.text_args(read_markdown(ARTICLE)), "The text.")
    jobs.ledger.wait(taken(jobs, job), [{"id": "i1", "value": question}])
    return job


def taken(jobs: Jobs, job: str) -> Lease:
    lease = jobs.ledger.take(job, "w")
    assert lease
    return lease


def test_jobs_answer_shows_what_is_asked_and_takes_the_file_back(shell: Shell, jobs: Jobs, tmp_path: Path) -> None:
    job = waiting(jobs, shell)
    shown = shell("jobs", "answer", job)
    assert "Answer with --accept" in shown.err
    asked = json.loads(shown.out)
    asked["args"]["text"] = asked["args"]["text"].replace("A worker bee", "A bee")
    file = tmp_path / "answer.json"
    file.write_text(json.dumps({**asked, "version": "0" * 16}))
    stale = shell("jobs", "answer", job, "--edit", file)
    assert (stale.code, stale.err.count("\n")) == (2, 1)
    assert "earlier version" in stale.err
    file.write_text(json.dumps(asked))
    assert shell("jobs", "answer", job, "--edit", file).out == f"{job} continues.\n"
    again = shell("jobs", "answer", job, "--edit", file)
    assert again.code == 2
    assert "asks nothing" in again.err
    answer = taken(jobs, job).answer["value"]
    assert answer["type"] == "edit"
    assert answer["args"]["args"]["text"] == asked["args"]["text"]


def test_jobs_answer_takes_markdown_a_wish_or_a_nod(shell: Shell, jobs: Jobs, tmp_path: Path) -> None:
    file = tmp_path / "answer.md"
    file.write_text("# Mine\n\nAll of it.\n")
    expected = {
        ("--edit", str(file)): ("edit", {"action": "review_draft", "args": {"text": "# Mine\n\nAll of it.\n"}}),
        ("--say", "shorter"): ("response", "shorter"),
        ("--accept",): ("accept", None),
    }
    for options, (kind, args) in expected.items():
        job = waiting(jobs, shell)
        assert shell("jobs", "answer", job, *options).code == 0
        answer = taken(jobs, job).answer["value"]
        assert (answer["type"], answer.get("args")) == (kind, args)
    job = waiting(jobs, shell)
    assert "one of --accept" in shell("jobs", "answer", job, "--accept", "--say", "x").err
    assert "no job" in shell("jobs", "answer", "nobody").err
