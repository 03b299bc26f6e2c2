"""Show one image of a pair that is meant for light and dark pages: the light one, because exports are read on both.

GitHub hides an image by `#gh-dark-mode-only`, MkDocs Material by `#only-dark`, VuePress by `#dark`, Sphinx's themes by
the class `only-dark`, Tailwind by `hidden dark:block`, browsers by `<source media="(prefers-color-scheme: dark)">`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote
from xml.etree.ElementTree import Element

from limner.exports.safe import THEMES, Replacement, substitute

_THEME = re.compile(r"(?:gh-)?(?:only-)?(light|dark)(?:-mode)?(?:-only)?\Z", re.IGNORECASE)
_SCHEME = re.compile(r"prefers-color-scheme\s*:\s*(light|dark)", re.IGNORECASE)


def one_of_each_pair(root: Element) -> None:
    """Remove each image for dark pages that stands next to one for light pages, and its link.

    The light one gets the dark one's file as a candidate, the last one: it is shown if the light one is missing.
    """
    images = list(root.iter("img"))
    themes = [theme_of(image) for image in images]
    gone: set[Element] = set()
    used: set[int] = set()
    for n, theme in enumerate(themes):
        for other in (n - 1, n + 1) if theme == "dark" else ():
            if 0 <= other < len(images) and themes[other] == "light" and other not in used:
                used.add(other)
                gone.add(images[n])
                names = [images[other].get("srcset", ""), *_names(images[n])]
                images[other].set("srcset", ", ".join(filter(None, names)))
                break
    if gone:
        _remove(root, gone)


def theme_of(image: Element) -> str:
    """The pages that an image is for: "light", "dark", or "" for all."""
    _, sign, fragment = image.get("src", "").partition("#")
    if sign and (found := _THEME.match(fragment)):
        return found[1].lower()
    kinds = f"{image.get('class', '')} {image.get('classname', '')}".lower().split()
    return next((THEMES[kind] for kind in kinds if kind in THEMES), "")


def _names(image: Element) -> Iterator[str]:
    """An image's files as candidates of a `srcset`, in which a comma ends a name."""
    source = image.get("src", "")
    if source and not source.lower().startswith("data:"):
        yield quote(source, safe="/%#?=&:;+@~!$'()*")
    if candidates := image.get("srcset", ""):
        yield candidates


def _remove(root: Element, gone: set[Element]) -> None:
    """Remove images, and the links and paragraphs of which nothing is left."""

    parents = {child: parent for parent in root.iter() for child in parent}
    touched = set(gone)

    def removed(element: Element) -> Replacement | None:
        empty = element.tag in ("a", "figure", "p", "span") and not len(element) and not (element.text or "").strip()
        return ([], "") if element in gone or (empty and element in touched) else None

    level = gone
    for _ in range(3):
        level = {parents[element] for element in level if element in parents}
        for element in level:
            substitute(element, removed)
        touched |= level


def by_theme(sources: list[Element]) -> tuple[list[Element], list[Element], list[Element]]:
    """The `<source>`s of a `<picture>` for light pages, for any, for dark ones."""
    found = [_SCHEME.search(source.get("media", "")) for source in sources]
    kinds = [match[1].lower() if match else "" for match in found]
    light, some, dark = (
        [s for s, k in zip(sources, kinds, strict=True) if k == kind] for kind in ("light", "", "dark")
    )
    return light, some, dark
