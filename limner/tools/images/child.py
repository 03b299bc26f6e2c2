"""The process that decodes images for `sandbox`: reads requests from standard input, answers on standard output.

A message is the length of a JSON header (4 bytes, big-endian), the header, and the bytes that its `sizes` count. It is
not pickled, because output that a hostile file causes must stay data.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from limner.errors import ImageUnreadable
from limner.lazy import lazy
from limner.tools.images import fitting, metadata, ocr, pixels
from limner.tools.images.svg import draw_svg
from limner.tools.pdf_text import pdf_text

if TYPE_CHECKING:
    from PIL import Image
else:  # pictures are opened later than libraries
    Image = lazy("PIL.Image")

NICE = 5  # below the processes that serve requests and run jobs; more would starve it on a busy machine
Answer = tuple[Any, list[bytes]]


def main() -> None:
    """Serve requests until standard input ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes standard input
    with suppress(AttributeError, OSError):  # not on Windows; some systems forbid it
        os.nice(NICE)
    _import_most()
    while (request := receive(source)) is not None:
        header, (data,) = request
        _limit(header["memory"], header["seconds"])
        send(target, *_answered(header, data))


def _answered(header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    try:
        value, parts = OPERATIONS[header["name"]](data, **header["given"])
    except ImageUnreadable as error:
        return {"refused": str(error)}, []
    except MemoryError:
        return {"refused": "takes more memory than a picture may, or is damaged: save it smaller"}, []
    return {"value": value}, parts


# --- operations -------------------------------------------------------------------------------------------


def _picture(picture: Image.Image) -> Answer:
    profile = picture.info.get("icc_profile") or b""
    return [picture.mode, *picture.size], [picture.tobytes(), profile]


def _inspect(data: bytes, max_pixels: int, clip: bool) -> Answer:
    """Everything for indexing, so that a file is sent once."""
    (size, sketch), said = pixels.sketched(data, max_pixels), metadata.metadata(data, max_pixels=max_pixels)
    seen, parts = _picture(pixels.for_clip(data, max_pixels)) if clip else (None, [])
    return [*size, asdict(said), seen], [sketch, *parts]


def _displayable(data: bytes, max_pixels: int) -> Answer:
    made, suffix = pixels.displayable(data, max_pixels)
    return suffix, [] if made is None else [made]


def _fitted(data: bytes, **given: Any) -> Answer:
    facts, made = fitting.fitted(data, **given)
    return facts, [] if made is None else [made]


def _cropped(data: bytes, **given: Any) -> Answer:
    suffix, part = fitting.cropped(data, **given)
    return suffix, [part]


OPERATIONS: dict[str, Any] = {
    "read_picture": lambda data, **given: _picture(pixels.read_picture(data, **given)),
    "for_clip": lambda data, **given: _picture(pixels.for_clip(data, **given)),
    "size_of": lambda data, **given: (pixels.size_of(data, **given), []),
    "inspect": _inspect,
    "sketch": lambda data, **given: (None, [pixels.sketched(data, **given)[1]]),
    "displayable": _displayable,
    "small": lambda data, **given: (None, [pixels.small(data, **given)]),
    "draw_svg": lambda data, **given: (None, [draw_svg(data, **given)]),
    "kind_of": lambda data, **given: (fitting.kind_of(data, **given), []),
    "fitted": _fitted,
    "cropped": _cropped,
    "fields": lambda data, **given: (None, [fitting.fields(data, **given)]),
    "republished_tiff": lambda data, **given: (None, [pixels.republished_tiff(data, **given)]),
    "text_in": lambda data, **given: (ocr.text_in(data, **given), []),
    "pdf_text": lambda data, **given: (pdf_text(data, **given), []),
    "metadata": lambda data, **given: (asdict(metadata.metadata(data, **given)), []),
    "said_in": lambda data, **given: (metadata.said_in(data, **given), []),
    "orientation_of": lambda data, **given: (metadata.orientation_of(data, **given), []),
}


# --- messages and limits ---------------------------------------------------------------------------------------------


def send(target: IO[bytes], header: dict[str, Any], parts: list[bytes]) -> None:
    """Write a message."""
    head = json.dumps({**header, "sizes": list(map(len, parts))}).encode()
    for part in (struct.pack(">I", len(head)), head, *parts):
        target.write(part)
    target.flush()


def receive(source: IO[bytes], most: int = 1 << 31) -> tuple[dict[str, Any], list[bytes]] | None:
    """Read a message; None at the end of the stream. Raises EOFError for one cut short or of more than `most` bytes."""
    length = source.read(4)
    if not length:
        return None
    header = json.loads(_exactly(source, struct.unpack(">I", length)[0], most))
    return header, [_exactly(source, size, most) for size in header["sizes"]]


def _exactly(source: IO[bytes], size: int, most: int) -> bytes:
    data = source.read(size) if 0 <= size <= most else b""
    if len(data) != size:
        raise EOFError(f"a message of {size:,} bytes")
    return data


def _import_most() -> None:
    """Load what most images need before the first request; loading everything would double the start-up time."""
    Image.preinit()


def _limit(memory: int, seconds: int) -> None:
    """Limit the address space and processor time of the next request. The kernel ends a process that exceeds the
    latter."""
    try:
        import resource
    except ImportError:  # on Windows only the parent's clock limits a request
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + 1 + seconds,
    }
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):  # macOS refuses every limit of the address space
            resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    main()
