"""Judge a small model's sentences: reject names, numbers, claims and phrases that an article cannot use."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_END = re.compile(r"(?<=[.!?])[\"”']?\s+(?=[\"“A-Z])")


_SHORT_FORMS = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|vs|etc|e\.g|i\.e|approx|no)\.$", re.IGNORECASE)


_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Words in lower case, without a possessive 's."""
    return [re.sub(r"['’]s$", "", word.lower()) for word in _WORD.findall(text)]


def sentences(text: str) -> list[str]:
    """Whole sentences, which end with a full stop, a question or an exclamation mark. The rest is dropped."""
    found: list[str] = []
    carry = ""
    for part in _END.split(" ".join(text.split())):
        carry = f"{carry} {part}".strip()
        if not _SHORT_FORMS.search(carry):
            found.append(carry)
            carry = ""
    return [s for s in found if re.search(r"[.!?][\"”']?$", s)]


# Words that begin sentences and are not names.
OPENERS = _set(
    """the a an this these those that it they he she we you in on at when where while as after before from to by with
    without for some most many much each every another other over during through because if once its their his
    her our there here both all one two such even today together since until although though however also but
    and or so then first next finally meanwhile instead still yet not no now later soon often sometimes usually
    only just like unlike despite besides beyond among between within around across along under above below near
    inside outside behind against people how what why who which whether nothing everything everyone someone
    something anyone anything nobody few several various more less long good great new old young small large big
    fresh different modern traditional natural local common simple start add mix use make take put place keep
    let try avoid choose check cover give bring begin wait pour stir bake cook cut turn leave remove wash dry
    follow remember think consider look find getting making using by being having taking finding understanding
    learning working instead thus therefore indeed additionally furthermore moreover consequently similarly
    likewise ultimately perhaps maybe especially particularly typically generally"""
)


_EVERYONE_KNOWS = _set("earth sun moon europe european asia asian africa african america american")


# Articles on history or travel need these, and even a small model gets them roughly right. In a biography it would
# guess: SmolLM2 calls Marie Curie a Canadian.
PLACES = _set(
    """africa african asia asian europe european america american mediterranean atlantic pacific indian ocean sea
    middle east west north south eastern western northern southern china chinese india persia persian iran rome
    roman romans greece greek greeks egypt egyptian egyptians arab arabs arabia byzantine ottoman mongol mongols
    turkey turkish japan japanese france french germany german italy italian spain spanish portugal portuguese
    england english britain british ireland irish scotland scottish netherlands dutch russia russian islam
    islamic muslim christian christianity buddhism buddhist"""
)


_COUNTS = _set(
    """three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million
    millions billion billions trillion dozen dozens percent century degrees one-third two-thirds one-quarter
    three-quarters one-half kilometers miles meters feet acres"""
)


# Words with which a small model invents a biography, a record or an authority.
_INVENTS = _set(
    """born birth mother father parents brother sister daughter son wife husband married childhood died death
    university named nicknamed founder founded invented discovered dedicated studied degree award prize largest
    oldest tallest longest smallest fastest emperor king queen researchers study studies according"""
)


_CHATTER = re.compile(
    r"\b(as an ai|language model|sure|certainly|of course|here(?:'s| is| are)|this (?:article|paragraph|essay|text)"
    r"|in conclusion|in summary|overall|to sum up|i(?:'m|'ve|'ll)?|my|me|let(?:'s| us)|we(?:'ll| will) (?:explore|look)"
    r"|the notes|dear|thank you|remember that you|click|website|photo|image|etc)\b",
    re.IGNORECASE,
)


# A phrase with which it invents a term: "the first step involves an enzyme called propolis".
_TERM = re.compile(
    r"\b(?:called|termed|dubbed|named|known as|referred to as|refers to) (?:an? |the |its? )?([\w'-]+ ?[\w'-]*)"
)


# Favourite words of models: allowed once per article.
_PETS = _set(
    """testament tapestry delicate intricate crucial vital vibrant fascinating remarkable incredible unique iconic
    enduring captivated captivating profound countless timeless rich woven journey legacy stunning"""
)


def flaw(sentence: str, known: frozenset[str], before: Sequence[str] = ()) -> str:
    """Why the article cannot use a sentence, to follow "The sentence ..."; "" if it can.

    known: lower-case words of the user's text, which are exempt from the rules about names, numbers and lives.
    """
    found = words(sentence)
    if not 6 <= len(found) <= 45:
        return "is too short" if len(found) < 6 else "is too long"
    return (
        _strange(sentence, found, known)
        or _names(sentence, known, before)
        or _claims(sentence, found, known)
        or _repeats(sentence, found, before)
    )


def _strange(sentence: str, found: Sequence[str], known: frozenset[str]) -> str:
    """Talk about the task, and invented words."""
    chatter = _CHATTER.search(sentence)
    if chatter:
        return f"speaks of itself or of the reader's request ('{chatter.group(0)}')"
    for word in found:
        if word not in known and (re.search(r"(.)\1\1|-.*-.*-|^[^aeiouy\d]{3,}$", word) or len(word) > 18):
            return f"has the word '{word}', which is none"
    return ""


def _names(sentence: str, known: frozenset[str], before: Sequence[str]) -> str:
    """Names that the user did not give; a small model invents most of those it adds."""
    seen = _WORD.findall(sentence)
    for n, word in enumerate(seen):
        low = re.sub(r"['’]s$", "", word).lower()
        if (
            word[0].isupper()
            and low not in known
            and low not in _EVERYONE_KNOWS
            and not (n == 0 and _opens(low, before))
        ):
            return f"names '{word}', which the brief does not"
    return ""


def _opens(word: str, before: Sequence[str]) -> bool:
    """Whether a sentence's first word, in lower case, need not be a name."""
    return (
        word in OPENERS
        or re.search(r"(?:ing|ly|ed|ers|ists|ions|ies)$", word) is not None
        or any(re.search(rf"[a-z,;] {re.escape(word)}\b", sentence) for sentence in before)
    )


def _claims(sentence: str, found: Sequence[str], known: frozenset[str]) -> str:
    """Numbers, records and events of a life that the user did not give."""
    for word in found:
        if word in known:
            continue
        if word in _COUNTS or any(c.isdigit() for c in word):
            return f"counts ('{word}') what the brief does not"
        if word in _INVENTS:
            return f"claims something ('{word}') that the brief does not"
    if re.search(r"\bthe first (?:man|woman|person|people|to|ever)\b", sentence):
        return "claims a first"
    named = _TERM.search(sentence)
    if named and not set(words(named[1])) & known:
        return f"claims the term '{named[1]}'"
    return ""


def _repeats(sentence: str, found: Sequence[str], before: Sequence[str]) -> str:
    """Repeated words, beginnings and phrases."""
    content = [w for w in found if len(w) > 3]
    if any(content.count(w) > 2 for w in content) or len(set(ngrams(found, 3))) < len(list(ngrams(found, 3))):
        return "repeats itself"
    others = [words(b) for b in before]
    alike = sum(found[:3] == other[:3] for other in others)
    if (others and found[:2] == others[-1][:2]) or alike > 1 or any(found[:4] == other[:4] for other in others):
        return "begins like an earlier one"
    earlier = {g for other in others for g in ngrams(other, 4)}
    if sum(g in earlier for g in ngrams(found, 4)) > 1:
        return "repeats an earlier one"
    everything = {w for other in others for w in other}
    pet = next((w for w in found if w in _PETS and w in everything), "")
    return f"uses '{pet}' again" if pet else ""


def ngrams(found: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words, in order."""
    return [tuple(found[k : k + n]) for k in range(len(found) - n + 1)]
