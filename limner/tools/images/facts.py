"""Facts about an image that searches can be limited by: keywords, persons, places, dates, rating, embargo, expiry.

They come from the same properties as captions (`metadata`) and from columns of tables. The place by GPS is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from limner.text import one_line, shorten

Facts = dict[str, list[str]]
"""Values by fact, one of NAMES; a fact without a value is missing. Only SEVERAL and LIMITS have several values."""
NAMES = ("tag", "person", "place", "city", "state", "country", "event", "date", "rating", "embargo", "expires")
SEVERAL = ("tag", "person")
LIMITS = ("embargo", "expires")
"""Facts of which every value counts: an image is shown when all its sources and all copies allow it."""
_PROPERTIES = {"tag": "keywords", "person": "persons"}
"""Names of the properties of `metadata.said_in`, where they differ."""
_LENGTH = 200  # characters of a value
_MOST = 200  # values of a fact of one image

_MOMENT = re.compile(
    r"(\d{4})(?:([-:./]?)(\d\d)(?:\2(\d\d))?)?"
    r"(?:[T ]\s*(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NEVER = {"", "-", "none", "never", "no", "null", "n/a"}


def facts_of(properties: Mapping[str, str]) -> Facts:
    """Facts from properties (`metadata.said_in`); items of lists are separated by line feeds."""
    return tidy({name: properties.get(_PROPERTIES.get(name, name), "").split("\n") for name in NAMES})


def tidy(found: Mapping[str, Sequence[str]]) -> Facts:
    """Facts in the stored form: on one line, days as YYYY-MM-DD, moments in UTC, ratings from -1 to 5 without 0."""
    made = {name: _values(name, found.get(name, ())) for name in NAMES}
    return {name: values for name, values in made.items() if values}


def _values(name: str, given: Sequence[str]) -> list[str]:
    texts = [text for text in map(one_line, given) if text]
    if name in SEVERAL:
        if len(texts) == 1 and name == "tag":  # programs without lists write all keywords as one
            texts = [part.strip() for part in re.split(r"[,;]", texts[0])]
        return list(dict.fromkeys(shorten(text, _LENGTH) for text in texts if text))[:_MOST]
    if name in LIMITS:
        return sorted(set(filter(None, map(moment, texts))))[:_MOST]
    text = texts[0] if texts else ""
    read = {"date": day, "rating": _rating}.get(name)
    value = read(text) if read else shorten(text, _LENGTH)
    return [value] if value else []


def limits(facts: Facts) -> Facts:
    """The embargo and expiry among facts."""
    return {name: facts[name] for name in LIMITS if facts.get(name)}


def stricter(facts: Facts, *others: Facts, first: bool = True) -> Facts:
    """The facts with all limits of these and the others. first: whether the limits of `facts` count too."""
    sources = (facts, *others) if first else others
    every = {name: sorted({value for one in sources for value in one.get(name, ())}) for name in LIMITS}
    return {name: values for name in NAMES if (values := every.get(name, facts.get(name, [])))}


def items(value: Any, words: Any) -> list[str]:
    """A list in a table or a sidecar. words: makes text of one item."""
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[,;\n]", value)]
    return [words(one) for one in value] if isinstance(value, list) else [words(value)]


def day(text: str) -> str:
    """A date of XMP, IPTC or EXIF as YYYY-MM-DD, as far as it goes; "" for none."""
    found = re.match(r"(\d{4})(?:[-:./]?(\d\d)|[-:./](\d)(?!\d))?(?:[-:./]?(\d\d)|[-:./](\d)(?!\d))?", text)
    year, *rest = found.groups("") if found else ("", "", "", "", "")
    month, at = (rest[n] or rest[n + 1].zfill(2) for n in (0, 2))
    parts = [part for part in (year, month, at) if part.strip("0")]
    return "-".join(parts) if year.strip("0") else ""


def _rating(text: str) -> str:
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        return ""
    return str(value) if -1 <= value <= 5 and value else ""


def moment(text: str) -> str:
    """The end of an embargo, or an expiry: a day, or a time in UTC as YYYY-MM-DDTHH:MM:SSZ (a time without zone counts
    as UTC). A text that is no date stays as it is, see `span`; "" for "never" and for zeros."""
    text = one_line(text)
    if text.casefold() in _NEVER or not text.strip("0:-. "):
        return ""
    found = _MOMENT.fullmatch(text)
    if not found or span(text) is None:
        return shorten(text, _LENGTH)
    year, _, month, at, hour, *_ = found.groups()
    if hour is None:
        return "-".join(part for part in (year, month, at) if part)
    first = span(text)
    return first[0].strftime("%Y-%m-%dT%H:%M:%SZ") if first else text


def span(text: str) -> tuple[datetime, datetime] | None:
    """(the first moment, the moment after the last) of a date, in UTC; None for a text that is no date."""
    found = _MOMENT.fullmatch(text.strip())
    if not found:
        return None
    year, _, month, at, hour, minute, second, zone = found.groups()
    try:
        first = datetime(int(year), int(month or 1), int(at or 1), tzinfo=UTC)
        if hour is not None:
            clock = timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0))
            first += clock - _offset(zone)
        return first, _after(first, bool(month), bool(at), hour is not None)
    except ValueError:
        return None
    except OverflowError:  # a time zone that leads out of the years 1 to 9999
        return (_END, _END) if year == "9999" else None


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    digits = zone[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return -size if zone[0] == "-" else size


def _after(first: datetime, month: bool, at: bool, clock: bool) -> datetime:
    """The end of what begins at `first`, at most _END: programs write the year 9999 for "no end"."""
    try:
        if clock or at:
            return first + (timedelta(seconds=1) if clock else timedelta(days=1))
        if month:
            return (first + timedelta(days=31)).replace(day=1)
        return first.replace(year=first.year + 1)
    except (ValueError, OverflowError):
        return _END


def in_time(facts: Mapping[str, Sequence[str]], moment: datetime) -> bool:
    """Whether an image may be shown: from the first moment of its embargo's end to the last of its expiry.

    A text that is no date keeps the image back, because nobody knows when it ends.
    """
    begins, ends = ([span(text) for text in facts.get(name, ())] for name in LIMITS)
    return all(one and moment >= one[0] for one in begins) and all(one and moment < one[1] for one in ends)


def unread(facts: Facts) -> list[str]:
    """The facts whose text is no date although it should be one: embargo, expires."""
    return [name for name in LIMITS if any(span(text) is None for text in facts.get(name, []))]


def today() -> date:
    """The day in UTC."""
    return now().date()


def now() -> datetime:
    """The time by which embargo and expiry are judged, UTC."""
    return datetime.now(UTC)
