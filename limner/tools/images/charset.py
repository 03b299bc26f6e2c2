"""Decode text of unknown encoding: captions in sidecars, tables and IPTC blocks from other programs."""

from __future__ import annotations

import codecs
import re
import unicodedata

CONFIDENT = 0.2  # 0 to 1; all of chardet's verdicts from here on were right for 130 short captions
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNS = frozenset("\t\n\r\xa0¡¢£¥§©«®°±²³´µ·¹»¼½¾¿×÷–—‘’‚“”„†‡•…‰‹›€™")
_MISREAD = re.compile(
    r"[A-Za-zÀ-ÿ][À-ÖØ-ÞŠŒŽŸ][a-zß-öø-ÿ]|"  # a capital in the middle of a word
    r"[£¥€¹º³]\w*[a-zß-öø-ÿ]|[A-Za-zÀ-ÿ][¡¿¢£¥§“„°±×÷µ¦]\w|[A-Za-z][¡¿]|[^\s\w]{2}[A-Za-z]+[^\s\w]{2}"  # signs within
)


def decode(data: bytes) -> str | None:
    """Decode text; None if the encoding is uncertain.

    Tries the byte order mark, UTF-8, the detector's certain verdicts, and Windows-1252 (a superset of Latin-1) if the
    result looks like a Western language.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _as(data, name)
    text = _as(data, "utf-8")
    if text is not None and "\0" not in text:
        return text
    return _detected(data) or _western(data)


def _detected(data: bytes) -> str | None:
    import chardet

    verdict = chardet.detect(data[:200_000])
    name = verdict["encoding"]
    return _as(data, name) if name and (verdict["confidence"] or 0) >= CONFIDENT else None


def _western(data: bytes) -> str | None:
    """Decode Windows-1252, if accents and signs are where Western languages have them."""
    text = _as(data, "cp1252")
    if text is None or _MISREAD.search(text):
        return None
    letters = [c for c in text if unicodedata.category(c).startswith("L")]
    accented = sum(c > "\x7f" for c in letters)
    odd = any((c > "\x7f" and c not in _SIGNS and not c.isalpha()) or (c < " " and c not in _SIGNS) for c in text)
    plain, signs = len(letters) - accented, sum(c > "\x7f" and c in _SIGNS for c in text)
    return None if odd or signs > plain or accented > max(min(2, 2 * plain), 0.4 * len(letters)) else text


def _as(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None
