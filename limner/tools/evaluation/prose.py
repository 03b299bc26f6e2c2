"""An article's text by itself: one language, repetition, readability."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from limner.document import Article
from limner.text import split_words
from limner.tools.evaluation.measured import Finding, Measured
from limner.tools.language import UNKNOWN, language_of

RUN = 4  # words of a run that is looked for again
LIX = frozenset(("da", "de", "en", "es", "fi", "fr", "it", "nb", "nn", "no", "pt", "ru", "sv"))
"""Languages of the newspapers that Björnsson compared by LIX (1983, Reading Research Quarterly 18)."""
_LONG = 6  # letters; LIX counts words with more
_LETTERS = 60  # of a paragraph; the language of a shorter one is often named wrongly (docs/log.md)
_PARAGRAPHS = 400  # paragraphs whose language is looked at
_ENDS = re.compile(r"(?<=[.!?…])[\"”’»)\]]*\s+|(?<=[。！？])|\n+")


def prose(article: Article) -> Measured:
    """Language, repetition and readability of the running text."""
    found, texts = Measured(), [p.plain for p in article.paragraphs if p.plain.strip()]
    names = ("one_language", "language_named", "repeated_runs", "repeated_sentences", "lix")
    if not texts:
        found.absent("the article has no text", *names)
        return found
    code = language_of(texts).code
    _languages(found, article, texts, code)
    _repetition(found, texts)
    _readability(found, texts, code)
    return found


def _languages(found: Measured, article: Article, texts: Sequence[str], code: str) -> None:
    letters: Counter[str] = Counter()
    for text in texts[:_PARAGRAPHS]:
        if (size := sum(map(str.isalpha, text))) >= _LETTERS or len(texts) == 1:
            letters[language_of([text]).code] += size
    known = letters.total() - letters[UNKNOWN]
    if not known:
        return found.absent("its paragraphs are too short to tell their language", "one_language", "language_named")
    main, most = max(((c, n) for c, n in letters.items() if c != UNKNOWN), key=lambda row: row[1])
    found.values["one_language"] = most / known
    if most < known:
        others = ", ".join(sorted(c for c in letters if c not in (UNKNOWN, main)))
        found.findings.append(Finding("one_language", 0, f"paragraphs read as {others} in a text in {main}"))
    named = article.language.lower().partition("-")[0]
    told = main if code == UNKNOWN else code
    found.values["language_named"] = float(named == told)
    if named != told:
        found.findings.append(Finding("language_named", 0, f"is said to be in {named[:20]!r} and reads as {told!r}"))
    return None


def _repetition(found: Measured, texts: Sequence[str]) -> None:
    runs: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = split_words(text)
        runs.update(tuple(words[n : n + RUN]) for n in range(len(words) - RUN + 1))
    if runs:
        found.values["repeated_runs"] = 1 - len(runs) / runs.total()
    else:
        found.absent(f"no paragraph has {RUN} words", "repeated_runs")
    sentences = [key for text in texts for s in _ENDS.split(text) if (key := tuple(split_words(s or "")))]
    if sentences:
        found.values["repeated_sentences"] = 1 - len(set(sentences)) / len(sentences)
    else:
        found.absent("the text has no sentence", "repeated_sentences")


def _readability(found: Measured, texts: Sequence[str], code: str) -> None:
    if code not in LIX:
        return found.absent(f"LIX does not hold for the language {code!r}", "lix")
    sentences = [words for text in texts for s in _ENDS.split(text) if (words := split_words(s or ""))]
    words = [word for sentence in sentences for word in sentence]
    long = sum(len(word) > _LONG for word in words)
    found.values["lix"] = len(words) / len(sentences) + 100 * long / len(words)
    return None
