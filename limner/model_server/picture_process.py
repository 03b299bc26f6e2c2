"""Decode pictures in a process of its own: `python -m limner.model_server.picture_process`.

A decoder that crashes, allocates without end or never returns ends this process, and not the server with all answers
that it is writing. It reads and writes frames: 8 bytes of length, little-endian, then so many bytes. A request is a
file; an answer is a line of JSON, `{"size": [width, height]}` or `{"refused": "…"}`, and the RGB bytes of the picture.
"""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from limner.model_server.errors import Refused, reason

MAX_PIXELS = 50_000_000  # 150 MB decoded; the models see 224 or 490 px
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MEMORY = 2 << 30  # bytes that the process may address
SECONDS = 20.0  # for a picture, by the clock


class PictureProcess:
    """One process, started on first use and again after its end; it serves one request at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """seconds: limit for a picture."""
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def decode(self, data: bytes) -> Image.Image:
        """The picture of a file, as RGB. Raises Refused."""
        with self._turn:
            process = self._running()
            clock = threading.Timer(self.seconds, process.kill)
            clock.start()
            try:
                header, pixels = self._ask(process, data)
            except (OSError, EOFError, ValueError):
                self.close()
                ended = "it ends the program that reads it, or takes too long"
                raise Refused(f"invalid image: {ended}. Save it as PNG with another program.") from None
            except BaseException:  # Ctrl-C within an answer: its rest must not reach another caller
                self.close()
                raise
            finally:
                clock.cancel()
        if "refused" in header:
            raise Refused(str(header["refused"]))
        return Image.frombytes("RGB", tuple(header["size"]), pixels)

    def close(self) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(OSError):  # unread input
                        stream.close()
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            command = [sys.executable, "-P", "-m", __name__]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], data: bytes) -> tuple[dict[str, object], bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        send(process.stdin, data)
        header, pixels = receive(process.stdout), receive(process.stdout)
        if header is None or pixels is None:
            raise EOFError
        return json.loads(header), pixels


def send(stream: BinaryIO, data: bytes) -> None:
    """Write a frame."""
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Read a frame; None at the end. Raises EOFError within one."""
    head = stream.read(8)
    if not head:
        return None
    (length,) = struct.unpack("<Q", head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


# --- in the process ------------------------------------------------------------------------------------------------


def decoded(data: bytes) -> Image.Image:
    """The picture of a file, as RGB. Raises Refused."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Refused(
                    f"invalid image: {picture.width}x{picture.height} px is over {MAX_PIXELS} px. Scale it down first."
                )
            return picture.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"invalid image: it is over {MAX_PIXELS} px. Scale it down first.") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, OverflowError, MemoryError) as error:
        known = ", ".join(FORMATS)
        raise Refused(f"invalid image: it cannot be read ({reason(error, 120)}). Send {known}.") from None


def main() -> None:
    """Answer requests until the input ends, which is when the server ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this process
    _limit()
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while (data := receive(asked)) is not None:
        try:
            picture = decoded(data)
            header, pixels = {"size": picture.size}, picture.tobytes()
        except Refused as refused:
            header, pixels = {"refused": str(refused)}, b""
        send(answers, json.dumps(header).encode())
        send(answers, pixels)


def _limit() -> None:
    """Limit the address space, where the system allows it: Windows has no such limit, macOS refuses it."""
    with suppress(ImportError):
        import resource

        for kind, wanted in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(kind)[1]
            with suppress(ValueError, OSError):
                resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    main()
