"""Read the files attached to a message, and name unused ones in one line."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from limner.errors import BadInput
from limner.surfaces.http.openai.parts import Attached
from limner.text import one_line, shorten
from limner.tools.documents import KNOWN


def file_bytes(file: Attached) -> bytes:
    """The bytes of a file. Raises BadInput with the reason as the predicate of a sentence."""
    if file.plain:
        return file.data.encode()
    if not file.data:
        raise BadInput("came as an address or an id, and limner fetches nothing: attach the file itself")
    head, comma, data = file.data.partition(",")
    if not head.startswith("data:"):
        head, data = ";base64", file.data
    elif not comma:
        raise BadInput("is no data: URL")
    if not head.endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError as e:
        raise BadInput("is not base64") from e


def not_used(lines: Sequence[str], *, changing: bool = False) -> str:
    """One line that names unused attachments, "" for none. changing: the message changed an article."""
    if not lines:
        return ""
    joined = shorten("; ".join(one_line(line) for line in dict.fromkeys(lines)), 600)
    hint = "A change uses no files: begin a new article with /new." if changing else f"limner uses {KNOWN}, and images."
    return f"Not used: {joined}. {hint}"
