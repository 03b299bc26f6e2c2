"""Filters of a library's images: "licence=CC BY", "date>=2020", "unused=10".

A filter is a field, a sign and a value. Several filters must all hold. In a value of text, `*` stands for any
characters, `|` separates alternatives, and case does not matter; an empty value means that the image has none.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from limner.errors import BadInput
from limner.notes import note

TEXTS = ("licence", "credit", "tag", "person", "place", "city", "state", "country", "event", "folder")
DATES = ("date", "added", "embargo", "expires")
NUMBERS = ("width", "height", "size", "rating")
FIELDS = (*TEXTS, *DATES, "orientation", *NUMBERS, "unused", "anytime")
"""Fields of filters. `place` is any of the place, city, state and country; `size` the longer side in px; `unused=N`
leaves out what the last N articles show; `anytime=yes` lets in what its embargo or expiry keeps back."""
ORIENTATIONS = ("landscape", "portrait", "square")
MOST = 20  # filters at once
MOST_UNUSED = 1000
LONGEST = 200  # characters of a filter
_ALIASES = {"license": "licence", "tags": "tag", "keyword": "tag", "keywords": "tag", "persons": "person"}
_FORM = re.compile(r"\s*([a-z]{1,20})\s*(>=|<=|!=|=|>|<)\s*(.*?)\s*", re.DOTALL | re.IGNORECASE)
_DAY = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(?:licenses/(by(?:-n[cd]|-sa)*)|publicdomain/(zero))/(\d\.\d)")
_SPELLED = re.compile(r"(?<![\w-])cc[ _-]?(by(?:[ _-](?:nc|nd|sa))*|0)(?:[ _-]?v?(\d\.\d))?(?!\w|[ _-]?(?:nc|nd|sa))")
_SQUARE = 1.02  # sides that differ by less than 2 % look equal

Sign = Literal["=", "!=", ">", ">=", "<", "<="]


class Filter(BaseModel):
    """One filter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    """One of FIELDS."""
    sign: Sign
    value: str

    def __str__(self) -> str:
        return f"{self.field}{self.sign}{self.value}"

    def matcher(self) -> Callable[[str | float], bool]:
        """Whether one value of an image fits; signs of text are `=` here, because `!=` is about all its values."""
        if self.field in NUMBERS:
            return lambda value: _compared(float(value), self.sign, float(self.value))
        if self.field in DATES:  # "date<=2020" holds for the whole year
            return lambda value: _compared(str(value)[: len(self.value)], self.sign, self.value)
        if self.field == "orientation":
            return lambda value: value == self.value
        parts = self.value.split("|")
        if self.field == "licence":  # "cc-by 4.0" asks for "CC BY 4.0"
            named = [part for part in parts if _SPELLED.fullmatch(part.strip().casefold()) or "://" in part]
            parts = [*parts, *(form for part in named for form in _creative_commons(part)[:1])]
        patterns = [_pattern(part) for part in parts]
        forms = {"licence": _licence_forms, "tag": _tag_forms}.get(self.field, lambda value: [value])
        return lambda value: any(p.fullmatch(fold(form)) for form in forms(str(value)) for p in patterns)


class Filters(BaseModel):
    """Filters that must all hold; none lets all images pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    each: tuple[Filter, ...] = ()

    @classmethod
    def read(cls, texts: Iterable[str]) -> Filters:
        """Read filters from their text form. Raises BadInput, which lists the fields, for what is no filter."""
        given = [text for text in texts if text.strip()]
        if len(given) > MOST:
            raise BadInput(note("filters-many", n=len(given), most=MOST))
        return cls(each=tuple(dict.fromkeys(map(_read, given))))

    @property
    def texts(self) -> tuple[str, ...]:
        """The text form."""
        return tuple(map(str, self.each))

    @property
    def facts(self) -> tuple[Filter, ...]:
        """The filters that an image's own facts decide."""
        return tuple(one for one in self.each if one.field not in ("unused", "anytime"))

    @property
    def unused(self) -> int:
        """The number of articles whose images are left out; 0 for none."""
        return max((int(one.value) for one in self.each if one.field == "unused"), default=0)

    @property
    def anytime(self) -> bool:
        """Whether images outside their time pass."""
        return any(one.field == "anytime" and one.value == "yes" for one in self.each)


ALL = Filters()
"""No filter."""
ANYTIME = Filters(each=(Filter(field="anytime", sign="=", value="yes"),))
"""All images, also those outside their time."""


def orientation(width: int, height: int) -> str:
    """One of ORIENTATIONS; sides that differ by less than 2 % are square."""
    if max(width, height) < _SQUARE * min(width, height):
        return "square"
    return "landscape" if width > height else "portrait"


def fold(text: str) -> str:
    """A text without differences of case and of composed or decomposed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _read(text: str) -> Filter:
    found = _FORM.fullmatch(text[: LONGEST + 1])
    field = found[1].lower() if found else ""
    field = _ALIASES.get(field, field)
    if found is None or field not in FIELDS:
        raise BadInput(note("filter-unknown", text=" ".join(text.split())[:60], fields=list(FIELDS)))
    sign, value = found[2], found[3]
    wanted = _wanted(field, sign, value)
    if wanted or len(text) > LONGEST:
        wanted = wanted or note("filter-short", most=LONGEST)
        raise BadInput(note("filter-value", text=" ".join(text.split())[:60], wanted=wanted, fields=list(FIELDS)))
    return Filter.model_validate({"field": field, "sign": sign, "value": value})


def _wanted(field: str, sign: str, value: str) -> str:
    """The sign or value wanted instead; "" if nothing is wrong."""
    if field in DATES:
        return "" if _DAY.fullmatch(value) else note("filter-date", field=field)
    if field in NUMBERS:
        return "" if re.fullmatch(r"-?\d{1,6}", value) and value.isascii() else note("filter-number", field=field)
    if field in TEXTS:
        return "" if sign in ("=", "!=") else note("filter-text", field=field)
    known = {"orientation": ORIENTATIONS, "anytime": ("yes", "no")}.get(field)
    if known:
        return "" if sign == "=" and value in known else note("filter-one-of", field=field, values=list(known))
    good = sign == "=" and value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MOST_UNUSED
    return "" if good else note("filter-unused", most=MOST_UNUSED)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(fold(text.strip()).replace("[", "[[]")))


def _compared(value: str | float, sign: Sign, other: str | float) -> bool:
    smaller, equal = value < other, value == other  # type: ignore[operator]
    return {
        "=": equal, "!=": not equal, "<": smaller, "<=": smaller or equal, ">": not smaller and not equal,
        ">=": not smaller,
    }[sign]  # fmt: skip


def _licence_forms(value: str) -> list[str]:
    """A licence as it is given and, for one of Creative Commons, as "cc by-sa 4.0" and "cc by-sa"."""
    return [value, *_creative_commons(value)]


def _creative_commons(value: str) -> list[str]:
    """["cc by-sa 4.0", "cc by-sa"] of a licence by its address, its SPDX name, or a spelling such as "CC-BY-SA v4.0",
    also within a text; only the latter for one without a version; [] of another, and of a text that names several."""
    text = value.casefold()
    found = {(match[1] or "0", match[3]) for match in _CREATIVE_COMMONS.finditer(text)} or {
        (re.sub(r"[ _]", "-", match[1]), match[2] or "") for match in _SPELLED.finditer(text)
    }
    if len({kind for kind, _ in found}) != 1:
        return []
    kind, version = max(found)
    name = "cc0" if kind == "0" else f"cc {kind}"
    return [f"{name} {version}", name] if version else [name]


def _tag_forms(value: str) -> list[str]:
    """A keyword and, of a hierarchical one such as "places|Norway", its parts."""
    return [value, *re.split(r"[|/]", value)] if re.search(r"[|/]", value) else [value]
