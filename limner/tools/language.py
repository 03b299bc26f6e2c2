"""Detect the language of a text with py3langid, paragraph by paragraph, so that mixtures are recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

UNKNOWN = "und"  # BCP 47 for an undetermined language
SURE = (
    0.5  # below, 1.5 % of 25 characters in 57 languages were named wrongly; above, 0.2 % of 60 characters (docs/log.md)
)
SHARE = 0.75  # share of the letters that must be in one language
_PARAGRAPHS, _LETTERS = 60, 1_000  # paragraphs to look at, and characters of each


class Language(NamedTuple):
    """The language of a text."""

    code: str
    """BCP 47, "und" if unknown."""
    confidence: float
    """0 to 1: the model's for the paragraphs in this language, times their share of the letters."""


def language_of(paragraphs: Sequence[str]) -> Language:
    """Detect the language of plain text; "und" if it is too short, mixed or unknown to the model."""
    letters: Counter[str] = Counter()
    weighted: dict[str, float] = {}
    looked_at = [text[:_LETTERS] for text in paragraphs if any(map(str.isalpha, text))][:_PARAGRAPHS]
    if sum(map(len, looked_at)) < _LETTERS:  # short: headings alone say little, so take the whole text
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
