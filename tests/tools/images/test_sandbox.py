"""Hostile pictures: refused with a line or shown small, and nothing but the process that read them ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from bombs import all_of_them, png
from PIL import Image

from limner.errors import ImageUnreadable
from limner.tools.images import images, sandbox

BOMBS = all_of_them()
ONE = b'<feGaussianBlur stdDeviation="1e9"/>'
BLUR = BOMBS["filter, blur"].replace(ONE * 200, ONE * 3000)  # minutes, on any machine


def photograph() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((320, 200), 90).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def hasty() -> Iterator[sandbox.Pool]:
    pool = sandbox.Pool(1, sandbox.GIB, 1)
    yield pool
    pool.close()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_shown_small_or_refused_in_one_line(
    name: str, hasty: sandbox.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "DRAWINGS", hasty)
    shown, refused = b"", ""
    try:
        shown = images.thumbnail(BOMBS[name], 64)
    except ImageUnreadable as error:
        refused = str(error)
    if shown:
        assert max(Image.open(io.BytesIO(shown)).size) <= 64
    else:
        assert len(refused.splitlines()) == 1
        assert ":" in refused  # before what to do next


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("size, high", "200 x 1e\\+09 is too long and narrow to be shown"),
        ("groups 900 deep", "nested more than 200 deep"),
        ("filter, noise", "noise of more than 16 octaves"),
    ],
)
def test_the_reason_says_what_is_wrong(name: str, says: str) -> None:
    for use in (images.thumbnail, images.displayable, images.size_of, images.data_url, images.draw_svg):
        with pytest.raises(ImageUnreadable, match=says):
            use(BOMBS[name])


def test_photographs_are_read_while_a_drawing_takes_all_its_time() -> None:
    done = threading.Event()

    def draw() -> None:
        with pytest.raises(ImageUnreadable, match="takes longer than 5 s"):
            images.thumbnail(BLUR)
        done.set()

    thread = threading.Thread(target=draw)
    thread.start()
    for _ in range(5):
        assert images.size_of(photograph()) == (320, 200)
    assert not done.is_set()
    thread.join()
    assert done.is_set()


def test_however_many_large_pictures_are_asked_for_two_are_decoded_at_once() -> None:
    large = png(9_400, 9_400)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(images.thumbnail, [large] * 8))
    assert {Image.open(io.BytesIO(one)).size for one in made} == {(256, 256)}
    assert len(sandbox.PHOTOGRAPHS._idle) <= sandbox.PHOTOGRAPHS.size == 2


def test_a_process_that_is_killed_is_replaced() -> None:
    pool = sandbox.Pool(1, sandbox.GIB, 5)
    assert pool.ask("size_of", photograph(), max_pixels=100_000)[0] == [320, 200]
    pool._idle[0].process.send_signal(signal.SIGKILL)
    pool._idle[0].process.wait()
    assert pool.ask("size_of", photograph(), max_pixels=100_000)[0] == [320, 200]
    pool.close()


def test_memory_is_bounded() -> None:
    pool = sandbox.Pool(1, sandbox.GIB // 2, 20)
    with pytest.raises(ImageUnreadable, match="memory"):
        pool.ask("read_picture", png(9_400, 9_400), max_pixels=images.MAX_PIXELS)
    assert pool.ask("size_of", photograph(), max_pixels=100_000)[0] == [320, 200]
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_a_fork_has_processes_of_its_own() -> None:
    code = """
import os, sys
from limner.tools.images import images, sandbox
data = sys.stdin.buffer.read()
before = images.size_of(data), sandbox.PHOTOGRAPHS._idle[0].process.pid
if child := os.fork():
    ended = os.waitpid(child, 0)[1]
    after = images.size_of(data), sandbox.PHOTOGRAPHS._idle[0].process.pid
    sys.exit(ended or before != after)
else:
    size = images.size_of(data)
    os._exit(size != before[0] or sandbox.PHOTOGRAPHS._idle[0].process.pid == before[1])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], input=photograph(), check=False)
    assert done.returncode == 0


def test_processes_end_with_the_one_that_started_them() -> None:
    code = """
import sys, time
from limner.tools.images import images, sandbox
images.size_of(sys.stdin.buffer.read())
print(sandbox.PHOTOGRAPHS._idle[0].process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(photograph())
        process.stdin.close()
        child = int(process.stdout.readline())
        process.kill()
        while is_there(child):  # the test's own time limit ends the waiting
            time.sleep(0.05)


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("module", ["limner.tools.images.images", "limner.model_server.picture_process"])
def test_pictures_are_read_where_the_system_has_limits_of_its_own(module: str) -> None:
    """A hard limit below the wanted one, as `ulimit -v` sets it: no process may raise it, and none of ours tries."""
    code = f"""
import resource, sys
from {module} import *
import {module} as module
least = 1_900_000_000
resource.setrlimit(resource.RLIMIT_AS, (least, least))
data = sys.stdin.buffer.read()
if "model_server" in module.__name__:
    print(module.PictureProcess().decode(data).size)
else:
    print(module.size_of(data))
"""
    done = subprocess.run([sys.executable, "-c", code], input=photograph(), capture_output=True, check=False)
    assert done.stdout.decode().strip() == "(320, 200)", done.stderr.decode()[-400:]
