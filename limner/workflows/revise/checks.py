"""Check a text that a model wrote against what was asked: shorter is shorter, a translation is in its language.

Each function returns "" or what is wrong, in words for the model that is asked again and for the person.
"""

from __future__ import annotations

import re
from collections import Counter

from limner.agents.dialects.commands import Command
from limner.agents.dialects.revise import LANGUAGE_NAMES
from limner.document import Article, Heading, Paragraph, Verbatim, read_markdown
from limner.text import count_words, split_words
from limner.tools.language import UNKNOWN, language_of
from limner.tools.shorten import sentences

LEAST = 0.1  # share of a paragraph's words below which hardly anything of it is left
MOST = 4  # times the words of a paragraph that other words for it may take
LONG_SENTENCE = 12  # words; shorter ones may come twice
ALIKE = 0.9  # share of the words that makes two paragraphs one
_ENDED = re.compile(r"[.!?。！？…:：][\"'”’»」』)\]*_]*\s*\Z")
_SCRIPTS = {
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ja": re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "uk": re.compile(r"[\u0400-\u04ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
}
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
Block = Heading | Paragraph | Verbatim


def fault(command: Command, old: Block | None, new: str, article: Article) -> str:
    """What is wrong with the text of a command. old: the block that it replaces, None for a new paragraph."""
    plain = _plain(new)
    if not plain:
        return "That is empty. Answer with the text alone."
    if old is not None and plain == old.plain:
        return "That is the old text. Answer with a new one."
    wanted = command.text if command.do == "translate" else spoken(article, old)
    return (
        other_language(plain, wanted)
        or _size(command, old, new)
        or _repeated(plain, old.plain if old is not None else "")
        or _another(new, old, article)
        or ("That breaks off. End with a whole sentence." if old is None or _ended(old.plain) else "")
        * (not _ended(plain))
    )


def spoken(article: Article, old: Block | None) -> str:
    """The language in which a block's new words should be: that of the old ones, else the article's; "" if unknown."""
    found = language_of([old.plain]).code if old is not None else UNKNOWN
    if found == UNKNOWN:
        found = article.language or language_of([p.plain for p in article.paragraphs]).code
    return "" if found == UNKNOWN else found


def other_language(text: str, code: str) -> str:
    """Whether a text is in another language than asked; of short ones the script alone counts."""
    wanted = code.partition("-")[0].lower()
    if not wanted:
        return ""
    name = LANGUAGE_NAMES.get(wanted, wanted)
    letters = sum(c.isalpha() for c in text)
    script = _SCRIPTS.get(wanted)
    own = (
        len(script.findall(text))
        if script
        else sum(c.isascii() or "\u00c0" <= c <= "\u024f" for c in text if c.isalpha())
    )
    if letters and own < letters / 2:
        return f"That is not in {name}. Answer in {name}."
    found = language_of([text]).code
    if found in (UNKNOWN, wanted) or letters < 40:
        return ""
    return f"That is not in {name}. Answer in {name}."


def _size(command: Command, old: Block | None, new: str) -> str:
    if old is None:
        return ""
    before, after = count_words(old.plain), count_words(_plain(new))
    blocks = len([b for b in read_markdown("\n" + new).body if not isinstance(b, Verbatim)])
    match command.do:
        case "shorten":
            if after >= before:
                return f"That has {after} words, and the old text {before}. Answer with a shorter one."
            if after < LEAST * before:
                return "That says hardly anything. Keep what matters most."
            if blocks > 1:
                return "Answer with one paragraph."
        case "expand":
            if after <= before:
                return f"That has {after} words, and the old text {before}. Answer with a longer one."
        case "rewrite":
            if after > MOST * before + 30:
                return f"That has {after} words, and the old text {before}. Answer with about as many."
    return ""


def _repeated(plain: str, old: str) -> str:
    counts = Counter(" ".join(split_words(s)) for s in sentences(plain))
    known = Counter(" ".join(split_words(s)) for s in sentences(old))
    again = [s for s, n in counts.items() if n > max(1, known[s]) and len(s.split()) >= LONG_SENTENCE]
    many = [s for s, n in counts.items() if n > 2 + known[s] and s]
    return "That says the same sentence again and again. Say each thing once." if again or many else ""


def _another(new: str, old: Block | None, article: Article) -> str:
    """Whether the new text, or a paragraph of it, is that of another block."""
    others = [set(split_words(b.plain)) for b in article.paragraphs if old is None or b.id != old.id]
    for words in (set(split_words(text)) for text in (_plain(new), *_paragraphs(new))):
        if any(len(words & theirs) >= ALIKE * max(len(words), len(theirs)) for theirs in others):
            asked = "the new text of this one" if old is not None else "a new paragraph alone"
            return f"That is another paragraph of the article. Answer with {asked}."
    return ""


def _ended(text: str) -> bool:
    return bool(_ENDED.search(text))


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text that are long enough to be compared."""
    return [p.plain for p in read_markdown("\n" + text).paragraphs if len(split_words(p.plain)) >= LONG_SENTENCE]


def _plain(text: str) -> str:
    return " ".join(b.plain for b in read_markdown("\n" + text).body if not isinstance(b, Verbatim))
