"""Put the arranged images into the article, each with its caption, alternative text and credit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from limner.document import Article, Candidate, Illustration, Selection


def illustrated(
    article: Article, selections: Sequence[Selection], kept: Mapping[str, Candidate], why: Mapping[str, str]
) -> Article:
    """The article with the kept images and the record of every choice.

    kept: images by spot id. why: reasons by spot id, one line each.
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


RECORDED = 10  # candidates in the record, for people to look through; arrange compared many more


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
        machine_made=_machine_made(image, caption, alt),
    )


def _machine_made(image: Candidate, caption: str, alt: str) -> tuple[Literal["caption", "alt"], ...]:
    """The words of the illustration that a model wrote for the library, unlike those that it wrote for the article."""
    of_caption = "caption" in image.machine_made and caption == image.caption
    of_alt = ("alt" if image.alt else "caption") in image.machine_made and bool(alt)
    return (*(("caption",) if of_caption else ()), *(("alt",) if of_alt else ()))


def _caption(article: Article, selection: Selection, image: Candidate) -> str:
    """The caption of an illustration: the library's own, which describes the image itself.

    The spot's caption, which only describes the wanted image, replaces it if the library has none, or has one in
    another script than the article's. It never does if similarity alone made the choice, because then nobody compared
    it with the image.
    """
    judged = selection.by != "similarity"
    if judged and not image.described:
        return selection.spot.caption
    if judged and _script(image.caption) != _script(article.title + " " + selection.spot.caption):
        return selection.spot.caption
    return image.caption


def _script(text: str) -> str:
    """The main script of a text's letters, coarsely: enough to tell Chinese from English."""
    counts = {
        "han": len(re.findall(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]", text)),
        "cyrillic": len(re.findall(r"[\u0400-\u04ff]", text)),
        "arabic": len(re.findall(r"[\u0590-\u06ff]", text)),
        "latin": len(re.findall(r"[A-Za-z\u00c0-\u024f]", text)) // 2,  # Latin words have more letters
    }
    return max(counts, key=lambda name: counts[name])
