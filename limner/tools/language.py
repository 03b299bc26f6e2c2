"""The language of a text, with a confidence: py3langid, told apart paragraph by paragraph so that a mixture is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

UNKNOWN = "und"  # BCP 47 for a language that is not determined
SURE = (
    0.5  # below, 1.5 % of 25 characters in 57 languages were named wrongly; above, 0.2 % of 60 characters (docs/log.md)
)
SHARE = 0.75  # of the letters, that must be in one language
_PARAGRAPHS, _LETTERS = 60, 1_000  # that are looked at, and of each


class Language(NamedTuple):
    """What a text is written in."""

    code: str
    """BCP 47, "und" where it is unknown."""
    confidence: float
    """0 to 1: the model's for the paragraphs in this language, times their share of the letters."""


def language_of(paragraphs: Sequence[str]) -> Language:
    """The language of plain text, "und" for a text that is too short, mixed or of no language the model knows."""
    letters: Counter[str] = Counter()
    weighted: dict[str, float] = {}
    looked_at = [text[:_LETTERS] for text in paragraphs if any(map(str.isalpha, text))][:_PARAGRAPHS]
    if sum(map(len, looked_at)) < _LETTERS:  # short: a heading alone says little, all of it says more
        looked_at = ["\n".join(looked_at)] if looked_at else []
    for text in looked_at:
        code, confidence = _model().classify(text)
        size = sum(map(str.isalpha, text))
        name = str(code) if float(confidence) >= SURE and code != "zxx" else UNKNOWN
        letters[name] += size
        weighted[name] = weighted.get(name, 0.0) + size * float(confidence)
    known = Counter({name: count for name, count in letters.items() if name != UNKNOWN})
    if not known:
        return Language(UNKNOWN, 0.0)
    code, most = known.most_common(1)[0]
    if most < SHARE * letters.total():
        return Language(UNKNOWN, 0.0)
    return Language(code, round(weighted[code] / letters.total(), 3))


@cache
def _model() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
