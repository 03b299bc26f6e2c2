"""Read the text of an attached file: plain text and Markdown, PDF, and pandoc's formats.

Files come from outside: a PDF is opened in a process with limits, and pandoc reads no other file and no address.
"""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath

from limner.errors import BadInput, ImageUnreadable
from limner.text import printable
from limner.tools.images.charset import decode
from limner.tools.images.sandbox import DOCUMENTS

MAX_TEXT = 800_000  # characters per file, as many as a job's material may have
SECONDS = 20
_HEAP = "512M"  # limits of pandoc: a zip of a few kB can contain gigabytes
_PANDOC = {".docx": "docx", ".odt": "odt", ".epub": "epub", ".rtf": "rtf", ".html": "html", ".htm": "html"}
_MEDIA = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "text/html": "html",
}
KNOWN = "text, Markdown, PDF, DOCX, ODT, RTF, EPUB and HTML"


def document_text(data: bytes, name: str = "", media: str = "") -> str:
    """The text of a file, as Markdown if it has structure; at most MAX_TEXT characters.

    name, media: the sender's claims. Raises BadInput with the reason as the predicate of a sentence.
    """
    if not data:
        raise BadInput("is empty")
    if data[:1024].lstrip().startswith(b"%PDF-"):
        text = _pdf(data)
    elif (kind := _kind(data, name, media)) is not None:
        text = _converted(data, kind)
    elif b"\0" in data[:8192] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"is of a type that limner does not read ({KNOWN} can be used)")
    else:
        text = decode(data) or ""
    text = printable(text.replace("\r\n", "\n")).strip()
    if not text:
        raise BadInput("holds no text that can be read")
    if len(text) > MAX_TEXT:
        raise BadInput(f"has more than {MAX_TEXT:,} characters of text: send a part of it")
    return text


def _kind(data: bytes, name: str, media: str) -> str | None:
    """pandoc's name of the format; None for one that it must not read."""
    zipped, rich = data.startswith(b"PK\x03\x04"), data.startswith(b"{\\rtf")
    format_name = _PANDOC.get(PurePosixPath(name.lower()).suffix) or _MEDIA.get(media.partition(";")[0].strip().lower())
    if zipped:
        return format_name if format_name in ("docx", "odt", "epub") else None
    if rich:
        return "rtf"
    return format_name if format_name == "html" else None


def _pdf(data: bytes) -> str:
    try:
        return str(DOCUMENTS.ask("pdf_text", data, characters=MAX_TEXT + 1)[0])
    except ImageUnreadable as e:
        raise BadInput(str(e)) from e


def _converted(data: bytes, kind: str) -> str:
    try:
        import pypandoc

        program = pypandoc.get_pandoc_path()
    except (ImportError, OSError) as e:
        raise BadInput("needs the export extra to be read: pip install 'limner[export]'") from e
    command = [program, "--sandbox", f"--from={kind}", "--to=gfm-raw_html", "--wrap=none"]
    command += ["+RTS", f"-M{_HEAP}", "-RTS"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as e:
        raise BadInput(f"takes longer than {SECONDS} s to read: send it as plain text") from e
    if done.returncode:
        raise BadInput("cannot be opened: it is damaged, or not what its name says")
    return done.stdout[: 4 * (MAX_TEXT + 1)].decode("utf-8", "replace")
