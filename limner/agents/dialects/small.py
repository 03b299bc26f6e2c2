"""The dialect of language models under a billion parameters: each `ask_*` beside its `read_*`.

Such a model writes good plain sentences and cannot keep hold of an article. Asked for an outline, SmolLM2-135M names
the title five times; asked for a page, it goes round in circles; asked for facts, it invents names and years
(bench/small.md). So the plan comes from the brief (`plan`), the model is asked for one sentence at a time, and a
sentence that names what the brief does not name, counts, repeats or talks about itself is not read as an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from limner.document import Brief, plain_text
from limner.errors import BadInput, UnreadableReply

MAX_SECTIONS = 6  # paragraphs after the introduction: 350 to 600 words at four or five sentences each
MAX_OUTLINE = 20  # sections of a user's own outline, which are not ours to cut at six
NOTES_CHARS = 1800  # of the user's material per question: about 450 of the 4096 tokens of a slot
MAX_NOTES = 600  # sentences of the user's material that are considered: MiniLM encodes about 80 a second
SENTENCE_TOKENS = 64  # 45 words; what has not ended by then rarely ends well


# --- the plan, read from the brief -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Section:
    """One part of the article: its heading ("" for the introduction), and what it shall say."""

    heading: str
    about: str
    must: tuple[str, ...] = ()
    """Words of the user's that the text of this section must touch."""


@dataclass(frozen=True)
class Plan:
    """What will be written, in order."""

    title: str
    topic: str
    """The title as it reads in the middle of a sentence."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """Sentences of the user's own material, in order."""
    left_out: int = 0
    """How many more sentences of it there were."""
    known: frozenset[str] = field(default=frozenset(), repr=False)
    """Words, lower case, that the user's text contains: what the article may name, count and tell of."""


# What a short encyclopedia article of each kind covers. The headings stand for themselves, so that no grammar has to
# be guessed from a title; the second half of each pair completes "Write a short paragraph about TITLE: ...".
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
    """The kind of article that the title's words ask for, "" if they do not tell."""
    return next((kind for kind, words in _KIND_WORDS if re.search(words, title, re.IGNORECASE)), "")


_BULLET = re.compile(r"^\s*(?:[-*+•–]|#{1,6}|\(?\d{1,2}[.)]|[IVX]{1,4}[.)])\s+(?P<text>\S.*)$")


def plan(brief: Brief, kind: str = "", title: str = "") -> Plan:
    """The article's plan: the user's own outline or keywords where the brief has them, else what its kind covers.

    kind: a key of KINDS, for a brief without an outline; "" takes "thing". title: for a brief that has none.
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
    said = " ".join([brief.text, title, *(s.text for s in brief.sources), *(r.caption for r in brief.references)])
    known = frozenset(words(said)) | (PLACES if kind in ("history", "place") else frozenset())
    distinct = tuple(s for s in sections if _key(s.heading) != _key(title)) or sections
    return Plan(title, _inside(title), (_INTRO, *_unique(distinct)), notes[:MAX_NOTES], len(notes[MAX_NOTES:]), known)


def own_title(brief: Brief) -> str:
    """The title that the brief itself gives: its only line or the line above its outline, if short; else ""."""
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
    """The headings of an outline: at least two lines that start as a list or a heading does."""
    found = [
        m["text"] for n, line in enumerate(lines) if (m := _BULLET.match(line)) and not (n == 0 and line[0] == "#")
    ]
    texts = [_capital(_flat(text).rstrip(" .:")[:90]) for text in found]
    return [text for text in texts if text] if len(found) > 1 else []


def _keywords(lines: Sequence[str]) -> list[str]:
    """Keywords: one line of at least three short parts between commas or semicolons, and no sentence."""
    text = re.sub(r"^\s*(key ?words?|topics?)\s*:\s*", "", " ".join(lines), flags=re.IGNORECASE)
    parts = [_flat(p) for p in re.split(r"[,;|]", text.rstrip("."))]
    parts = [re.sub(r"^and ", "", p) for p in parts if p]
    short = all(len(p.split()) <= 4 for p in parts)
    return list(dict.fromkeys(parts)) if len(parts) >= 3 and short and len(lines) == 1 else []


def _flat(text: str) -> str:
    """A user's Markdown as one line of text; of a block of HTML, which has no running text, what stands in it."""
    return " ".join((plain_text(text) or plain_text(re.sub(r"<[^>]*>?", " ", text))).split())


def _groups(keywords: Sequence[str]) -> list[Sequence[str]]:
    """The keywords in order, in as few per section as gives MAX_SECTIONS sections at most."""
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
    """A title as it reads within a sentence: "The silk road" -> "the silk road", "Marie Curie" as it is."""
    first, _, rest = title.partition(" ")
    plain = first.lower() in OPENERS and rest and not rest[:1].isupper()
    return f"{first.lower()} {rest}" if plain else title


# --- English, and what is not ----------------------------------------------------------------------------------------

# The commonest words that only one of these languages has, so that a title of four words is enough to tell.
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
    """Share of a text's words that are among the commonest of a language (a key of the table), 0 to 1."""
    found = words(text)
    return sum(word in _COMMON_SETS[language] for word in found) / max(1, len(found))


def looks_english(text: str) -> bool:
    """Whether a text is not evidently in another language: its letters are Latin, its common words not foreign."""
    letters = [c for c in text if c.isalpha()]
    if sum(c < "\u0250" for c in letters) < 0.8 * len(letters):
        return False
    english = share_of(text, "en")
    return english >= max(share_of(text, language) for language in _COMMON_SETS if language != "en")


def require_english(brief: Brief) -> None:
    """Raises BadInput if the article shall be, or the brief is, in another language than English, or says nothing."""
    if not any(c.isalnum() for c in brief.text):
        raise BadInput(
            'The brief is empty: say what the article is about, e.g. `limner compose "How bees make honey"`.'
        )
    asked = (brief.language or "en").lower().replace("_", "-").split("-")[0]
    if asked == "en" and (brief.language or looks_english(plain_text(brief.text))):
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
    """The section's next sentence, as the continuation of an answer that the model has begun.

    notes: sentences of the user's material that bear on it. so_far: the section's text, "" at its beginning.
    opener: words that the sentence shall begin with, "" leaves them to the model.
    """
    begun = f"{so_far} {opener}".strip()
    messages: list[BaseMessage] = [HumanMessage(_question(plan, section, notes))]
    return [*messages, AIMessage(begun)] if begun else messages


def ask_paragraph(plan: Plan, section: Section, notes: Sequence[str]) -> list[BaseMessage]:
    """The section's paragraph in one answer, for servers that do not continue a begun one."""
    return [HumanMessage(_question(plan, section, notes) + " Answer with the paragraph alone.")]


def _question(plan: Plan, section: Section, notes: Sequence[str]) -> str:
    about = "" if section.about.lower() == plan.topic.lower() else f": {section.about}"
    task = f"Write a short paragraph about {plan.topic}{about}."
    if not notes:
        return task
    material = " ".join(notes)[:NOTES_CHARS]
    return f"Notes: {material}\n\n{task} Use the facts from the notes."


# Ways on from a place where the model, left to itself, only names or repeats things.
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

# GBNF of one sentence: it ends at its full stop, and quotations, brackets, lists and Markdown cannot come out of it.
# Names and numbers can, and are turned down when read: forbidden here, the model would spell something else in
# their place ("takes at least uteilor" for "takes at least 12 hours").
_PLAIN = r"""[^\x00-\x1f.!?:"“”()*#`_|{}<>\[\]\\]"""
SENTENCE_GRAMMAR = f"""root ::= " "? [A-Z] {_PLAIN}* "."\n"""
REST_GRAMMAR = f"""root ::= " " {_PLAIN}+ "."\n"""


def read_sentence(reply: str, plan: Plan, before: Sequence[str], opener: str = "") -> str:
    """The reply's first sentence, if the article can use it. Raises UnreadableReply with the reason if not.

    before: all sentences of the article so far, the latest last. opener: what the reply goes on from.
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
    """The sentences of the reply that the article can use. Raises UnreadableReply if there are none."""
    kept: list[str] = []
    for sentence in sentences(plain_text(reply)):
        if not flaw(sentence, plan.known, [*before, *kept]):
            kept.append(sentence)
    if not kept:
        raise UnreadableReply("No sentence of that can be used. Write plain sentences about the subject.")
    return kept


# --- what makes a sentence unusable ----------------------------------------------------------------------------------


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_END = re.compile(r"(?<=[.!?])[\"”']?\s+(?=[\"“A-Z])")
_SHORT_FORMS = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|vs|etc|e\.g|i\.e|approx|no)\.$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Words in lower case, a possessive 's taken off."""
    return [re.sub(r"['’]s$", "", word.lower()) for word in _WORD.findall(text)]


def sentences(text: str) -> list[str]:
    """Whole sentences: what ends with a full stop, a question or an exclamation mark. The rest is left out."""
    found: list[str] = []
    carry = ""
    for part in _END.split(" ".join(text.split())):
        carry = f"{carry} {part}".strip()
        if not _SHORT_FORMS.search(carry):
            found.append(carry)
            carry = ""
    return [s for s in found if re.search(r"[.!?][\"”']?$", s)]


# Words that begin sentences without being names.
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
# What an article on history or travel can hardly do without, and even a small model gets roughly right. In a life it
# would be a guess: SmolLM2 calls Marie Curie a Canadian.
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
# Where a small model makes up a biography, a record or an authority.
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
# Where it makes up a term: "the first step involves an enzyme called propolis".
_TERM = re.compile(
    r"\b(?:called|termed|dubbed|named|known as|referred to as|refers to) (?:an? |the |its? )?([\w'-]+ ?[\w'-]*)"
)
# Pet phrases of models: welcome once in an article.
_PETS = _set(
    """testament tapestry delicate intricate crucial vital vibrant fascinating remarkable incredible unique iconic
    enduring captivated captivating profound countless timeless rich woven journey legacy stunning"""
)


def flaw(sentence: str, known: frozenset[str], before: Sequence[str] = ()) -> str:
    """Why the article cannot use a sentence, as the end of "The sentence ..."; "" if it can.

    known: lower-case words that the user's text contains, which no rule about names, numbers and lives applies to.
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
    """Talk about the task, and words that are none."""
    chatter = _CHATTER.search(sentence)
    if chatter:
        return f"speaks of itself or of the reader's request ('{chatter.group(0)}')"
    for word in found:
        if word not in known and (re.search(r"(.)\1\1|-.*-.*-|^[^aeiouy\d]{3,}$", word) or len(word) > 18):
            return f"has the word '{word}', which is none"
    return ""


def _names(sentence: str, known: frozenset[str], before: Sequence[str]) -> str:
    """Names that the user did not give: a small model makes up most of those it adds."""
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
    """Words, beginnings and phrases that were there already."""
    content = [w for w in found if len(w) > 3]
    if any(content.count(w) > 2 for w in content) or len(set(ngrams(found, 3))) < len(list(ngrams(found, 3))):
        return "repeats itself"
    said = [words(b) for b in before]
    alike = sum(found[:3] == other[:3] for other in said)
    if (said and found[:2] == said[-1][:2]) or alike > 1 or any(found[:4] == other[:4] for other in said):
        return "begins like an earlier one"
    earlier = {g for other in said for g in ngrams(other, 4)}
    if sum(g in earlier for g in ngrams(found, 4)) > 1:
        return "repeats an earlier one"
    everything = {w for other in said for w in other}
    pet = next((w for w in found if w in _PETS and w in everything), "")
    return f"uses '{pet}' again" if pet else ""


def ngrams(found: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words, in order."""
    return [tuple(found[k : k + n]) for k in range(len(found) - n + 1)]


# --- a title for a brief that has none -------------------------------------------------------------------------------


def ask_title(brief: Brief) -> list[BaseMessage]:
    """A title for free text."""
    text = " ".join(plain_text(brief.text).split())[:NOTES_CHARS]
    return [HumanMessage(f"{text}\n\nGive this text a short title of three to six words.")]


TITLE_GRAMMAR = """root ::= [A-Z] [a-z]* (" " [A-Za-z] [a-z'-]*){1,7} "\\n"?"""


def read_title(reply: str, plan: Plan) -> str:
    """The title, in words that the user's text has. Raises UnreadableReply for one that names something else."""
    title = " ".join(plain_text(reply.strip().splitlines()[0] if reply.strip() else "").split()).strip(" \"'.:*")
    title = re.sub(r"^title\s*:\s*", "", title, flags=re.IGNORECASE)
    content = [w for w in words(title) if w not in OPENERS and w not in _COMMON_SETS["en"]]
    if not content or not 2 <= len(title.split()) <= 9:
        raise UnreadableReply("That is no title of two to nine words. Answer with the title alone.")
    strange = next((w for w in content if w not in plan.known), "")
    if strange:
        raise UnreadableReply(f"The text does not speak of '{strange}'. Take the title from its own words.")
    return _capital(title)
