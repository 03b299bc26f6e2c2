"""Read the front matter of a draft: YAML, TOML or JSON, or a title block.

It knows YAML between `---` (Jekyll, Hugo, pandoc, MkDocs, Docusaurus, MyST, Obsidian), TOML between `+++` and a JSON
object (Hugo), pandoc's title block (`% title`), MultiMarkdown's `Title: …` lines (MkDocs, Pelican).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from limner.lazy import lazy
from limner.text import one_line

if TYPE_CHECKING:
    import yaml
else:  # few drafts have front matter
    yaml = lazy("yaml")

MAX = 100_000
"""Limit in characters; longer front matter is kept unread."""
LINE = 500  # characters of a title or a name

_END = r"[ \t]*(?:\r\n|\n|\r|\Z)"
_YAML = re.compile(rf"---{_END}(?P<text>|.*?[\r\n])(?:---|\.\.\.){_END}", re.DOTALL)
_TOML = re.compile(rf"\+\+\+{_END}(?P<text>|.*?[\r\n])\+\+\+{_END}", re.DOTALL)
_TITLE_BLOCK = re.compile(r"(?:%[ \t][^\r\n]*(?:\r\n|\n|\r|\Z)(?:[ \t]+\S[^\r\n]*(?:\r\n|\n|\r|\Z))*){1,3}")
_KEY = re.compile(r"^([A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(.*)|$)", re.MULTILINE)
_HEADERS = re.compile(
    r"(?:[A-Za-z][\w -]{0,40}:[ \t]*[^\r\n]*(?:\r\n|\n|\r|\Z)(?:[ \t]{4,}\S[^\r\n]*(?:\r\n|\n|\r|\Z))*)+"
)
_TELLING = {"title", "author", "authors", "date", "template", "summary", "language", "lang", "slug", "tags", "category"}
_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")


class FrontMatter(NamedTuple):
    """The fields of the front matter; "" for missing ones."""

    end: int = 0
    """Its length in the draft in characters, including a byte order mark."""
    title: str = ""
    language: str = ""
    """BCP 47, e.g. "pt-BR"."""
    author: str = ""
    """Several are joined by ", "."""
    date: str = ""
    """ISO 8601 if it can be read as a date, else as written."""


def read(source: str) -> FrontMatter:
    """Read a draft's front matter; unparsable front matter has no fields."""
    start = int(source.startswith("\ufeff"))
    for reader in (_yaml, _toml, _json, _title_block, _headers):
        found = reader(source, start)
        if found is not None:
            end, values = found
            return FrontMatter(end, **_fields(values))
    return FrontMatter(start)


Found = tuple[int, Mapping[str, Any]] | None


def _yaml(source: str, start: int) -> Found:
    match = _YAML.match(source, start) if source.startswith("---", start) else None
    if match is None:
        return None
    text = match["text"]
    values = _yaml_values(text)
    if values is None:  # two thematic breaks, at the beginning and further down
        return None
    return match.end(), values


def _yaml_values(text: str) -> Mapping[str, Any] | None:
    """None unless a mapping. YAML that does not parse may still have lines like `title: The crane: a history`."""
    if len(text) > MAX:
        return {}
    try:
        values = yaml.load(text, Loader=_as_written())
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date like 2026-02-31
        values = {key: (value or "").strip(" \"'") for key, value in _KEY.findall(text)}
        return values or None
    if values is None:
        return {}
    return values if isinstance(values, dict) else None


@cache
def _as_written() -> Any:
    """A loader that reads only dates and null: `title: 007` and `lang: no`, Norwegian, stay as they are written."""
    kept = {f"tag:yaml.org,2002:{name}" for name in ("null", "timestamp", "merge")}
    known = yaml.SafeLoader.yaml_implicit_resolvers
    rules = {sign: [rule for rule in some if rule[0] in kept] for sign, some in known.items()}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return type("AsWritten", (loader,), {"yaml_implicit_resolvers": rules})


def _toml(source: str, start: int) -> Found:
    match = _TOML.match(source, start) if source.startswith("+++", start) else None
    if match is None:
        return None
    text = match["text"].replace("\r\n", "\n").replace("\r", "\n")
    try:
        return match.end(), tomllib.loads(text) if len(text) <= MAX else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        return match.end(), {}


def _json(source: str, start: int) -> Found:
    """A JSON object at the very beginning that ends at a line's end, as in Hugo."""
    if not re.compile(r"\{\s*\"").match(source, start):
        return None
    try:
        values, end = json.JSONDecoder().raw_decode(source[: start + MAX], start)
    except (ValueError, RecursionError):
        return None
    after = re.compile(_END).match(source, end)
    return (after.end(), values) if after else None


def _title_block(source: str, start: int) -> Found:
    match = _TITLE_BLOCK.match(source, start) if source.startswith("% ", start) else None
    if match is None:
        return None
    parts = [" ".join(part.split()) for part in re.split(r"^%[ \t]", match[0], flags=re.MULTILINE)[1:]]
    return match.end(), dict(zip(("title", "author", "date"), parts, strict=False))


def _headers(source: str, start: int) -> Found:
    """`Title: …` lines up to the first blank one, if site generators know one of their names."""
    first = source[start : start + 42].partition(":")[0].strip().lower()
    match = _HEADERS.match(source, start) if first in _TELLING else None
    if match is None or not re.compile(r"[ \t]*(?:\r\n|\n|\r|\Z)").match(source, match.end()):
        return None
    names = re.findall(r"^([A-Za-z][\w -]{0,40}):[ \t]*([^\r\n]*)", match[0].replace("\r", "\n"), re.MULTILINE)
    values = {name.strip().lower(): value.strip() for name, value in names}
    return (match.end(), values) if "title" in values else None


# --- fields ----------------------------------------------------------------------------------------------------


def _fields(values: Mapping[str, Any]) -> dict[str, str]:
    lower = {str(key).lower(): value for key, value in values.items()}
    params = lower.get("params")  # Hugo's table for custom fields
    if isinstance(params, Mapping):
        lower = {**{str(key).lower(): value for key, value in params.items()}, **lower}
    return {
        "title": _words(lower.get("title")),
        "language": _first(_language(lower.get(key)) for key in ("lang", "language", "locale")),
        "author": _first(_words(lower.get(key)) for key in ("author", "authors")),
        "date": _words(lower.get("date")),
    }


def _first(values: Any) -> str:
    return next((value for value in values if value), "")


def _words(value: Any, depth: int = 0) -> str:
    """A value on one line: joins the names of a list, and takes the name of a mapping."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return one_line(str(value)[: 4 * LINE])[:LINE]
    if isinstance(value, Mapping) and depth < 3:
        return _words(_name(value), depth + 1)
    if isinstance(value, list) and depth < 3:
        return ", ".join(filter(None, (_words(one, depth + 1) for one in value[:20])))[:LINE]
    return ""


def _name(value: Mapping[Any, Any]) -> Any:
    """The name in `{name: …}`, in Quarto's `{given: …, family: …}`, and in pandoc-scholar's `{Jane Doe: {…}}`."""
    for key in ("name", "literal", "text"):
        if key in value:
            return value[key]
    if "family" in value or "given" in value:
        parts = (_words(value.get(key), 3) for key in ("given", "non-dropping-particle", "family"))
        return " ".join(filter(None, parts))
    only = [*value.items()]
    return only[0][0] if len(only) == 1 and isinstance(only[0][1], Mapping) else ""


def _language(value: Any) -> str:
    """A BCP 47 tag, also from `de_DE.UTF-8`; "" for anything else."""
    tag = _words(value).partition(".")[0].replace("_", "-")
    return tag if _TAG.fullmatch(tag) else ""
