"""Set ids of headings, and resolve links: to a `#heading` in the page or to an address, nothing else."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from limner.exports.safe import Replacement, substitute

_HEADINGS = {f"h{n}" for n in range(1, 7)}
_TAKEN = re.compile(r"credits|figure-\d+|fn\d.*|fnref\d.*")
"""Ids that pages use for figures, credits and footnotes."""


def give_ids(root: Element) -> dict[str, str]:
    """Give each heading an id; returns target -> id for everything that a link in the text can point at.

    The draft's own ids are kept. Others follow GitHub's rule; aliases in the spelling of pandoc, Python-Markdown and
    GitLab lead to the same headings.
    """
    targets: dict[str, str] = {}
    taken = {"credits"}
    for element in root.iter():
        given = element.attrib.pop("id", "") or re.sub(r"\s+", "-", element.get("name", "").strip())
        if not given:
            continue
        footnote = element.tag in ("a", "li") and given.startswith("fn")
        name = f"text-{given}" if _TAKEN.fullmatch(given) and not footnote else given
        if name not in taken:
            element.set("id", name)
            taken.add(name)
            targets.setdefault(given, name)
    headings = [e for e in root.iter() if e.tag in _HEADINGS]
    counts: dict[str, int] = {}
    for heading in headings:
        words = "".join(heading.itertext())
        slug = anchor(words) or "section"
        if "id" not in heading.attrib:
            heading.set("id", _free(f"text-{slug}" if _TAKEN.fullmatch(slug) else slug, taken, counts))
        for alias in (slug, *_aliases(words)):
            targets.setdefault(alias, heading.attrib["id"])
            targets.setdefault(alias.lower(), heading.attrib["id"])
    return targets


def _free(name: str, taken: set[str], counts: dict[str, int]) -> str:
    """A name that is not taken. counts: the last number given to each name."""
    free = f"{name}-{counts[name]}" if name in counts else name
    while free in taken:
        counts[name] = counts.get(name, 0) + 1
        free = f"{name}-{counts[name]}"
    taken.add(free)
    return free


def anchor(words: str) -> str:
    """The id that GitHub gives a heading: lower case, letters, digits, `-` and `_`, a hyphen for each space."""
    kept = (c for c in words.strip().lower() if c in "-_ " or unicodedata.category(c)[0] in "LNM")
    return "".join(kept).replace(" ", "-")


def _aliases(words: str) -> tuple[str, ...]:
    plain = words.strip()
    pandoc = "".join(c for c in plain.lower() if c.isalnum() or c in "-_. \t\n")
    pandoc = re.sub(r"\A[\d\W_]+", "", re.sub(r"\s+", "-", pandoc.strip()))
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode().lower()
    python = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip())
    return tuple(alias for alias in (pandoc, python, re.sub("-{2,}", "-", anchor(words)), plain) if alias)


def resolve(root: Element, targets: dict[str, str]) -> list[str]:
    """Resolve every link; one without a target becomes plain text. Returns the missing targets in order."""
    lost: list[str] = []

    def resolved(link: Element) -> Replacement | None:
        if link.tag != "a":
            return None
        href = link.attrib.pop("href", "").strip()
        link.attrib.pop("name", None)
        if "class" in link.attrib:  # back from a footnote
            link.set("href", href)
            return None
        if target := _target(href, targets):
            link.set("href", target)
            if not target.startswith("#"):
                link.set("rel", "noopener noreferrer nofollow")
            return None
        if href:
            lost.append(href)
        if link.get("id"):  # its own id stays
            link.tag = "span"
            return None
        return list(link), link.text or ""

    for parent in list(root.iter()):
        substitute(parent, resolved)
    return lost


def _target(href: str, targets: dict[str, str]) -> str:
    if href.startswith("//"):
        return f"https:{href}"
    if re.match(r"(?:https?|mailto|tel):", href, re.IGNORECASE):
        return href
    if not href.startswith("#"):
        return ""
    name = unquote(href[1:])
    if _TAKEN.fullmatch(name) and name.startswith("fn"):
        return href
    found = targets.get(name) or targets.get(name.lower()) or targets.get(anchor(name))
    return f"#{found}" if found else ""
