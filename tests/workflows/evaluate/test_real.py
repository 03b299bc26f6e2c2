"""bench/real.py on two made articles and a server with a script, over the wire: every part, the row, and going on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripted import Fault, ScriptedServer, Status, article_answers, asking, by_words

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import real  # pyright: ignore[reportMissingImports]

    return real


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    real: ModuleType, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run it with a limit of two: (exit code, stdout, stderr)."""

    def call(*args: str) -> tuple[int, str, str]:
        given = [*args, "--split", str(split), "--limit", "2", "--answers", str(tmp_path / "answers")]
        monkeypatch.setattr(sys, "argv", ["real.py", *given])
        capsys.readouterr()
        code = real.main()
        out, err = capsys.readouterr()
        return code, out, err

    return call


def answers(*, sees: bool = True) -> Callable[[dict[str, Any]], str | Fault]:
    """A model of limner's prompts; to a wish it says that nothing is to be done."""
    known = article_answers(sees=sees)

    def answer(body: dict[str, Any]) -> str | Fault:
        return "white" if asking(body) == "chat" else known(body)

    return answer


def test_all_parts_are_measured_and_a_second_run_asks_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RERANKER_URL", "SELECTOR_URL", "SPOTTER_URL"):
        monkeypatch.setenv(f"LIMNER_{name}", "http://127.0.0.1:9/v1")  # of somebody's daily use
    with ScriptedServer(answers(), rerank=by_words) as server:
        code, out, err = run(server.url, "--reranker", server.url)
        assert code == 0, err
        count = len(server.log), len(server.reranked), server.listed
        assert run(server.url, "--reranker", server.url)[1] == out
        assert (len(server.log), len(server.reranked), server.listed) == count
        roles = {asking(body) for body in server.requests}
    assert {"spotter", "selector", "probe"} <= roles
    made = json.loads((tmp_path / "answers" / "real.json").read_text())
    parts = made["parts"]
    assert set(parts) == {
        "first",
        "revise",
        "articles-honey",
        "select-sight-honey",
        "select-captions-honey",
        "select-reranker-honey",
    }
    assert sum(p["calls"] for p in parts.values()) == count[0] + count[1]
    assert all(p["tokens"] > 0 for p in parts.values() if p["calls"])
    assert parts["articles-honey"]["articles"] == parts["revise"]["wishes"] == 2
    assert parts["articles-honey"]["evaluate"]["opens"] == 1
    assert parts["select-reranker-honey"]["flipped"]["mean"] == 0
    assert parts["select-reranker-honey"]["right"]["mean"] == 1
    row = out.splitlines()[-1]
    assert row.startswith("| scripted-7b | honey | 2, 2, 2 |")
    assert row.count("|") == out.splitlines()[-3].count("|")


def test_a_model_that_does_not_see_has_a_dash_and_the_reason(run: Run) -> None:
    with ScriptedServer(answers(sees=False)) as server:
        code, out, err = run(server.url)
    assert code == 0, err
    assert "– by sight: asked which of two pictures is red it named" in out
    assert "– by a reranker: no --reranker is given" in out
    assert out.splitlines()[-1].split(" | ")[3] == "–"


def test_a_run_that_was_cut_short_goes_on_and_asks_nothing_twice(run: Run) -> None:
    left = [9]

    def failing(body: dict[str, Any]) -> str | Fault:
        left[0] -= 1
        return answers()(body) if left[0] >= 0 else Status(401, {"error": {"message": "the key is gone"}})

    with ScriptedServer(failing) as server:
        code, _, err = run(server.url)
        assert code == 2
        assert "the key is gone" in err
        assert "Answers so far are kept" in err
        left[0] = 10_000
        code, _, err = run(server.url)
        assert code == 0, err
        answered = [json.dumps(a.body, sort_keys=True) for a in server.log if a.usage]
    assert len(answered) == len(set(answered))


@pytest.mark.parametrize(
    ("url", "model", "says"),
    [("http://127.0.0.1:9/v1", "m", "Nothing answers at"), ("", "gone", "Check --model"), ("gpu:1", "m", "http")],
)
def test_what_cannot_be_is_one_line(run: Run, url: str, model: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_RETRIES", "0")
    missing = Status(404, {"error": {"message": "The model `gone` does not exist."}})
    with ScriptedServer(lambda _body: missing) as server:
        code, out, err = run(url or server.url, "--model", model)
    assert (code, out) == (2, "")
    assert says in err.splitlines()[-1]


def test_a_folder_of_another_run_is_refused(run: Run) -> None:
    with ScriptedServer(answers(sees=False)) as server:
        assert run(server.url)[0] == 0
        code, _, err = run(server.url, "--model", "another-7b")
    assert code == 2
    assert "begun with other arguments" in err
