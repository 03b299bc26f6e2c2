"""Read tables of captions: metadata.csv, metadata.jsonl and library.jsonl, as from Excel, exiftool and digiKam."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from limner.tools.images.facts import LIMITS, SEVERAL, Facts, items, tidy
from limner.tools.images.metadata import Described
from limner.tools.library.exported import restored
from limner.tools.library.scanned import Problems, counted, folded, read_text

TABLE = re.compile(r"(?:metadata[^/]*|library)\.(?:csv|tsv|jsonl)", re.IGNORECASE)
TABLE_BYTES = 200_000_000
_FILE = ("filename", "file", "sourcefile", "image", "path", "imagename", "filepath", "relativepath", "name")
_KEYS = {
    "caption": (
        *("caption", "text", "description", "imagedescription", "captionabstract", "comment", "usercomment"),
        *("headline", "title", "objectname"),
    ),
    "alt": ("alt", "alttext", "alternativetext", "alttextaccessibility"),
    "credit": ("credit", "attribution", "author", "artist", "creator", "byline", "photographer", "source"),
    "licence": ("licence", "license", "usageterms", "rights", "copyrightnotice", "copyright"),
}
_DETAILS = (
    *("headline", "title", "keywords", "subject", "tags", "tagslist", "persons", "people", "personinimage"),
    *("location", "sublocation", "city", "state", "country", "event", "date", "datecreated", "datetimeoriginal"),
)
_FACTS = {
    "tag": ("keywords", "subject", "tags", "tagslist", "hierarchicalsubject"),
    "person": ("persons", "people", "personinimage"),
    "place": ("location", "sublocation"),
    "city": ("city",),
    "state": ("state", "provincestate"),
    "country": ("country", "countryname", "countryprimarylocationname"),
    "event": ("event",),
    "date": ("date", "datecreated", "datetimeoriginal"),
    "rating": ("rating",),
    "embargo": ("embargo", "embargodate", "releasedate", "licensestartdate"),
    "expires": ("expires", "expiry", "expirationdate", "expirydate", "licenseenddate"),
}
_TIMES = {"releasedate": "releasetime", "expirationdate": "expirationtime"}  # IPTC has the time by itself
_Row = dict[str, Any] | None


class Table:
    """The rows of a table by file name."""

    def __init__(self, path: str, problems: Problems) -> None:
        self.path = path
        self.rows: list[tuple[str, Described]] = []
        text = read_text(path, TABLE_BYTES, problems)
        bad: list[str] = []
        for number, row in _json_rows(text or "") if path.lower().endswith(".jsonl") else _csv_rows(text or ""):
            name = file_named(row) if row else ""
            if row is None or not name:
                bad.append(f"in line {number}")
            else:
                self.rows.append((name, from_row(row)))
        problems += counted(path, bad, "[row has|rows have] no file name", "name it in a column file_name")

    def match(self, files: Iterable[str], problems: Problems) -> Iterator[tuple[str, Described]]:
        """(absolute path of an image, its description) for each row with a unique image; the others form one
        problem."""
        exact = set(files)
        by_fold: dict[str, list[str]] = {}
        for path in exact:
            by_fold.setdefault(folded(path), []).append(path)
        lost = []
        for name, words in self.rows:
            path = self._image(name, exact, by_fold)
            if path:
                yield path, words
            else:
                lost.append(repr(name[:200]))
        problems += counted(
            self.path, lost, "[row matches|rows match] no image", "correct the file names, or add the images"
        )

    def _image(self, name: str, exact: set[str], by_fold: Mapping[str, list[str]]) -> str | None:
        here = os.path.dirname(self.path)
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            path = os.path.normpath(os.path.join(here, spelling))
            if path in exact:
                return path
            if len(near := by_fold.get(folded(path), [])) == 1:
                return near[0]
        return None


def from_row(row: Mapping[str, Any]) -> Described:
    """The description in a row or JSON object, by any spelling of the columns' names."""
    plain = {_key(k): _words(v) for k, v in row.items()}
    found = {name: next((plain[k] for k in keys if plain.get(k)), "") for name, keys in _KEYS.items()}
    details = [plain[key] for key in _DETAILS if plain.get(key) and plain[key] != found["caption"]]
    return restored(row, Described(**found, details="; ".join(dict.fromkeys(details)), facts=_facts(row, plain)))


def _facts(row: Mapping[str, Any], plain: Mapping[str, str]) -> Facts:
    raw = {_key(k): v for k, v in row.items()}
    found: dict[str, list[str]] = {}
    for name, keys in _FACTS.items():
        given = [key for key in keys if plain.get(key)]
        if name in LIMITS:
            found[name] = [text for key in given for text in _moments(raw[key], plain.get(_TIMES.get(key, ""), ""))]
        else:
            found[name] = items(raw[given[0]], _words) if given and name in SEVERAL else [plain[k] for k in given[:1]]
    return tidy(found)


def _moments(value: Any, time: str) -> Iterator[str]:
    return (f"{_words(one)} {time}".strip() for one in (value if isinstance(value, list) else [value]))


def file_named(row: Mapping[str, Any]) -> str:
    """The file that a row names, "" if it names none."""
    plain = {_key(k): v for k, v in row.items()}
    name = next((plain[k].strip() for k in _FILE if isinstance(plain.get(k), str) and plain[k].strip()), "")
    folder = plain.get("directory")
    return os.path.join(folder, name) if isinstance(folder, str) and folder and "sourcefile" not in plain else name


def _key(name: Any) -> str:
    """ "File Name", "file_name" and "XMP-dc:Description" as "filename" and "description"."""
    return re.sub(r"[\W_]", "", str(name).rpartition(":")[2]).lower()


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):  # a year among exiftool's keywords
        return str(value)
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    return _words(value.get("name")) if isinstance(value, Mapping) else ""


def _json_rows(text: str) -> Iterator[tuple[int, _Row]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else None


def _csv_rows(text: str) -> Iterator[tuple[int, _Row]]:
    declared = re.match(r'\ufeff?"?sep=(.)"?\r?\n', text)  # Excel's separator line
    body = text[declared.end() :] if declared else text
    reader = csv.DictReader(io.StringIO(body, newline=""), delimiter=declared[1] if declared else _separator(body))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field beyond csv's limit of 131,072 characters
            yield reader.line_num + bool(declared), None
        else:
            yield reader.line_num + bool(declared), {k: v for k, v in row.items() if k is not None}


def _separator(text: str) -> str:
    """The separator: the one that gives the first line a column for the file, and most columns."""
    first = text.lstrip("\ufeff").partition("\n")[0]

    def columns(sign: str) -> tuple[bool, int]:
        names = [_key(name) for name in next(csv.reader([first.strip("\r")], delimiter=sign), [])]
        return bool(set(names) & set(_FILE)), len(names)

    return max(",;\t|", key=columns)
