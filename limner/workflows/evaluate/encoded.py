"""Measure with the encoders of captions and pictures how figures fit their text, their captions and each other.

Scores are counted in deviations above chance (`tools.chance`), so that encoders and languages compare. The background
is the library that the figures came from, if it is on this machine; otherwise the article's own figures, most of which
do not belong to any one paragraph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from limner.document import Article, Illustration
from limner.errors import LimnerError
from limner.lazy import lazy
from limner.tools.bm25 import words
from limner.tools.chance import UNREAD, Chance, measured, unrelated
from limner.tools.encoders import Encoders, TextEncoder
from limner.tools.evaluation.measured import NO_FIGURE, Measured
from limner.tools.evaluation.positions import figures_of
from limner.tools.images.images import for_clip
from limner.tools.library import Library
from limner.tools.library.encoding import reads
from limner.tools.spotting import spots_from_text

if TYPE_CHECKING:
    import numpy as np

    from limner.workflows.context import Context
    from limner.workflows.evaluate.reading import Given
else:  # a help text does without
    np = lazy("numpy")

COVERED = 4.0
"""Deviations above chance from which limner places an image by its caption alone (`fit.LEARNT`, `arrange.LIKELY`)."""
TEXTS = 300  # paragraphs that are encoded; of a longer article they are spread evenly
FIGURES = 100
BACKGROUND = 8  # pictures from which it can be told how much two of them resemble each other
_BY_CAPTION = ("captions_fit", "coverage")
_BY_PICTURE = ("pictures_fit", "captions_true", "pictures_agree")


class _Ground(NamedTuple):
    encoders: Encoders
    chances: dict[str, Chance]
    """Per encoder; empty without a library."""


def encoded(given: Given, context: Context) -> Measured:
    """Measures by the encoders of the article's library, or of `context`."""
    found, article, figures = Measured(), given.article, figures_of(given.article)
    texts = _texts(article, figures)
    if not figures or not texts or len(figures) > FIGURES:
        why = f"more than {FIGURES} figures" if figures else NO_FIGURE
        found.absent(why, *_BY_CAPTION, *_BY_PICTURE, "new_words")
        return found
    _new_words(found, article, figures)
    ground = _ground(context, figures)
    _by_caption(found, figures, texts, ground)
    if ground.encoders.clip is None:
        found.absent("no encoder of pictures here: docs/libraries.md names some", *_BY_PICTURE)
        return found
    _by_picture(found, given, context.settings.max_pixels, texts, ground)
    return found


def _texts(article: Article, figures: Sequence[Illustration]) -> dict[str, str]:
    """Paragraph id -> heading and paragraph, of the figures' paragraphs and at most TEXTS others."""
    spots, needed = spots_from_text(article), {figure.after for figure in figures}
    step = max(1, len(spots) // TEXTS)
    return {s.after: s.search for n, s in enumerate(spots) if n % step == 0 or s.after in needed}


def _new_words(found: Measured, article: Article, figures: Sequence[Illustration]) -> None:
    known = {word for p in article.body for word in words(p.plain)}
    said = [word for f in figures for word in words(f"{f.caption} {f.alt}")]
    if said:
        found.values["new_words"] = sum(word not in known for word in said) / len(said)
    else:
        found.absent("no figure has words", "new_words")


def _ground(context: Context, figures: Sequence[Illustration]) -> _Ground:
    """Encoders and chances of the library that most figures came from; those of the context where it is not here."""
    [(name, _)] = Counter(figure.library for figure in figures).most_common(1)
    try:
        library = Library.open(context.settings.home, name, context.encoders, connect=context.connect)
        return _Ground(library.encoders, library.chances())
    except LimnerError:  # the name stands in a file that anybody may have written
        return _Ground(context.encoders, {})


def _above(
    queries: np.ndarray, others: np.ndarray, chance: Chance | None, encoder: TextEncoder, unread: bool = False
) -> np.ndarray:
    """(n, m): deviations above chance. queries: (n, size); others: (m, size), of the figures."""
    base, spread = (chance or measured(others, unrelated(encoder))).expected(queries)
    return (queries @ others.T - base[:, None]) / (spread * (UNREAD if unread else 1.0))


def _by_caption(found: Measured, figures: Sequence[Illustration], texts: dict[str, str], ground: _Ground) -> None:
    said = {n: text for n, f in enumerate(figures) if (text := f"{f.caption} {f.alt}".strip())}
    if not said:
        return found.absent("no figure has words", *_BY_CAPTION)
    encoder, places = ground.encoders.caption, list(texts)
    queries, captions = encoder.encode_texts(list(texts.values())), encoder.encode_texts(list(said.values()))
    unread = not reads(encoder, list(texts.values()))
    above = _above(queries, captions, ground.chances.get("caption"), encoder, unread)
    pairs = [(places.index(figures[n].after), m) for m, n in enumerate(said) if figures[n].after in texts]
    if pairs:
        found.values["captions_fit"] = float(np.mean([above[place, m] for place, m in pairs]))
    else:
        found.absent("its figures stand after paragraphs without words", "captions_fit")
    found.values["coverage"] = float((above.max(axis=1) >= COVERED).mean())
    return None


def _by_picture(found: Measured, given: Given, max_pixels: int, texts: dict[str, str], ground: _Ground) -> None:
    figures = figures_of(given.article)
    seen, encoder = {}, ground.encoders.clip
    assert encoder is not None
    for figure in figures:
        try:
            seen[figure.id] = for_clip(given.data(figure), max_pixels=max_pixels)
        except LimnerError:  # `opens` counts it, with the reason
            continue
    shown = [f for f in figures if f.id in seen and f.after in texts]
    if not shown:
        return found.absent("no figure's file can be opened", *_BY_PICTURE)
    pictures, chance = encoder.encode_images([seen[f.id] for f in shown]), ground.chances.get("clip")
    queries, places = encoder.encode_texts(list(texts.values())), list(texts)
    above = _above(queries, pictures, chance, encoder)
    found.values["pictures_fit"] = float(np.mean([above[places.index(f.after), n] for n, f in enumerate(shown)]))
    own = _above(encoder.encode_texts([f.caption or " " for f in shown]), pictures, chance, encoder)
    found.values["captions_true"] = float(np.mean(np.diag(own)))
    _agreeing(found, pictures, chance)
    return None


def _agreeing(found: Measured, pictures: np.ndarray, chance: Chance | None) -> None:
    """How much the pictures resemble each other, above what two pictures of the library do."""
    if len(pictures) < 2 or chance is None or len(chance.sample) < BACKGROUND:
        why = "it takes two figures" if len(pictures) < 2 else f"it takes their library, with {BACKGROUND} pictures"
        return found.absent(why, "pictures_agree")
    usual = _pairs(chance.sample)
    low, middle, high = np.percentile(usual, [15.9, 50, 84.1])
    found.values["pictures_agree"] = float((_pairs(pictures).mean() - middle) / max((high - low) / 2, 1e-4))
    return None


def _pairs(vectors: np.ndarray) -> np.ndarray:
    """Cosines of all pairs. vectors: (n, size), rows of unit length."""
    return (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
