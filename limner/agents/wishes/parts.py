"""Cut a wish into its parts, and read by rules which edit each part is and what of the article it names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from limner.agents.dialects.commands import Do
from limner.agents.wishes import lexicon as words
from limner.agents.wishes.lexicon import Noun, Verb, fold

Where = Literal["", "before", "after"]
_QUOTED = re.compile(
    r"\"([^\"\n]{1,300})\"|“([^”\n]{1,300})”|‘([^’\n]{2,300})’|«([^»\n]{1,300})»|《([^》\n]{1,300})》|"
    r"「([^」\n]{1,300})」|„([^“”\n]{1,300})[“”]"
)
_MASK = "\u25a0"  # in place of quoted words, which name no edit
_BESIDE = 45  # characters before a noun that may hold its ordinal
_PICTURE_UNIT = re.compile(r"[一这那]\s*[张幅]")
_NEW = re.compile(r"\b(?:an?|another|unos?|una|otr[oa]|eine?n?)\b|[加写补放配]一|一[段张幅]")
_HAN_CUT = re.compile(  # what stands before is about another noun
    r"移[到至动]|放[到在至]|挪到?|换成|改成|[加插放配补写]入?(?:上)?一|[前后]面?|[把将]"
)
_HAN_PLACE = re.compile(r"[之]?[前后上下](?:面|边|方)|成(?= |$)")


@dataclass(frozen=True)
class Mention:
    """A part of the article that a wish names."""

    noun: Noun
    ordinals: tuple[int, ...]
    """1 is the first, -1 the last; empty without an ordinal."""
    start: int
    end: int
    """Characters of the folded part that hold the noun."""
    where: Where = ""
    """Whether something is to go before or after it; "" if it is what is to be changed."""
    about: str = ""
    """The words that describe it."""


@dataclass(frozen=True)
class Part:
    """One edit that a wish asks for, as far as rules can tell."""

    text: str
    verbs: frozenset[Verb]
    mentions: tuple[Mention, ...]
    quotes: tuple[str, ...]
    keeps: bool
    """Whether it only says what is not to be changed."""
    at: Where = ""
    """The beginning ("before") or the end ("after") of the article, if it names it as a place."""

    @property
    def main(self) -> Mention | None:
        """The part of the article to change."""
        named = [m for m in self.mentions if not m.where]
        for noun in ("caption", "title", "heading"):
            if found := next((m for m in named if m.noun == noun), None):
                return found
        return next((m for m in named if m.noun not in ("whole", "sentence")), None) or next(iter(named), None)

    def mention(self, noun: Noun) -> Mention | None:
        """The first one of this kind that is to be changed."""
        return next((m for m in self.mentions if m.noun == noun and not m.where), None)


def read_wish(wish: str) -> list[Part]:
    """The parts of a wish in their order, at least one."""
    pieces = _joined(_pieces(wish))
    parts: list[Part] = []
    for piece in pieces:
        part = read_part(piece)
        if parts and not part.keeps:
            part = _inheriting(part, parts[-1])
        parts.append(part)
    return parts


def read_part(text: str) -> Part:
    """Read one part, as far as rules can tell."""
    quotes = tuple(next(g for g in m.groups() if g) for m in _QUOTED.finditer(text))
    folded = fold(masked(text))
    verbs: frozenset[Verb] = frozenset(verb for verb, pattern in words.VERBS.items() if pattern.search(folded))
    at: Where = "after" if words.AT_END.search(folded) else "before" if words.AT_START.search(folded) else ""
    free = words.AT_START.sub(lambda m: " " * len(m[0]), words.AT_END.sub(lambda m: " " * len(m[0]), folded))
    return Part(text.strip(), verbs, _mentions(free), quotes, bool(words.KEEP.search(folded)), at)


def masked(text: str) -> str:
    """The text with the words in quotation marks covered, of the same length."""
    return _QUOTED.sub(lambda m: _MASK * len(m[0]), text)


def kind_of(part: Part) -> Do | None:
    """The edit that a part asks for, None if rules cannot tell."""
    verbs, main = _main_verbs(part), part.main
    noun = main.noun if main is not None else None
    if part.mention("sentence") and noun in ("sentence", "paragraph", "section") and verbs:
        return "rewrite" if not verbs & {"move", "merge", "translate"} and part.mention("paragraph") else None
    if len(verbs) != 1:
        return None
    (verb,) = verbs
    if verb == "set" and noun == "whole" and not part.quotes:
        return None
    return _KINDS.get(noun, {}).get(verb)


def concerns(part: Part) -> Literal["picture", "text", ""]:
    """Whether a part is about pictures or about text; "" if it names neither, or both."""
    nouns = {m.noun for m in part.mentions if not m.where}
    if not nouns or part.keeps or "whole" in nouns:
        return ""
    if nouns <= {"picture"} or part.mention("caption"):
        return "picture"
    return "" if "picture" in nouns else "text"


_TEXT: dict[Verb, Do] = {"shorten": "shorten", "expand": "expand", "rewrite": "rewrite", "translate": "translate"}
_PARAGRAPH: dict[Verb, Do] = {
    **_TEXT, "delete": "delete", "move": "move", "merge": "merge", "add": "write", "replace": "rewrite",
    "set": "rewrite",
}  # fmt: skip
_OF_LINES: tuple[Verb, ...] = ("shorten", "expand", "rewrite", "set", "replace", "translate", "add")
_KINDS: dict[Noun | None, dict[Verb, Do]] = {
    None: {**_TEXT, "add": "write"},
    "paragraph": _PARAGRAPH,
    "section": {**_TEXT, "delete": "delete"},
    "heading": {"shorten": "rewrite", "rewrite": "rewrite", "set": "rewrite", "replace": "rewrite",
                "translate": "translate", "delete": "delete"},
    "title": dict.fromkeys(_OF_LINES, "set_title"),
    "caption": dict.fromkeys(_OF_LINES, "describe_image"),
    "picture": {"delete": "remove_image", "replace": "change_image", "set": "change_image",
                "move": "move_image", "add": "add_image"},
    "whole": {"set": "set_title", "shorten": "shorten", "expand": "expand", "rewrite": "restyle_all",
              "translate": "translate_all"},
    "sentence": {},
}  # fmt: skip


def _main_verbs(part: Part) -> set[Verb]:
    """The verbs of a part without those that only help another."""
    verbs = set(part.verbs)
    if len(verbs) > 1:
        verbs.discard("set")
    if "translate" in verbs and "add" not in verbs:
        return {"translate"}
    if "replace" in verbs:
        return {"replace"}
    main = part.main
    new = main is not None and not main.ordinals and main.noun in ("picture", "paragraph")
    if "add" in verbs and new and _NEW.search(fold(part.text)):
        return {"add"}
    for strong in ("shorten", "expand", "rewrite"):
        if strong in verbs and verbs <= {"shorten", "expand", "rewrite", "add"} and not verbs > {"shorten", "expand"}:
            return {strong}
    return verbs


# --- parts -----------------------------------------------------------------------------------------------------------


def _pieces(wish: str) -> list[str]:
    """The wish cut where a new edit begins."""
    cover = masked(wish)
    pieces, start = [], 0
    for joint in words.JOINT.finditer(fold(cover)):
        left, right = fold(cover[start : joint.start()]), fold(cover[joint.end() :])
        if not left.strip() or not right.strip(" .!?。！？"):
            continue
        strong = bool(re.search(r"[;；。！!\n.?]", joint[0]))
        if strong or ((_acts(left) or words.KEEP.search(left)) and _begins(right)):
            pieces.append(wish[start : joint.start()])
            start = joint.end()
    return [p.strip(" ,，、") for p in (*pieces, wish[start:]) if p.strip(" ,，、.。!！")]


def _acts(text: str) -> bool:
    return any(pattern.search(text) for pattern in words.VERBS.values())


def _begins(right: str) -> bool:
    """Whether a new edit begins here: with a verb, with what is not to be changed, or with another part named."""
    right = re.sub(r"^\s*(?:please|also|then|too|bitte|auch|tambien|por favor|请|也|再|还)\s*", "", right)
    head = words.JOINT.split(right, maxsplit=1)[0]
    if words.KEEP.search(head):
        return True
    if re.match(r"[\u4e00-\u9fff]", right) or re.search(r"^[a-z ]{0,20}[\u4e00-\u9fff]", right):
        return _acts(head)
    if any((m := pattern.search(right)) and m.start() == 0 for pattern in words.VERBS.values()):
        return True
    if re.match(r"(?:make|mach\w*|haz|hazlo|put|give|change|cambia|pon)\b", right) and _acts(head):
        return True
    named = re.match(r"(?:the|an?|el|la|los|las|una?|otra|der|die|das|den|eine?n?)\s+(?:\S+\s+){0,3}?(?=\S)", right)
    return bool(named) and any(p.search(head[:40]) for n, p in words.NOUNS.items() if n not in ("whole", "sentence"))


def _joined(pieces: list[str]) -> list[str]:
    """The pieces, those that name nothing joined with the one before or after: "… is too long; shorten it"."""
    made: list[str] = []
    waiting = ""
    for piece in pieces:
        part = read_part(piece)
        empty = not part.mentions and not part.quotes and not part.keeps and not content(masked(piece))
        if empty and made and part.verbs <= read_part(made[-1]).verbs:
            made[-1] = f"{made[-1]}, {piece}"
        elif empty and made:
            made.append(piece)  # another edit of the same part: "… and translate it"
        elif empty:
            waiting = f"{waiting}{piece}, "
        else:
            made.append(waiting + piece)
            waiting = ""
    return [*made, *([waiting.rstrip(", ")] if waiting else [])] or pieces


def _inheriting(part: Part, before: Part) -> Part:
    """A part that leaves out the verb or the noun of the one before it."""
    if not part.verbs and part.mentions and part.main is not None and before.verbs and not before.keeps:
        return replace(part, verbs=before.verbs)
    if part.mentions or not part.verbs or before.main is None:
        return part
    if not content(masked(part.text)):
        return replace(part, mentions=(before.main,), quotes=part.quotes or before.quotes)
    if re.search(r"\b(?:one|una|uno|otra|otro|eins|eine[sn]?)\b|一[张幅段]", fold(part.text)):
        one = replace(before.main, ordinals=(), about=part.text, start=0, end=0)
        return replace(part, mentions=(one,))
    return part


# --- mentions --------------------------------------------------------------------------------------------------------


def _mentions(folded: str) -> tuple[Mention, ...]:
    """The parts of the article named in a folded text, in order."""
    spans: list[tuple[int, int, Noun]] = []
    for noun, pattern in words.NOUNS.items():
        for m in pattern.finditer(folded):
            if not any(a < m.end() and m.start() < b for a, b, _ in spans):
                spans.append((m.start(), m.end(), noun))
    if not any(noun == "picture" for *_, noun in spans) and (unit := _PICTURE_UNIT.search(folded)):
        spans.append((unit.start(), unit.end(), "picture"))
    spans.sort()
    for m in words.ONE.finditer(folded):
        if spans and spans[0][0] < m.start() and re.search(rf"{words.ORDINAL.pattern}\s+$", folded[: m.start()]):
            spans.append((m.start(), m.end(), spans[0][2]))
    spans.sort()
    return tuple(_mention(folded, spans, n) for n in range(len(spans)))


def _mention(folded: str, spans: list[tuple[int, int, Noun]], n: int) -> Mention:
    start, end, noun = spans[n]
    since = spans[n - 1][1] if n else 0
    until = spans[n + 1][0] if n + 1 < len(spans) else len(folded)
    before, after = folded[since:start], folded[end:until]
    where: Where = ""
    ahead = [m for p in (words.BEFORE, words.AFTER) for m in p.finditer(before)]
    if ahead:
        last = max(ahead, key=lambda m: m.start())
        where = "before" if words.BEFORE.fullmatch(last[0]) else "after"
        before = before[last.end() :]
    elif words.HAN_BEFORE.search(after):
        where = "before"
    elif words.HAN_AFTER.search(after):
        where = "after"
    if n + 1 < len(spans):  # what stands before the next preposition describes this one, what stands behind it the next
        cuts = [m.start() for p in (words.BEFORE, words.AFTER) for m in p.finditer(after)]
        cuts += [m.start() for m in re.finditer(r"移[到至动]|放[到在至]|挪|换成|改成", after)]
        after = after[: min(cuts)] if cuts else after
    if n and not ahead:  # in Chinese the words of a noun stand before it
        cuts = [m.end() for m in _HAN_CUT.finditer(before)]
        before = before[max(cuts) :] if cuts else before
    ordinals = _ordinals(before[-_BESIDE:], after[:12])
    if not ordinals:
        own = folded[start:end]
        ordinals = (1,) if words.FIRST.fullmatch(own) else (-1,) if words.LAST.fullmatch(own) else ()
    about = f"{before} {after}" if noun != "whole" else ""
    return Mention(noun, ordinals, start, end, where, about)


def _ordinals(before: str, after: str) -> tuple[int, ...]:
    found: list[tuple[int, int]] = []
    for m in words.ORDINAL.finditer(before):
        name = next(name for name, value in m.groupdict().items() if value)
        number = int(name[1:])
        found.append((m.start(), number if number < 90 else 90 - number))
    for m in words.HAN_ORDINAL.finditer(before):
        if m["n"]:
            number = words.HAN.get(m["n"]) or int(m["n"])
            found.append((m.start(), -number if m["back"] else number))
        else:
            found.append((m.start(), 1 if m["head"] else -1))
    if not found and (m := re.match(r"\s*(?:no\.?|number|nr\.?|nummer|número|numero)?\s*(\d{1,3})\b", after)):
        found.append((0, int(m[1])))
    return tuple(number for _, number in sorted(found) if number)


# --- the words that tell one part of the article from another ----------------------------------------------------


_OF_EDITING = (
    *words.VERBS.values(),
    *words.LANGUAGES.values(),
    _HAN_PLACE,
    *words.NOUNS.values(),
    words.ORDINAL,
    words.HAN_ORDINAL,
    words.AT_END,
    words.AT_START,
)


def content(text: str) -> list[str]:
    """The words of a text that name a subject: without verbs of editing, parts of an article and small words.

    Chinese gives pairs of neighbouring characters.
    """
    folded = fold(text)
    for pattern in _OF_EDITING:
        folded = pattern.sub(" ", folded)
    runs = re.findall(r"[a-zäöüßñ0-9]+", folded)
    found = [w for w in runs if w not in words.STOP and (len(w) > 1 or w.isdigit())]
    return found + han_pairs(words.HAN_STOP.sub(" ", folded))


def han_pairs(text: str) -> list[str]:
    """Pairs of neighbouring Chinese characters; a single character stands alone."""
    runs = re.findall(r"[\u4e00-\u9fff]+", text)
    return [run[n : n + 2] for run in runs for n in range(max(1, len(run) - 1))]
