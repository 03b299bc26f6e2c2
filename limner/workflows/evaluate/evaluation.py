"""Evaluate articles: read them, measure each, and put the report together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from limner.errors import BadInput
from limner.tools.evaluation.measured import Measured
from limner.tools.evaluation.pictures import pictures
from limner.tools.evaluation.positions import figures_of, positions
from limner.tools.evaluation.prose import prose
from limner.tools.evaluation.wording import links, wording
from limner.workflows.context import Context
from limner.workflows.evaluate.encoded import encoded
from limner.workflows.evaluate.reading import Given, folders, read
from limner.workflows.evaluate.recorded import recorded
from limner.workflows.evaluate.report import Evaluated

Progress = Callable[[int, int], None]
"""Called with (articles done, of)."""


def read_all(refs: Sequence[str | Path]) -> tuple[list[Given], dict[str, str]]:
    """The articles, and by name why one of several could not be read. Raises BadInput if none can."""
    found: dict[Path, Given] = {}
    left_out: dict[str, str] = {}
    for ref in refs:
        try:
            paths = folders([ref])
        except BadInput as e:
            left_out[str(ref)] = str(e)
            continue
        for path in paths:
            try:
                found.setdefault(path, read(path))
            except BadInput as e:
                left_out[str(path)] = str(e)
    if not found:
        (first, *others) = left_out.values()
        raise BadInput(f"None of {len(left_out)} articles can be read. {first}" if others else first)
    return list(found.values()), left_out


def measure(given: Given, context: Context) -> Measured:
    """All measures of one article that need no language model."""
    found, figures = positions(given.article), figures_of(given.article)
    found.add(pictures(figures, given.data, context.settings.max_pixels))
    found.add(wording(figures))
    found.add(links(given.article))
    found.add(prose(given.article))
    found.add(recorded(given.article))
    found.add(encoded(given, context))
    return found


def evaluate(
    given: Sequence[Given], context: Context, on_progress: Progress = lambda _done, _of: None
) -> list[Evaluated]:
    """Measure articles."""
    done = []
    for n, one in enumerate(given, 1):
        done.append(Evaluated(one.name, one.article.title, one.article.language, measure(one, context)))
        on_progress(n, len(given))
    return done
