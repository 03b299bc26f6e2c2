"""What the documents say is true: examples run, commands exist, files and settings are named as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from parts import working
from scripted import ScriptedServer, article_answers

import limner

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_python_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with ScriptedServer(article_answers()) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        exec(compile(example, "README.md", "exec"), {})
    assert "OpenMoji" in capsys.readouterr().out
    assert (tmp_path / "honey" / "article.html").is_file()


def test_the_examples_from_python_run(
    bees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(bees)
    with ScriptedServer(article_answers(sees=True)) as server:
        exec(compile(examples.replace("http://localhost:8000/v1", server.url), "python.md", "exec"), {})
    assert capsys.readouterr().out.endswith("How Bees Make Honey\n")
    assert (tmp_path / "honey" / "article.md").is_file()


def test_the_examples_of_export_run(bees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(bees)
    made: dict[str, list[Path]] = {}
    with ScriptedServer(article_answers(sees=True)) as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        exec(compile(example, "export.md", "exec"), made)
    assert [path.suffix for path in made["files"]] == [".html", ".json", ".docx", ".epub", ".pdf"]
    assert all(path.is_file() for path in (*made["files"], *made["small"]))


def test_the_formats_of_the_page_are_those_there_are() -> None:
    from limner.exports import FORMATS

    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(FORMATS)


def test_the_example_of_the_jobs_page_runs(
    bees: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a worker in a thread instead of `limner up` beside it."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with ScriptedServer(article_answers(sees=True)) as server, closing(limner.Jobs()) as jobs, working(jobs):
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        exec(compile(example, "jobs.md", "exec"), {})
    assert "done" in capsys.readouterr().out.splitlines()[-1]
    assert (tmp_path / "honey-by-job" / "article.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_anchors_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    pages = [(page.parent / target if target else page, anchor) for target, anchor in links]
    assert [(p.name, anchor) for p, anchor in pages if p.suffix == ".md" and anchor not in headings(p)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_settings_that_are_named_exist(page: Path) -> None:
    from limner.settings import Settings

    known = {f"LIMNER_{name}".upper() for name in Settings.model_fields}
    named = set(re.findall(r"\bLIMNER_[A-Z_]+\b", page.read_text(encoding="utf-8")))
    assert named <= known


def test_commands_that_are_named_exist() -> None:
    from typer.main import get_command

    from limner.surfaces.cli.app import app

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"(?:`|^ +(?:bin/uv run )?)limner ([a-z]+)", text, re.MULTILINE)) <= commands


def test_the_walks_of_contributing_name_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = re.findall(
        r"`((?:surfaces|jobs|workflows|agents|tools|tests|document|errors)[\w/.-]*)(?:: ([\w.]+))?`", text
    )
    assert len(places) > 20
    for path, name in places:
        file = ROOT / path if path.startswith("tests") else ROOT / "limner" / path
        assert file.exists() or file.with_suffix(".py").exists() or "/" not in path, path
        if name:
            assert name.rpartition(".")[2] in file.read_text(encoding="utf-8"), f"{path}: {name}"


@pytest.mark.parametrize("drawing", ["tree.py", "codes.py", "measures.py"])
def test_what_is_drawn_from_the_code_is_up_to_date(drawing: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / drawing, "--check"], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr
