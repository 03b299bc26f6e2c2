"""A finished article with the record of its choices, for tests of what people do to it."""

from __future__ import annotations

from collections.abc import Sequence

from limner.document import Article, Candidate, Illustration, Selection, Spot, read_markdown
from limner.tools.library import Record

SOURCE = "# Honey\n\nBees gather nectar.\n\nThey carry it home.\n\nIt dries to honey.\n"


def candidate(record: Record) -> Candidate:
    return Candidate(
        image_id=record.id, library="bees", score=1, caption=record.caption, width=record.width, height=record.height
    )


def composed(records: Sequence[Record], placed: tuple[int | None, ...] = (0, 1)) -> Article:
    """An article with spots s1 after b2 and s2 after b3, each with a record; `placed` says which image stands there."""
    article = read_markdown(SOURCE)
    figures, selections = [], []
    for n, which in enumerate(placed, 1):
        spot = Spot(id=f"s{n}", after=f"b{n + 1}", caption="Bees", search="Bees")
        image = records[which] if which is not None else None
        selections.append(
            Selection(
                spot=spot,
                candidates=tuple(candidate(r) for r in records[:4]),
                choice=image and image.id,
                placed=image and image.id,
                by="captions",
                why="It fits best." if image else "Nothing fits.",
            )
        )
        if image:
            figures.append(
                Illustration(
                    id=f"f-s{n}", after=spot.after, image_id=image.id, library="bees", caption=image.caption,
                    alt=image.alt, width=image.width, height=image.height,
                )
            )  # fmt: skip
    return article.model_copy(update={"selections": tuple(selections)}).illustrated(figures)
