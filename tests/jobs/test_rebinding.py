"""A real name server that changes its mind with each answer: no webhook reaches what lies inside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rebinding import INSIDE, PUBLIC, TIMES
from test_webhook import job

OWN_NETWORK = ["unshare", "--net", "--mount", "sh", "-ec"]
SET_UP = f"""
ip link set lo up
ip addr add {PUBLIC}/32 dev lo
mount --bind "$1" /etc/resolv.conf
mount --bind "$2" /etc/hosts
shift 2
exec "$@"
"""


@pytest.mark.real
def test_no_answer_of_a_rebinding_name_server_leads_inside(tmp_path: Path) -> None:
    """In a network of its own, where the public address is played by this machine and nothing else can be reached."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are not installed")
    if subprocess.run([*OWN_NETWORK, "ip link set lo up"], capture_output=True).returncode:
        pytest.skip("a network of its own cannot be made here")
    (tmp_path / "resolv.conf").write_text(f"nameserver {INSIDE}\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    program = [sys.executable, str(Path(__file__).with_name("rebinding.py"))]
    files = [str(tmp_path / "resolv.conf"), str(tmp_path / "hosts")]
    run = subprocess.run(
        [*OWN_NETWORK, SET_UP, "sh", *files, *program], input=job().model_dump_json(), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    came = json.loads(run.stdout)
    assert came["inside"] == 0
    assert came["asked"] >= TIMES, "each delivery looks the name up once"
    assert came["outside"] == came["delivered"] == TIMES // 4
    assert came["refused"] == TIMES - TIMES // 4
