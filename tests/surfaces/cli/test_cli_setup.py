"""`limner setup` and `limner model`: a hub and servers on the loopback, and an engine that really takes pictures."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.file_download
import pytest
from filelock import FileLock
from hub_server import Hub, hub_of
from pictures import make_folder
from scripted import ScriptedServer, Status, article_answers, asking
from shell import Shell
from tiny_llama import almost, link
from tiny_projector import PICTURE_TOKENS, make_projector

from limner.exports import read_json
from limner.models import hub as hub_module
from limner.models import language, machine, servers
from limner.models.known import WeightsFile
from limner.settings import Settings, choice_file
from limner.workflows.context import build_context

WEIGHTS, PROJECTOR = "sight.gguf", "mmproj-sight.gguf"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model server of this machine is asked, and huggingface_hub waits for nothing."""
    monkeypatch.setattr(servers, "PORTS", {})
    monkeypatch.setattr(huggingface_hub.file_download, "time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1_000_000)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """SmolLM2's weights under a name without a size, and a random projector."""
    folder = tmp_path / "repository"
    link(folder / WEIGHTS)
    make_projector(folder / PROJECTOR)
    return folder


@pytest.fixture
def hub(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with them, as the models that limner proposes."""
    files = tuple(
        WeightsFile(p.name, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(repository.iterdir())
    )
    with hub_of("maker/sight", repository) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        for name, row in list(language.known().items()):
            monkeypatch.setitem(language.known(), name, replace(row, repository="maker/sight", files=files))
        yield served


def tokens_of(folder: Path) -> dict[str, dict[str, int]]:
    return read_json(folder / "article.json").made_with["tokens"]


def test_setup_then_compose_with_an_engine_that_takes_pictures(
    shell: Shell, hub: Hub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_THREADS", "1")
    monkeypatch.setenv("LIMNER_DIALECT", "instruct")  # SmolLM2 stands in for a model that is large enough to judge
    done = shell("setup", "--yes")
    lines = done.out.splitlines()
    # The test with two pictures reaches the engine, and a random projector fails it; all else works.
    assert [line.split()[1] for line in lines if line.startswith("FAIL")] == ["vision"], done.out + done.err
    assert "sight does not see images (asked which of two pictures is red it named" in done.out
    assert done.code == 2
    assert re.match(
        r"This machine: [\d.]+ GB of memory \([\d.]+ free\), \d+ cores, \d+ GB free on the disk\.", lines[0]
    )
    (proposed,) = [line for line in lines if line.startswith("Proposed: ")]
    name = proposed.split()[1]
    assert "a download of 0.10 GB, licence Apache-2.0, languages: many, Chinese and English among them." in proposed
    assert re.search(r"Expected on this processor: it reads about [\d.]+ tokens a second and writes about", done.out)
    assert f"from {hub.url}/maker/sight, licence Apache-2.0, to {home / 'models' / name}" in done.err
    assert f"In use: {name}, by the choice in model.toml. ({home / 'model.toml'})" in lines
    assert "ok    model      sight at the embedded model answers" in done.out
    assert choice_file(home).read_text().splitlines()[1:] == [f'model = "{name}"']

    make_folder(tmp_path / "photos")
    monkeypatch.setenv("LIMNER_VISION", "true")  # a random projector tells red from blue by chance only
    brief = "Write two short paragraphs about bees."
    made = shell("compose", brief, "--library", str(tmp_path / "photos"), "--images", "2", "--out", str(tmp_path / "a"))
    assert made.code == 0, made.err
    article = read_json(tmp_path / "a" / "article.json")
    assert article.made_with["models"]["selector"] == "sight"
    selector = tokens_of(tmp_path / "a")["selector"]
    assert selector["prompt"] > selector["calls"] * 2 * PICTURE_TOKENS
    assert not [note for note in article.notes if "does not see" in note]


# --- model servers -------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A model server on this machine, with two models."""
    usual = article_answers(sees=True)
    script = lambda body: "White" if asking(body) == "chat" else usual(body)  # noqa: E731
    names = ("qwen3-vl:8b", "other-7b")
    listing = {
        "data": [{"id": name} for name in names],
        "models": [{"name": names[0], "capabilities": ["completion", "multimodal"]}],
    }
    with ScriptedServer(script, models=names, listing=Status(200, listing)) as server:
        monkeypatch.setattr(servers, "PORTS", {int(server.url.rpartition(":")[2].split("/")[0]): "vLLM"})
        yield server


def test_a_running_server_is_offered_first_and_nothing_is_downloaded(
    shell: Shell, hub: Hub, ollama: ScriptedServer
) -> None:
    done = shell("setup", "--yes")
    assert done.code == 0, done.out + done.err
    offer = f"vLLM answers at {ollama.url} with qwen3-vl:8b, which says that it sees, and 1 more."
    assert offer in done.out
    assert f"Texts and pictures of your articles would go to {ollama.url}." in done.out
    assert f"In use: qwen3-vl:8b of {ollama.url}, by the choice in model.toml." in done.out
    assert "ok    vision     qwen3-vl:8b told two tiny pictures apart" in done.out
    assert (Settings().model, Settings().model_url) == ("qwen3-vl:8b", ollama.url)
    assert hub.asked == []


def test_a_server_that_may_be_blind_is_not_taken_without_a_question(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(lambda _body: "White", models=("text-7b",)) as server:
        monkeypatch.setattr(servers, "PORTS", {int(server.url.rpartition(":")[2].split("/")[0]): "vLLM"})
        done = shell("setup", "--yes")
        assert f"answers at {server.url} with text-7b, which does not say whether it sees." in done.out
        assert f"--yes passes it by. To use it: limner model use text-7b --url {server.url}" in done.out
        assert Settings().model.startswith("qwen3-vl-")
        assert "Use it?" in shell("setup", stdin="y\n").out
        assert Settings().model == "text-7b"


@pytest.mark.parametrize("name", ["LIMNER_MODEL", "LIMNER_MODEL_URL", "LIMNER_MMPROJ"])
def test_variables_that_would_overrule_the_choice_are_told_first(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "none")
    done = shell("setup", "--yes")
    assert (done.code, done.out) == (2, "")
    assert f"limner: {name} would overrule what setup chooses: unset it first." in done.err
    assert shell("setup", stdin="n\n").out.startswith(f"{name} would overrule")
    assert hub.asked == []


def test_a_person_chooses_another_model_of_the_server(shell: Shell, hub: Hub, ollama: ScriptedServer) -> None:
    done = shell("setup", stdin="other-7b\n")
    assert done.code == 0, done.out + done.err
    assert Settings().model == "other-7b"
    wrong = shell("setup", stdin="nonsense\n")
    assert wrong.code == 2
    assert f"limner: {ollama.url} has no 'nonsense'. It has qwen3-vl:8b, other-7b." in wrong.err


def test_a_file_of_the_hub_is_downloaded(shell: Shell, hub: Hub, home: Path) -> None:
    spec = f"hf:maker/sight:{WEIGHTS}"
    done = shell("setup", "--yes", "--model", spec)
    assert f"In use: {spec}, by the choice in model.toml." in done.out, done.err
    assert (home / "models" / f"hf--maker--sight--{WEIGHTS}" / WEIGHTS).is_file()


def test_nothing_is_downloaded_without_a_yes(shell: Shell, hub: Hub, ollama: ScriptedServer, home: Path) -> None:
    refused = shell("setup", stdin="n\nn\n")
    assert refused.code == 2
    assert "Proposed: qwen3-vl-" in refused.out
    assert "limner: Nothing was downloaded. See limner model list for others, or set LIMNER_MODEL_URL." in refused.err
    nobody = shell("setup", "--model", "qwen3-vl-2b")
    assert nobody.code == 2
    assert "limner: Nobody answers here. Run limner setup --yes to take the first offer." in nobody.err
    assert hub.asked == []
    assert not choice_file(home).exists()


def test_a_card_that_the_engine_cannot_use_is_told(
    shell: Shell, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'NVIDIA GeForce RTX 4090, 24564'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    done = shell("setup", stdin="n\n")
    assert (
        "Graphics card: NVIDIA GeForce RTX 4090 with 26 GB, which the installed llama.cpp does not use; a server that "
        "does (Ollama, llama-server, vLLM) is much faster." in done.out
    )


# --- limner model --------------------------------------------------------------------------------------------------


def test_a_model_of_any_repository_comes_is_used_and_goes(
    shell: Shell, hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = "hf:maker/sight"
    got = shell("model", "get", spec)
    assert got.code == 0, got.err
    assert "sight.gguf with its projector of pictures" in got.err
    assert "licence apache-2.0" in got.err
    assert f"{spec} is here. Use it: limner model use {spec}" in got.out
    before = len(hub.asked)
    assert shell("model", "get", spec).code == 0
    assert len(hub.asked) == before  # nothing is asked of the hub for a model that is here
    assert f"In use: {spec}, by the choice in model.toml." in shell("model", "use", spec).out
    (line,) = [line for line in shell("model", "list").out.splitlines() if spec in line and line[0] == "*"]
    assert "100 MB" in line
    monkeypatch.setenv("LIMNER_MODEL_URL", "http://127.0.0.1:9/v1")
    used = shell("model", "use", spec).out
    assert "The choice is overruled. Unset LIMNER_MODEL_URL." in used
    monkeypatch.delenv("LIMNER_MODEL_URL")
    removed = shell("model", "remove", spec).out
    assert f"{spec} is removed: 100 MB are free again." in removed
    assert "In use: the embedded SmolLM2-135M, which sees nothing. Get a model that sees: limner setup" in removed
    assert not list((home / "models").glob("[!.]*"))


def test_a_model_of_a_restored_backup_is_downloaded_again(shell: Shell, hub: Hub, home: Path) -> None:
    """A backup leaves weights out."""
    spec, folder = "hf:maker/sight", home / "models" / "hf--maker--sight"
    shell("model", "get", spec)
    (folder / WEIGHTS).unlink()
    assert spec not in shell("model", "list").out
    assert shell("model", "get", spec).code == 0
    assert (folder / WEIGHTS).is_file()


def test_a_model_that_was_deleted_by_hand_is_asked_for(shell: Shell, hub: Hub, home: Path) -> None:
    shell("model", "get", "qwen3-vl-2b")
    shell("model", "use", "qwen3-vl-2b")
    (home / "models" / "qwen3-vl-2b" / WEIGHTS).unlink()
    failed = shell("compose", "Bees")
    assert failed.code == 2
    assert "limner: qwen3-vl-2b is not on this machine. Download it with `limner model get qwen3-vl-2b`" in failed.err
    shell("model", "use", "default")
    assert Settings().model == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("get", "gpt-5"), "Unknown model 'gpt-5'. Choose one of qwen3-vl-2b, "),
        (("get", "hf:maker"), "'hf:maker' is mistyped. Write hf:OWNER/REPOSITORY"),
        (
            ("use", "gpt-5"),
            "'gpt-5' is no model that limner runs itself (limner model list). Give its server's",
        ),
        (("use", "qwen3-vl-4b"), "qwen3-vl-4b is not on this machine."),
        (("use", "absent.gguf"), "absent.gguf cannot be read (No such file or directory)."),
        (("remove", "qwen3-vl-4b"), "'qwen3-vl-4b' was not downloaded. See limner model list."),
        (("use", "m", "--url", "localhost:8000"), "'localhost:8000' is not an http address. Write e.g."),
        (("use", "m", "--url", "http://[x"), "'http://[x' is not an http address. Write e.g."),
        (("use", "m", "--url", "http://a/v1", "--mmproj", "p.gguf"), "--mmproj belongs to a GGUF"),
        (("remove", "../.."), "'../..' was not downloaded."),
    ],
)
def test_what_cannot_be_done_is_one_line(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    done = shell("model", *arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_the_chosen_name_is_not_passed_to_another_server(
    shell: Shell, ollama: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("model", "use", "other-7b", "--url", ollama.url)
    with ScriptedServer(article_answers(), models=("writer-70b",)) as server:
        monkeypatch.setenv("LIMNER_WRITER_URL", server.url)
        context = build_context(Settings())
        assert (context.speaker("writer").name, context.speaker("selector").name) == ("writer-70b", "other-7b")
        monkeypatch.setenv("LIMNER_MODEL", "named")
        assert build_context(Settings()).speaker("writer").name == "named"


def test_a_password_is_not_shown(shell: Shell) -> None:
    done = shell("model", "use", "m", "--url", "http://user:secret@gpu:8000/v1")
    assert "In use: m of http://gpu:8000/v1, by the choice" in done.out
    assert "secret" not in done.out + shell("model", "list").out
    assert Settings().model_url == "http://user:secret@gpu:8000/v1"


def test_variables_that_are_mistyped(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_MODEL", "hf:meta llama")
    assert "In use: hf:meta llama, by a variable." in shell("model", "list").out
    monkeypatch.setenv("LIMNER_TIMEOUT", "abc")
    done = shell("model", "list")
    assert done.code == 2
    assert done.err.startswith("limner: LIMNER_TIMEOUT is not usable: ")
    assert len(done.err.strip().splitlines()) == 1


def test_a_file_of_one_s_own_is_looked_into_before_it_is_chosen(
    shell: Shell, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_DIALECT", "instruct")  # as above
    base = almost(tmp_path / "base.gguf", template=False)
    assert "has no chat template" in shell("model", "use", str(base)).err
    big = almost(tmp_path / "big.gguf")
    os.truncate(big, 5 * 10**12)
    assert "big.gguf needs 5000.6 GB of memory, and this machine has" in shell("model", "use", str(big)).err
    assert not choice_file(home).exists()
    mine = link(tmp_path / "own" / "mine.gguf")
    done = shell("setup", "--model", str(mine))
    assert f"In use: {mine}, by the choice" in done.out
    assert "ok    model      mine at the embedded model answers" in done.out
    assert "image input is not supported" in done.out  # a text model that is asked to see
    assert Settings().model == str(mine)


# --- a bad hub -----------------------------------------------------------------------------------------------------


def refused(shell: Shell, home: Path) -> str:
    """The one line that a failed download ends with; nothing half is taken for a model."""
    done = shell("setup", "--yes", "--model", "qwen3-vl-2b")
    assert done.code == 2
    assert not (home / "models" / "qwen3-vl-2b").exists()
    assert not choice_file(home).exists()
    return done.err.strip().splitlines()[-1]


def goes_on(shell: Shell, hub: Hub) -> list[tuple[str, str]]:
    """What a second run asks for; it succeeds."""
    hub.asked.clear()
    assert shell("model", "get", "qwen3-vl-2b").code == 0
    return hub.got()


def test_a_login_page_and_a_page_in_place_of_the_weights(shell: Shell, hub: Hub, home: Path) -> None:
    hub.faults.login = True
    assert "does not answer like a model hub (a login page, or a proxy?)" in refused(shell, home)
    hub.faults.login = False
    hub.faults.pages.add(WEIGHTS)
    assert "sight.gguf of maker/sight arrived damaged" in refused(shell, home)
    hub.faults.pages.clear()
    goes_on(shell, hub)


def test_half_a_file_goes_on_where_it_stopped(shell: Shell, hub: Hub, home: Path) -> None:
    hub.faults.cut[WEIGHTS] = 40_000_000
    hub.faults.lasting = True
    assert "Run the command again; it goes on where it stopped." in refused(shell, home)
    hub.faults.gone.clear()
    assert goes_on(shell, hub) == [(WEIGHTS, "bytes=40000000-")]


def test_a_hub_that_stops_in_the_middle(shell: Shell, hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.faults.stalls[WEIGHTS] = 3_000_000
    with monkeypatch.context() as hasty:
        hasty.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
        assert "the connection was cut" in refused(shell, home)
    hub.faults.stalls.clear()
    ((path, start),) = goes_on(shell, hub)
    assert path == WEIGHTS
    assert int(start.removeprefix("bytes=").removesuffix("-")) >= 3_000_000


def test_a_wrong_checksum_is_not_used(shell: Shell, hub: Hub, home: Path) -> None:
    hub.faults.damaged.add(PROJECTOR)
    assert "mmproj-sight.gguf of maker/sight arrived damaged: its checksum is wrong." in refused(shell, home)
    hub.faults.damaged.clear()
    assert (PROJECTOR, "") in goes_on(shell, hub)


def test_a_disk_without_room_and_a_memory_without(
    shell: Shell, hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as full:
        full.setattr(hub_module.shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 10**6))
        assert re.search(r"No room for qwen3-vl-2b .*100 MB are needed and 1 MB are free", refused(shell, home))
    with monkeypatch.context() as small:
        small.setattr(machine, "memory", lambda: (500_000_000, 400_000_000))
        words = refused(shell, home)
        assert "qwen3-vl-2b needs over 0.1 GB of memory, and this machine has 0.5." in words
    assert hub.got() == []


def test_two_downloads_at_once(shell: Shell, hub: Hub, home: Path) -> None:
    (home / "models").mkdir(parents=True)
    with FileLock(home / "models" / ".qwen3-vl-2b.lock"):
        assert "Another program is downloading qwen3-vl-2b" in refused(shell, home)


@pytest.mark.real
def test_ctrl_c_then_again_goes_on(hub: Hub, home: Path) -> None:
    hub.faults.stalls[WEIGHTS] = 25_000_000  # two of the pieces that huggingface_hub writes
    command = [sys.executable, "-m", "limner.surfaces.cli.app", "model", "get", "hf:maker/sight"]
    parts = home / "models" / ".hf--maker--sight.part"
    hears = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # also where tests run in the background
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=hears) as stopped:
        while not any(part.stat().st_size >= 20_000_000 for part in parts.glob("sight.gguf.*.part")):
            assert stopped.poll() is None
        stopped.send_signal(signal.SIGINT)
        assert stopped.stderr
        said = stopped.stderr.read().splitlines()
    assert said[-1] == "limner: Stopped. Run the command again; it goes on where it stopped."
    assert stopped.returncode == 130
    hub.faults.stalls.clear()
    hub.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of them are here)" in done.stderr
    assert (WEIGHTS, f"bytes={2 * 10 * 1024**2}-") in hub.got()
