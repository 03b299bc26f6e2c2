"""The shell: what people type, what they see, and one line for whatever they can put right."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from connected import connected
from pictures import BUDGET, LONG, make_folder
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scripted import Delayed, Script, ScriptedServer, article_answers, asking
from shell import Said, Shell
from typer.main import get_group

from limner.exports import read_json
from limner.surfaces.cli.commands import COMMANDS, TABLE


def chatty(**how: bool) -> Script:
    """A model that also answers what `limner doctor` asks it."""
    usual = article_answers(**how)  # type: ignore[arg-type]
    return lambda body: "White" if asking(body) == "chat" else usual(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted model server that LIMNER_MODEL_URL names."""
    with connected(chatty(), monkeypatch) as running:
        yield running


def refused(said: Said, *words: str) -> None:
    """One line, exit code 2, and these words in it."""
    assert said.code == 2, said
    lines = [line for line in said.err.splitlines() if line.startswith("limner: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in lines[0], lines[0]


# --- the main road -------------------------------------------------------------------------------------------------


def test_compose_writes_the_article_and_says_where(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    said = shell("compose", "How bees make honey", "--library", "bees", "--images", 3)
    assert said.code == 0, said
    folder = Path("how-bees-make-honey")
    assert {p.name for p in folder.iterdir()} == {"article.md", "article.html", "article.json", "images"}
    assert len(list((folder / "images").iterdir())) == 3
    assert said.out.startswith("# How Bees Make Honey"), "the text streams to standard output"
    assert [line for line in said.out.splitlines() if line.startswith("how-bees-make-honey/")] == [
        "how-bees-make-honey/article.html",
        "how-bees-make-honey/article.json",
        "how-bees-make-honey/article.md",
    ]
    assert "3 images" in said.err
    assert "Tokens" in said.err
    page = (folder / "article.html").read_text(encoding="utf-8")
    assert page.count("<img ") == page.count("data:image/png;base64,") == 3
    assert not re.search(r"""(src|href)=["']?https?:""", page)


def test_a_second_run_overwrites_nothing(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    first = shell("compose", "Bees", "-l", "bees", "-q")
    second = shell("compose", "Bees", "-l", "bees", "-q")
    assert (first.out.strip(), second.out.strip()) == ("how-bees-make-honey", "how-bees-make-honey-2")


def test_a_folder_of_images_is_indexed_on_the_spot(shell: Shell, server: ScriptedServer, indexed: tuple) -> None:
    assert shell("compose", "Bees", "--library", indexed[1], "-n", 1, "-q").code == 0
    listed = shell("library", "list")
    assert "photos" in listed.out
    assert "7 images" in listed.out


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_the_brief_may_come_from_a_file_or_stdin(shell: Shell, server: ScriptedServer, bees: Path, way: str) -> None:
    Path("brief.txt").write_text("Bees\n- field\n- hive\n", encoding="utf-8")
    argument, stdin = ("brief.txt", "") if way == "file" else ("-", "Bees\n- field\n- hive\n")
    assert shell("compose", argument, "-l", "bees", "-q", "-n", 1, stdin=stdin).code == 0
    assert "- field\n- hive" in server.texts[0]


def test_sources_and_language_reach_the_writer(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    Path("notes.md").write_text("Bees dance.", encoding="utf-8")
    assert shell("compose", "Bees", "-l", "bees", "-n", 0, "-q", "--source", "notes.md", "--language", "de").code == 0
    assert "Bees dance." in server.texts[0]
    assert "'de'" in server.texts[0]


def test_illustrate_leaves_the_text_alone(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    Path("draft.md").write_bytes(b"# Bees\r\n\r\nA bee on a flower.\r\n\r\nA jar of honey.\r\n")
    said = shell("illustrate", "draft.md", "--library", "bees", "--images", 2, "--out", "done")
    assert said.code == 0, said
    text = Path("done/article.md").read_bytes()
    assert text.count(b"![") == 2
    assert Path("draft.md").read_bytes() == b"# Bees\r\n\r\nA bee on a flower.\r\n\r\nA jar of honey.\r\n"
    assert read_json(Path("done/article.json")).source.encode() == Path("draft.md").read_bytes()


def test_a_drafts_own_images_go_along(shell: Shell, server: ScriptedServer, bees: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes((bees / "tax.png").read_bytes())
    Path("text/pics").mkdir(parents=True)
    Path("text/pics/my map.png").write_bytes((bees / "ship.png").read_bytes())
    Path("text/draft.md").write_text(
        "![map](pics/my%20map.png) A bee.\n\n![no](../../secret.png)\n\nHoney. ![x](http://e/x.png)\n"
    )
    assert shell("illustrate", "text/draft.md", "-l", "bees", "-n", 1, "-o", "done", "-q").code == 0
    assert Path("done/pics/my map.png").read_bytes() == (bees / "ship.png").read_bytes()
    assert not list(Path.cwd().rglob("secret.png")), "nothing from outside the draft's folder"


def test_export_writes_other_formats_from_the_json_alone(
    shell: Shell, server: ScriptedServer, bees: Path, home: Path
) -> None:
    shell("compose", "Bees", "-l", "bees", "-n", 2, "-q", "-o", "a")
    shell("library", "remove", "bees")
    said = shell("export", "a/article.json", "--to", "md,html,json", "--out", "b")
    assert said.code == 0, said
    assert Path("b/article.html").read_text() == Path("a/article.html").read_text()
    assert Path("b/article.md").read_text() == Path("a/article.md").read_text()


def test_export_writes_documents_and_says_nothing_private(
    shell: Shell, server: ScriptedServer, bees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("compose", "Bees", "-l", "bees", "-n", 2, "-q", "-o", "a")
    said = shell("export", "a/article.json", "--to", "docx,epub,pdf", "--image-side", 300, "--out", "b")
    assert said.code == 0, said
    assert sorted(p.name for p in Path("b").iterdir()) == ["article.docx", "article.epub", "article.pdf"]
    image = next(Path("a/images").iterdir())
    tagged = PngInfo()
    tagged.add_text("parameters", "a portrait of Jane")
    with Image.open(image) as picture:
        picture.save(image, pnginfo=tagged)
    shell("export", "a/article.json", "--to", "md", "--out", "bare")
    shell("export", "a/article.json", "--to", "md", "--out", "kept", "--keep-metadata")
    assert b"Jane" not in (Path("bare/images") / image.name).read_bytes()
    assert (Path("kept/images") / image.name).read_bytes() == image.read_bytes()
    monkeypatch.setitem(sys.modules, "typst", None)
    said = shell("export", "a/article.json", "--to", "pdf", "--out", "c")
    assert said.code == 2
    assert "pip install 'limner[export]'" in said.err
    assert not Path("c").exists()


def test_plan_says_what_would_be_done_and_does_nothing(shell: Shell, server: ScriptedServer, home: Path) -> None:
    said = shell("compose", "Bees", "--plan", "-n", 4)
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == [
        "write",
        "spot",
        "retrieve",
        "select",
        "arrange",
        "check",
        "in",
    ]
    assert "tokens" in said.out
    assert server.log == []
    assert server.listed == 0
    assert not home.exists()
    assert list(Path.cwd().iterdir()) == []


# --- libraries -----------------------------------------------------------------------------------------------------


def test_library_from_first_to_last(shell: Shell, indexed: tuple) -> None:
    folder = indexed[1]
    added = shell("library", "add", "mine", folder)
    assert (added.code, "7 added" in added.out) == (0, True), added
    found = shell("library", "search", "mine", "boat at sea")
    assert "container ship" in found.out.splitlines()[0]
    sheet = Path("mine-search.html").read_text(encoding="utf-8")
    assert sheet.count("<img ") == 7
    shown = shell("library", "show", "mine")
    assert "7 images, 7 with a caption of their own, 7 with a licence" in shown.out
    assert shell("library", "remove", "mine").code == 0
    assert "No library yet" in shell("library", "list").out
    assert len(list(folder.glob("*.png"))) == 7, "the files are left alone"


def test_a_vanished_file_hides_no_other(shell: Shell, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", ["ship.png", "tax.png"])
    shell("library", "add", "mine", folder)
    (folder / "ship.png").unlink()
    said = shell("library", "search", "mine", "boat at sea")
    assert said.code == 0
    assert "ship.png is gone" in said.out
    assert Path("mine-search.html").read_text(encoding="utf-8").count("<img ") == 1


# --- stopping and going on -----------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(("stopped_by", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_command_keeps_what_is_done_and_resume_goes_on(
    bees: Path, home: Path, tmp_path: Path, stopped_by: signal.Signals, code: int
) -> None:
    usual, stop = article_answers(), []

    def answer(body: dict) -> object:
        if asking(body) == "selector" and not stop:
            stop.append(True)
            process.send_signal(stopped_by)
            return Delayed(usual(body), 20)  # type: ignore[arg-type]
        return usual(body)

    with ScriptedServer(answer) as server:  # type: ignore[arg-type]
        environment = {**os.environ, "LIMNER_MODEL_URL": server.url, "LIMNER_VISION": "false"}
        command = [sys.executable, "-m", "limner.surfaces.cli.app", "compose", "Bees", "-l", "bees", "-n", "2"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, **pipes)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        job = re.search(r"limner compose --resume (\S+)", err)
        assert job, err
        done = [asking(body) for body in server.requests][:-1]
        assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == [], "nothing half-written"
        resumed = subprocess.run([*command[:4], "--resume", job[1]], env=environment, cwd="/", capture_output=True)
        assert resumed.returncode == 0, resumed.stderr
        after = [asking(body) for body in server.requests][len(done) + 1 :]
    assert set(done) == {"writer", "spotter"}
    assert set(after) == {"selector"}
    assert (tmp_path / "how-bees-make-honey" / "article.html").is_file(), "where the job was started"


def test_resume_of_no_job(shell: Shell) -> None:
    refused(shell("compose", "--resume", "nope"), "no job 'nope'")


def test_a_token_budget_keeps_the_text(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    server.answer = article_answers(article=LONG)
    said = shell("compose", "Bees", "-l", "bees", "-n", 6, "--max-tokens", BUDGET)
    refused(said, "--max-tokens", "--resume", "how-bees-make-honey")
    assert Path("how-bees-make-honey/article.md").read_text().startswith("# How Bees Make Honey")
    job = re.search(r"--resume (\S+)", said.err)
    assert job
    assert shell("compose", "--resume", job[1], "--max-tokens", 100_000).code == 0
    assert [asking(b) for b in server.requests].count("writer") == 1


def test_a_limit_of_money_keeps_the_text(shell: Shell, server: ScriptedServer, bees: Path, home: Path) -> None:
    """The plan says what it would cost, the summary and the record what it did."""
    server.answer = article_answers(article=LONG)
    home.mkdir(exist_ok=True)
    (home / "prices.toml").write_text('["scripted-7b"]\ninput = 10_000\noutput = 1\n')
    named = ("-l", "bees", "-n", 6, "--model", "scripted-7b")
    plan = shell("compose", "Bees", *named, "--plan")
    assert re.search(r"tokens, about \$\d+\.\d\d", plan.out), plan.out
    said = shell("compose", "Bees", *named, "--max-cost", "5")
    refused(said, "limit of $5.00", "--max-cost USD", "--resume")
    assert Path("how-bees-make-honey/article.md").read_text().startswith("# How Bees Make Honey")
    job = re.search(r"--resume (\S+)", said.err)
    assert job
    again = shell("compose", "--resume", job[1], "--max-cost", 1000)
    assert again.code == 0, again
    assert [asking(b) for b in server.requests].count("writer") == 1
    written = json.loads(Path("how-bees-make-honey-2/article.json").read_text())
    cost = written["article"]["made_with"]["cost"]["usd"]
    told = sum(a.usage["prompt_tokens"] / 100 + a.usage["completion_tokens"] / 1e6 for a in server.log if a.usage)
    assert cost == pytest.approx(told, abs=1e-4)
    assert f"${cost:.2f}" in again.err


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("brief", ["", "   ", "\n\t", "...", "—"])
def test_empty_brief(shell: Shell, brief: str) -> None:
    refused(shell("compose", brief), "brief is empty", "limner compose")


def test_no_brief(shell: Shell) -> None:
    refused(shell("compose"), "brief is empty")


@pytest.mark.parametrize("count", ["many", "-1", "1.5", "101", "99999999"])
def test_images_that_are_no_count(shell: Shell, count: str) -> None:
    refused(shell("compose", "Bees", f"--images={count}"), "0 to 100")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--language", "english please", "language code"),
        ("--to", "odt", "odt"),
        ("--to", "", "format"),
        ("--source", "missing.md", "missing.md"),
        ("--image", "missing.png", "missing.png"),
        ("--library", "no-such-library", "no-such-library"),
        ("--model", "gpt-9", "--model-url"),
        ("--model-url", "localhost:8000", "http"),
        ("--max-tokens", "0", "max-tokens"),
    ],
)
def test_options_that_cannot_be_used(shell: Shell, option: str, value: str, word: str, bees: Path) -> None:
    extra = [] if option == "--library" else ["--library", "bees"]
    refused(shell("compose", "Bees", option, value, *extra), word)
    assert not list(Path.cwd().glob("bees*")), "nothing half-written"


def test_an_out_folder_that_holds_something(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    refused(shell("compose", "Bees", "-l", "bees", "--out", "mine"), "not empty", "--out")
    assert Path("mine/thesis.txt").read_text() == "years of work"
    assert server.log == []


def test_a_library_folder_without_images(shell: Shell) -> None:
    Path("empty").mkdir()
    refused(shell("compose", "Bees", "--library", "empty"), "empty")
    Path("empty/photo.jpg").write_text("this is not a photograph")
    refused(shell("compose", "Bees", "--library", "empty"), "unreadable", "photo.jpg")


def test_reference_images_that_are_none(shell: Shell, server: ScriptedServer, bees: Path) -> None:
    Path("bomb.png").write_bytes(bomb())
    refused(shell("compose", "Bees", "-l", "bees", "--image", "bomb.png"), "pixels")
    Path("text.jpg").write_text("not an image")
    refused(shell("compose", "Bees", "-l", "bees", "--image", "text.jpg"), "image")
    assert server.log == []


def bomb() -> bytes:
    """A PNG of 30000 x 30000 px in some 110 KB: 900 million pixels, 2.7 GB when decoded."""
    out = io.BytesIO()
    Image.new("1", (30000, 30000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("draft", ["", "# Only a heading\n", "```\ncode\n```\n"])
def test_a_draft_without_a_paragraph(shell: Shell, draft: str, bees: Path) -> None:
    Path("draft.md").write_text(draft)
    refused(shell("illustrate", "draft.md", "-l", "bees"), "paragraph")


def test_a_draft_that_is_no_text(shell: Shell, bees: Path) -> None:
    Path("draft.md").write_bytes(b"\x89PNG\0\0\0")
    refused(shell("illustrate", "draft.md", "-l", "bees"), "not a text file")
    Path("long.md").write_text("> " * 500_000, "utf-8")
    for plan in ((), ("--plan",)):
        refused(shell("illustrate", "long.md", "-l", "bees", *plan), "1,000,000 characters", "800,000", "shorter")
    Path("huge.md").write_bytes(b"> " * 2_000_000)
    refused(shell("illustrate", "huge.md", "-l", "bees"), "3,200,000 bytes")
    refused(shell("illustrate", "absent.md", "-l", "bees"), "absent.md")
    Path("old.md").write_bytes("Ein Märchen.".encode("latin-1"))
    refused(shell("illustrate", "old.md", "-l", "bees"), "UTF-8", "iconv")


def test_an_article_json_that_is_none(shell: Shell) -> None:
    Path("a.json").write_text('{"format": 1, "article": {"title": 3}}')
    refused(shell("export", "a.json"), "a.json")
    refused(shell("export", "absent.json"), "absent.json")


def test_no_model_server(shell: Shell, bees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_RETRIES", "0")
    said = shell("compose", "Bees", "-l", "bees", "--model", "m-7b", "--model-url", "http://127.0.0.1:9/v1")
    refused(said, "Nothing answers", "127.0.0.1:9", "--resume")
    assert list(Path.cwd().iterdir()) == []


def test_settings_that_cannot_be_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_TIMEOUT", "soon")
    refused(shell("compose", "Bees"), "LIMNER_TIMEOUT")


def test_a_long_hostile_title(shell: Shell, bees: Path) -> None:
    title = "../../🐝<script>alert(1)</script>" + "x" * 300
    article = f"# {title}\n\nBees visit flowers.\n\nThey make honey.\n"
    with ScriptedServer(article_answers(article=article)) as server:
        said = shell("compose", "Bees", "-l", "bees", "-n", 1, "--model", "m-7b", "--model-url", server.url)
    assert said.code == 0, said
    (folder,) = Path.cwd().iterdir()
    assert len(folder.name) <= 80
    assert ".." not in folder.name
    assert "<script" not in (folder / "article.html").read_text(encoding="utf-8")


def test_what_models_write_cannot_move_the_terminal(shell: Shell, bees: Path) -> None:
    article = "# Bees\x1b[2J\x1b]0;owned\x07\n\nBees\x9b31m visit flowers.\n"
    with ScriptedServer(article_answers(article=article)) as server:
        said = shell("compose", "Bees", "-l", "bees", "-n", 1, "--model", "m-7b", "--model-url", server.url)
    assert said.code == 0
    assert not re.search(r"[\x1b\x07\x9b]", said.out)


def test_wrong_options_and_the_version(shell: Shell) -> None:
    refused(shell("compose", "--imag", 3), "--images")
    refused(shell("fly"), "fly")
    assert shell("--version").out.startswith("limner 0.")
    assert shell("--help").code == 0


def test_doctor_names_what_is_wrong_and_the_fix(
    shell: Shell, server: ScriptedServer, bees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = shell("doctor")
    lines = {line.split()[1]: line for line in said.out.splitlines()}
    assert set(lines) == {"limner", "model", "vision", "encoders", "store", "library", "disk"}
    assert said.code == 2
    assert [part for part, line in lines.items() if line.startswith("FAIL")] == ["vision"]
    assert "LIMNER_SELECTOR_MODEL" in lines["vision"]
    assert "bees: 7 images" in lines["library"]
    monkeypatch.setenv("LIMNER_MODEL_URL", "http://127.0.0.1:9/v1")
    down = shell("doctor")
    assert re.search(r"FAIL  model .*Nothing answers at http://127.0.0.1:9/v1", down.out)


def test_doctor_finds_nothing_wrong_with_a_model_that_sees(shell: Shell, bees: Path) -> None:
    with ScriptedServer(chatty(sees=True)) as server:
        said = shell("doctor", "--model-url", server.url)
    assert said.code == 0, said.out
    assert json.dumps(said.out).count("FAIL") == 0


# --- the table of commands ------------------------------------------------------------------------------------------


def test_the_help_says_of_each_command_what_the_command_says(shell: Shell) -> None:
    """The table is there so that help need not import them; it says the same."""
    for name in TABLE:
        command = COMMANDS[name]
        assert (command.help or "").split("\n\n")[0].replace("\n", " ") == TABLE[name][1]
    out = " ".join(shell("--help").out.replace("│", " ").split())
    assert [name for name in TABLE if f"{name} {TABLE[name][1]}" not in out] == []


def test_every_command_of_a_module_is_in_the_table() -> None:
    for module in {module for module, _ in TABLE.values()}:
        part = typer.Typer()
        import_module(f"limner.surfaces.cli.{module}").register(part)
        assert {n for n, (m, _) in TABLE.items() if m == module} == set(get_group(part).commands)


@pytest.mark.parametrize(("name", "missing", "extra"), [("jobs", "sqlalchemy", "jobs"), ("mcp", "mcp_types", "mcp")])
def test_a_command_whose_packages_are_missing_names_the_extra(name: str, missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from limner.surfaces.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code, name, "--help"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"pip install 'limner[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
