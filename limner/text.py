"""Clean text from outside: printable, on one line, shortened; count its words and split it into them."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit, urlunsplit


def printable(text: str) -> str:
    """Text without control characters (they could rewrite a terminal) and with unpaired surrogates replaced."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in text if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f"))


# Marks that turn the reading direction could make one line show as another; joiners (U+200C, U+200D) spell words.
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def straight(text: str) -> str:
    """`printable`, without direction marks: a table's cells stay where they are."""
    return "".join(c for c in printable(text) if ord(c) not in _TURNING)


def one_line(text: str) -> str:
    """Text on one line, without control characters, direction marks and lone surrogates; runs of spaces become one."""
    kept = (" " if _is_control(c) else c for c in text if ord(c) not in _TURNING)
    return " ".join("".join(kept).split())


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp", "Cn") or character == "\ufeff"


def shorten(text: str, length: int) -> str:
    """At most `length` characters; a cut text ends with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def without_password(url: str) -> str:
    """An address in a form for messages, without credentials. Raises ValueError for a damaged one."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def printable_path(path: str) -> str:
    """A path as one line that any terminal can show; bytes that are not UTF-8 become escapes."""
    return one_line(path.encode("utf-8", "backslashreplace").decode())


_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that write no spaces between words: Thai, Lao, Burmese, Khmer, kana, Han."""


def count_words(text: str) -> int:
    """Words of a text as editors count them: runs between spaces, and each character of a script without spaces."""
    spaced = _UNSPACED.sub(" ", text)
    return sum(any(c.isalnum() for c in run) for run in spaced.split()) + len(_UNSPACED.findall(text))


_RUN = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def split_words(text: str) -> list[str]:
    """The words of a text in lower case; each character of a script without spaces is one."""
    return _RUN.findall(_UNSPACED.sub(lambda m: f" {m[0]} ", text).casefold())


def dollars(cost: float) -> str:
    """US dollars: "$1.20"; with four digits below a cent."""
    return f"${cost:.2f}" if cost >= 0.01 or not cost else f"${cost:.4f}"
