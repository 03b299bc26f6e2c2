"""Put the arranged images into the article, with the caption, alternative text and credit each is owed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from limner.document import Article, Candidate, Illustration, Selection


def illustrated(
    article: Article, selections: Sequence[Selection], kept: Mapping[str, Candidate], why: Mapping[str, str]
) -> Article:
    """The article with the images that were kept, and with the record of every choice.

    kept: the image per spot id. why: one line per spot id on why its image was or was not kept.
    """
    record, figures = [], []
    for selection in selections:
        spot = selection.spot
        image = kept.get(spot.id)
        record.append(
            selection.model_copy(
                update={
                    "candidates": selection.candidates[:RECORDED],
                    "placed": image.image_id if image else None,
                    "why": why.get(spot.id, ""),
                }
            )
        )
        if image:
            figures.append(_illustration(article, selection, image))
    return article.model_copy(update={"selections": tuple(record)}).illustrated(figures)


RECORDED = 10  # candidates kept in the record: what a person will look through; arrange compared many more


def _illustration(article: Article, selection: Selection, image: Candidate) -> Illustration:
    caption, alt = _caption(article, selection, image), image.alt or image.caption
    return Illustration(
        id=f"f-{selection.spot.id}",
        after=selection.spot.after,
        image_id=image.image_id,
        library=image.library,
        caption=caption,
        alt=alt,
        credit=image.credit,
        licence=image.licence,
        width=image.width,
        height=image.height,
    )


def _caption(article: Article, selection: Selection, image: Candidate) -> str:
    """The library's own caption, which knows what the picture shows.

    The spot's caption, which only hoped for it, takes its place where the library has none, or has one in another
    script than the article is read in - but never when similarity alone made the choice: then nobody has compared it
    with the image.
    """
    judged = selection.by != "similarity"
    if judged and not image.described:
        return selection.spot.caption
    if judged and _script(image.caption) != _script(article.title + " " + selection.spot.caption):
        return selection.spot.caption
    return image.caption


def _script(text: str) -> str:
    """The script that most of a text's letters are in, coarsely: enough to tell Chinese from English."""
    counts = {
        "han": len(re.findall(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]", text)),
        "cyrillic": len(re.findall(r"[\u0400-\u04ff]", text)),
        "arabic": len(re.findall(r"[\u0590-\u06ff]", text)),
        "latin": len(re.findall(r"[A-Za-z\u00c0-\u024f]", text)) // 2,  # a Latin word has more letters
    }
    return max(counts, key=lambda name: counts[name])
