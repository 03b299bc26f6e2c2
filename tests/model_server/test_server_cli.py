"""`limner-model-server` from a shell: its help, its errors, and a server that is started and stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from limner.model_server.cli import main

pytestmark = pytest.mark.torch
COMMAND = [sys.executable, "-m", "limner.model_server"]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command, in this process: importing torch takes ten seconds in a new one."""
    monkeypatch.setattr(sys, "argv", ["limner-model-server", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize("version", [2], indirect=True)
def test_serve_answers_until_it_is_told_to_stop(chatting: Path) -> None:
    command = [*COMMAND, "serve", str(chatting), "--port", "0", "--name", "bee", "--max-total-tokens", "64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert line.startswith("bee on http://127.0.0.1:"), server.communicate()
            url = line.split()[2]
            info = httpx.get(f"{url}/info", timeout=60).json()
            assert (info["model_id"], info["max_total_tokens"], info["engine"]) == ("bee", 64, "transformers")
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=60)
        finally:
            server.kill()  # else the end of the block waits for it, whatever failed
    assert server.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert "Traceback" not in said


@pytest.mark.parametrize("version", [2], indirect=True)
def test_errors_are_a_line(
    chatting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    cases = {
        ("serve", str(chatting), "--engine", "bees", "--port", "0"): "There is no engine 'bees'",
        ("serve", str(chatting), "--dtype", "int3"): "There is no dtype 'int3'",
        ("serve", str(tmp_path / "none"), "--port", "0"): "No checkpoint in",
        ("serve", str(tmp_path), "--port", "0"): "holds a llama model",
        ("serve", str(chatting), "--port", port): "Cannot listen on",
        ("plan", "internlm-xcomposer-7b", "--memory", "80 bees"): "no amount of memory",
    }
    with taken:
        for arguments, reason in cases.items():
            code, _, said = run(capsys, monkeypatch, *arguments)
            errors = [line for line in said.splitlines() if line.startswith("limner-model-server: ")]
            assert (code, len(errors)) == (2, 1)
            assert reason in errors[0]


def test_plan_prints_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("plan", "internlm-xcomposer2-7b", "--gpus", "2", "--memory", "24GiB", "--articles", "16")
    code, said, _ = run(capsys, monkeypatch, *asked)
    assert code == 0
    assert next(line for line in said.splitlines() if line.startswith("bfloat16")).endswith("fits")
