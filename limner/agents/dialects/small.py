"""The dialect of language models under a billion parameters: each `ask_*` beside its `read_*`.

Such a model writes good plain sentences but loses track of an article. Asked for an outline, SmolLM2-135M repeats the
title five times; asked for a page, it loops; asked for facts, it invents names and years (bench/small.md). So the plan
comes from the brief (`plan`), the model writes one sentence at a time, and limner rejects a sentence with names that
the brief lacks, with numbers, repetition or talk about itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from limner.agents.dialects.sentences import OPENERS, PLACES, flaw, sentences, words
from limner.document import Brief, plain_text
from limner.errors import BadInput, UnreadableReply

MAX_SECTIONS = 6  # paragraphs after the introduction: 350 to 600 words at four or five sentences each
MAX_OUTLINE = 20  # sections of a user's own outline, which may have more than six
NOTES_CHARS = 1800  # characters of the user's material per question: about 450 of the 4096 tokens of a slot
MAX_NOTES = 600  # sentences of the user's material to consider; MiniLM encodes about 80 a second
SENTENCE_TOKENS = 64  # 45 words; a longer sentence rarely ends well


# --- the plan, read from the brief -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Section:
    """One part of the article: its heading ("" for the introduction) and its subject."""

    heading: str
    about: str
    must: tuple[str, ...] = ()
    """Words of the user that this section must mention."""


@dataclass(frozen=True)
class Plan:
    """The plan of the article, in order."""

    title: str
    topic: str
    """The title in the form for the middle of a sentence."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """Sentences of the user's own material, in order."""
    left_out: int = 0
    """Sentences of the material beyond those considered."""
    known: frozenset[str] = field(default=frozenset(), repr=False)
    """Lower-case words of the user's text, which the article may use for names, numbers and lives."""


# The sections of a short encyclopedia article of each kind. Headings do not contain the title, so that its grammar does
# not matter; the second half of each pair completes "Write a short paragraph about TITLE: ...".
_INTRO = Section("", "what it is and why it is worth knowing")
KINDS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "process": (
        "how something works or happens in nature or technology",
        (
            ("Where it begins", "where it begins and what is needed for it"),
            ("Step by step", "what happens, one step after the other"),
            ("A closer look", "the parts that take part in it and how they work together"),
            ("What comes of it", "what the result is like and what it is used for"),
            ("Why it matters", "why it matters for nature and for people"),
        ),
    ),
    "howto": (
        "instructions for making, cooking, building, growing or learning something",
        (
            ("What you need", "the materials and tools that you need"),
            ("Getting started", "how to prepare everything and begin"),
            ("The main work", "the most important steps and how to do them well"),
            ("Common mistakes", "mistakes of beginners and how to avoid them"),
            ("The finished result", "how to tell that it has turned out well, and how to enjoy it"),
        ),
    ),
    "history": (
        "the history of a people, an empire, a war, an invention or a custom",
        (
            ("How it began", "how it began and what made it possible"),
            ("The people behind it", "the kinds of people who took part and how they lived"),
            ("What it changed", "what it changed in trade, work and ideas"),
            ("Hard times", "the difficulties and dangers that people met"),
            ("What remains today", "what remains of it today and why it is remembered"),
        ),
    ),
    "place": (
        "a visit or journey to a city, a country, an island or a landscape",
        (
            ("First impressions", "what a visitor notices first"),
            ("What to see", "what there is to see and do on a visit"),
            ("Food and drink", "what people eat and drink there"),
            ("Getting around", "how to get around, on foot and otherwise"),
            ("When to go", "the seasons and the best time for a visit"),
        ),
    ),
    "person": (
        "the life and work of a scientist, an artist, a writer or a ruler",
        (
            ("The work", "the work and the ideas behind it"),
            ("A way of working", "patience, method and character in this work"),
            ("Obstacles", "the obstacles that had to be overcome"),
            ("Influence", "the influence on later generations"),
            ("Why we remember", "why people still remember this life"),
        ),
    ),
    "living": (
        "an animal, a bird, an insect, a tree or another plant",
        (
            ("Appearance", "what it looks like"),
            ("Where it lives", "the places where it lives"),
            ("Daily life", "how it feeds, rests and spends the day"),
            ("Through the seasons", "how it grows and raises its young over the year"),
            ("Living with people", "what it means to people, and how they protect it"),
        ),
    ),
    "nature": (
        "volcanoes, reefs, rivers, mountains, oceans, weather, planets, stars",
        (
            ("How it forms", "how it forms and what it is made of"),
            ("What we can see", "what it looks like from near and from far"),
            ("Life around it", "what lives there, or what it means for life on Earth"),
            ("Always changing", "how it changes over time"),
            ("Why it matters", "why it matters to people"),
        ),
    ),
    "thing": (
        "an idea, a material, a machine, a food, an art or a field of knowledge",
        (
            ("How it works", "how it works, in simple words"),
            ("Where we meet it", "where people meet it in everyday life"),
            ("Different kinds", "the different kinds of it and how they differ"),
            ("Skill and care", "the skill and care that go into it"),
            ("Why it matters", "why it matters to people"),
        ),
    ),
}
_KIND_WORDS = (
    ("howto", r"^(how to|making|baking|cooking|building|growing|learn|diy|recipe)\b|\b(recipe|tutorial|beginner'?s)\b"),
    ("process", r"^(how|why)\b|\b(formation|cycle)\b"),
    ("place", r"\b(weekend|days?|trip|visit|journey|travel|guide|hiking|walk)\b"),
    ("history", r"\b(history|war|empire|ancient|medieval|revolution|age of|dynasty|century|silk road)\b"),
    ("person", r"\b(life of|biography|life and work)\b"),
)


def kind_by_words(title: str) -> str:
    """The kind of article that the title's words imply, "" if none."""
    return next((kind for kind, words in _KIND_WORDS if re.search(words, title, re.IGNORECASE)), "")


_BULLET = re.compile(r"^\s*(?:[-*+•–]|#{1,6}|\(?\d{1,2}[.)]|[IVX]{1,4}[.)])\s+(?P<text>\S.*)$")


def plan(brief: Brief, kind: str = "", title: str = "") -> Plan:
    """The article's plan: the user's outline or keywords if the brief has them, else the sections of its kind.

    kind: a key of KINDS, for a brief without an outline; "" means "thing". title: for a brief without one.
    """
    lines = [line.strip() for line in brief.text.splitlines() if line.strip()]
    outline = _outline(lines)
    keywords = () if outline else _keywords(lines)
    title = title or own_title(brief) or " ".join(_flat(brief.text).split()[:8]).rstrip(",;:") or "Untitled"
    if outline:
        sections = tuple(Section(heading, _inside(heading), (heading,)) for heading in outline[:MAX_OUTLINE])
    elif keywords:
        sections = tuple(
            Section(_capital(_and(group)), _inside(_and(group)), tuple(group)) for group in _groups(keywords)
        )
    else:
        sections = tuple(Section(heading, about) for heading, about in KINDS[kind or "thing"][1])
    material = [] if outline or keywords or (len(lines) == 1 and own_title(brief)) else [brief.text]
    material += [source.text for source in brief.sources] + [f"{r.caption}." for r in brief.references if r.caption]
    notes = tuple(sentence for text in material for sentence in sentences(plain_text(text)))
    known_text = " ".join([brief.text, title, *(s.text for s in brief.sources), *(r.caption for r in brief.references)])
    known = frozenset(words(known_text)) | (PLACES if kind in ("history", "place") else frozenset())
    distinct = tuple(s for s in sections if _key(s.heading) != _key(title)) or sections
    return Plan(title, _inside(title), (_INTRO, *_unique(distinct)), notes[:MAX_NOTES], len(notes[MAX_NOTES:]), known)


def own_title(brief: Brief) -> str:
    """The brief's own title: its only line or the line above its outline, if short; else ""."""
    lines = [line.strip() for line in brief.text.splitlines() if line.strip()]
    heads = [line for line in lines[:1] if line.startswith("# ") or not _BULLET.match(line)]
    head = _flat(heads[0]).rstrip(" :") if heads else ""
    head = re.sub(r"^(title|topic|brief)\s*:\s*", "", head, flags=re.IGNORECASE)
    if _keywords(lines):
        return _capital(_and(_keywords(lines)[:3]))
    if _outline(lines) and not heads:
        return _capital(_and(_outline(lines)[:3]))
    alone = len(lines) == 1 or bool(_outline(lines))
    prose = head.endswith(".") or len(sentences(head)) > 1
    return _capital(head) if head and alone and not prose and len(head) <= 90 else ""


def _outline(lines: Sequence[str]) -> list[str]:
    """The headings of an outline: at least two lines that start like a list item or a heading."""
    found = [
        m["text"] for n, line in enumerate(lines) if (m := _BULLET.match(line)) and not (n == 0 and line[0] == "#")
    ]
    texts = [_capital(_flat(text).rstrip(" .:")[:90]) for text in found]
    return [text for text in texts if text] if len(found) > 1 else []


def _keywords(lines: Sequence[str]) -> list[str]:
    """Keywords: one line with at least three short parts between commas or semicolons, and no sentence."""
    text = re.sub(r"^\s*(key ?words?|topics?)\s*:\s*", "", " ".join(lines), flags=re.IGNORECASE)
    parts = [_flat(p) for p in re.split(r"[,;|]", text.rstrip("."))]
    parts = [re.sub(r"^and ", "", p) for p in parts if p]
    short = all(len(p.split()) <= 4 for p in parts)
    return list(dict.fromkeys(parts)) if len(parts) >= 3 and short and len(lines) == 1 else []


def _flat(text: str) -> str:
    """A user's Markdown as one line of text; HTML blocks contribute their text content."""
    return " ".join((plain_text(text) or plain_text(re.sub(r"<[^>]*>?", " ", text))).split())


def _groups(keywords: Sequence[str]) -> list[Sequence[str]]:
    """The keywords in order, grouped into at most MAX_SECTIONS sections, as few per section as possible."""
    size = -(-len(keywords) // MAX_SECTIONS)
    return [keywords[n : n + size] for n in range(0, len(keywords), size)]


def _unique(sections: Iterable[Section]) -> tuple[Section, ...]:
    return tuple({_key(s.heading): s for s in reversed(list(sections))}.values())[::-1]


def _key(heading: str) -> str:
    return " ".join(words(heading))


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _inside(title: str) -> str:
    """A title in the form for the middle of a sentence: "The silk road" -> "the silk road", "Marie Curie" as it is."""
    first, _, rest = title.partition(" ")
    plain = first.lower() in OPENERS and rest and not rest[:1].isupper()
    return f"{first.lower()} {rest}" if plain else title


# --- English, and what is not ----------------------------------------------------------------------------------------

# The commonest words that occur in only one of these languages; a title of four words is enough to decide.
_COMMON = {
    "en": "the and of to in is for with how why what from are by on an it its as at history life",
    "de": "der die das und ist nicht ein eine mit von zu den dem wie für auf im aus wird geschichte warum über leben",
    "fr": "le la les et est des une un dans pour que qui du au aux comment pourquoi sur avec histoire vie",
    "es": "el la los las es una un en para que del por como cómo qué con historia sobre vida",
    "it": "il lo la gli è una un di per che del della come perché con storia sulla vita",
    "pt": "os as é uma um em para que do da dos por como com história sobre vida",
    "nl": "de het een en is van niet met voor hoe waarom op uit wordt geschiedenis over leven",
}
_COMMON_SETS = {language: frozenset(text.split()) for language, text in _COMMON.items()}


def share_of(text: str, language: str) -> float:
    """Share of a text's words among the commonest of a language (a key of the table), 0 to 1."""
    found = words(text)
    return sum(word in _COMMON_SETS[language] for word in found) / max(1, len(found))


def looks_english(text: str) -> bool:
    """Whether a text may be English: its letters are Latin and its common words not foreign."""
    letters = [c for c in text if c.isalpha()]
    if sum(c < "\u0250" for c in letters) < 0.8 * len(letters):
        return False
    english = share_of(text, "en")
    return english >= max(share_of(text, language) for language in _COMMON_SETS if language != "en")


def require_english(brief: Brief) -> None:
    """Raises BadInput if the article or the brief is not in English, or if the brief is empty."""
    if not any(c.isalnum() for c in brief.text):
        raise BadInput(
            'The brief is empty: say what the article is about, e.g. `limner compose "How bees make honey"`.'
        )
    code = (brief.language or "en").lower().replace("_", "-").split("-")[0]
    if code == "en" and (brief.language or looks_english(plain_text(brief.text))):
        return
    which = f"in '{brief.language}'" if brief.language else "in the language of this brief"
    raise BadInput(
        f"The small model cannot write {which}, only English: set LIMNER_MODEL_URL or --model-url to a larger model, "
        "or add --language en."
    )


# --- one sentence ----------------------------------------------------------------------------------------------------


def ask_sentence(
    plan: Plan, section: Section, notes: Sequence[str], so_far: str, opener: str = ""
) -> list[BaseMessage]:
    """Ask for the section's next sentence, as the continuation of an answer.

    notes: related sentences of the user's material. so_far: the section's text, "" at its beginning. opener: the first
    words; "" leaves them to the model.
    """
    begun = f"{so_far} {opener}".strip()
    messages: list[BaseMessage] = [HumanMessage(_question(plan, section, notes))]
    return [*messages, AIMessage(begun)] if begun else messages


def ask_paragraph(plan: Plan, section: Section, notes: Sequence[str]) -> list[BaseMessage]:
    """Ask for the section's paragraph in one answer, for servers that cannot continue an answer."""
    return [HumanMessage(_question(plan, section, notes) + " Answer with the paragraph alone.")]


def _question(plan: Plan, section: Section, notes: Sequence[str]) -> str:
    about = "" if section.about.lower() == plan.topic.lower() else f": {section.about}"
    task = f"Write a short paragraph about {plan.topic}{about}."
    if not notes:
        return task
    material = " ".join(notes)[:NOTES_CHARS]
    return f"Notes: {material}\n\n{task} Use the facts from the notes."


# Openers for places where the model otherwise only names or repeats things.
OPENERS_OFFERED = (
    "Over time,",
    "For many people,",
    "At the same time,",
    "In everyday life,",
    "Some of the",
    "As a result,",
    "People often",
    "In this way,",
    "One of the",
    "In many places,",
    "Many people",
    "Little by little,",
)

# GBNF of one sentence: it ends at its full stop and excludes quotations, brackets, lists and Markdown. It allows names
# and numbers, which the reader rejects; if they were forbidden here, the model would spell something else ("takes at
# least uteilor" for "takes at least 12 hours").
_PLAIN = r"""[^\x00-\x1f.!?:"“”()*#`_|{}<>\[\]\\]"""
SENTENCE_GRAMMAR = f"""root ::= " "? [A-Z] {_PLAIN}* "."\n"""
REST_GRAMMAR = f"""root ::= " " {_PLAIN}+ "."\n"""


def read_sentence(reply: str, plan: Plan, before: Sequence[str], opener: str = "") -> str:
    """Read the reply's first sentence. Raises UnreadableReply, with the reason, if the article cannot use it.

    before: all sentences of the article so far, in order. opener: the words that the reply continues.
    """
    found = sentences(f"{opener} {reply.strip()}".strip())
    if not found:
        raise UnreadableReply("That is no whole sentence. Write one plain sentence.")
    sentence = found[0]
    reason = flaw(sentence, plan.known, before)
    if reason:
        raise UnreadableReply(f"The sentence {reason}. Write another one.")
    return sentence


def read_paragraph(reply: str, plan: Plan, before: Sequence[str]) -> list[str]:
    """Read the usable sentences of the reply. Raises UnreadableReply if there are none."""
    kept: list[str] = []
    for sentence in sentences(plain_text(reply)):
        if not flaw(sentence, plan.known, [*before, *kept]):
            kept.append(sentence)
    if not kept:
        raise UnreadableReply("No sentence of that can be used. Write plain sentences about the subject.")
    return kept


# --- a title for a brief that has none -------------------------------------------------------------------------------


def ask_title(brief: Brief) -> list[BaseMessage]:
    """Ask for a title for free text."""
    text = " ".join(plain_text(brief.text).split())[:NOTES_CHARS]
    return [HumanMessage(f"{text}\n\nGive this text a short title of three to six words.")]


TITLE_GRAMMAR = """root ::= [A-Z] [a-z]* (" " [A-Za-z] [a-z'-]*){1,7} "\\n"?"""


def read_title(reply: str, plan: Plan) -> str:
    """Read the title. Raises UnreadableReply if it uses words that the user's text lacks."""
    title = " ".join(plain_text(reply.strip().splitlines()[0] if reply.strip() else "").split()).strip(" \"'.:*")
    title = re.sub(r"^title\s*:\s*", "", title, flags=re.IGNORECASE)
    content = [w for w in words(title) if w not in OPENERS and w not in _COMMON_SETS["en"]]
    if not content or not 2 <= len(title.split()) <= 9:
        raise UnreadableReply("That is no title of two to nine words. Answer with the title alone.")
    strange = next((w for w in content if w not in plan.known), "")
    if strange:
        raise UnreadableReply(f"The text does not speak of '{strange}'. Take the title from its own words.")
    return _capital(title)
