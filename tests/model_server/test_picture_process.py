"""Pictures are decoded in another process: what ends it is refused in one line, and the next picture is read."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

from limner.model_server.errors import Refused
from limner.model_server.picture_process import MAX_PIXELS, PictureProcess
from limner.model_server.pictures import open_picture


def file(mode: str = "RGB", size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(out, kind)
    return out.getvalue()


@pytest.fixture
def process() -> Iterator[PictureProcess]:
    made = PictureProcess(seconds=2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("RGBA", "PNG"), ("L", "JPEG"), ("P", "GIF"), ("RGB", "BMP")]
)
def test_the_picture_is_the_one_that_was_sent(process: PictureProcess, mode: str, kind: str) -> None:
    data = file(mode, kind=kind)
    read = process.decode(data)
    assert read.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    assert (read.mode, read.size) == ("RGB", (40, 30))


def test_a_data_url_is_decoded_elsewhere() -> None:
    assert open_picture(f"data:image/png;base64,{base64.b64encode(file()).decode()}").size == (40, 30)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_decoder_that_ends_or_hangs_ends_nothing_else(process: PictureProcess, how: signal.Signals) -> None:
    process.decode(file())
    assert process._process is not None
    waiting = file(size=(900, 900), mode="RGB")
    if how == signal.SIGSTOP:  # it never answers
        process._process.send_signal(how)
        with pytest.raises(Refused, match="it ends the program that reads it, or takes too long"):
            process.decode(waiting)
    else:
        process._process.send_signal(how)
        process._process.wait()
    assert process.decode(waiting).size == (900, 900)


def test_what_cannot_be_read_is_refused_and_the_process_goes_on(process: PictureProcess) -> None:
    for data, says in [
        (b"no picture", "it cannot be read"),
        (file()[:200], "it cannot be read"),
        (b"", "it cannot be read"),
        (file("1", (8_000, 8_000)), f"8000x8000 px is over {MAX_PIXELS} px"),
    ]:
        with pytest.raises(Refused, match=says):
            process.decode(data)
    first = process._process
    assert process.decode(file()).size == (40, 30)
    assert process._process is first


def test_the_process_ends_with_the_server() -> None:
    code = """
import base64, io
from PIL import Image
from limner.model_server import pictures
out = io.BytesIO()
Image.new("RGB", (4, 4)).save(out, "PNG")
pictures.open_picture("data:image/png;base64," + base64.b64encode(out.getvalue()).decode())
print(pictures._PROCESS._process.pid)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
