"""The writer for small models: a Brief becomes an Article one checked sentence at a time.

A sentence is shown only once it is accepted, because shown text cannot be taken back. The model continues its accepted
text, so a rejected sentence leaves no trace in later ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from langchain_core.messages import BaseMessage

from limner.agents.dialects import small
from limner.agents.dialects.sentences import words
from limner.agents.dialects.small import Plan, Section
from limner.agents.speaker import Speaker
from limner.document import Article, Brief, read_markdown
from limner.errors import BudgetReached, UnreadableReply
from limner.notes import note

Similarity = Callable[[Sequence[str], Sequence[str]], np.ndarray]

SENTENCES = 5  # sentences per section; the introduction has one less
BEST_OF = 1  # usable sentences to choose from: two take twice the time for little (bench/small.md)
NEAR = 0.85  # cosine above which two sentences count as equal
FAR = 0.15  # cosine to the subject below which a sentence has drifted from it; unrelated texts lie near 0.03
CLEAR = 0.05  # lead in cosine of one kind of article over the next; below it, use the general plan

# llama.cpp's samplers. A low temperature keeps a 135M model to its knowledge; DRY and the repeat penalty prevent loops
# at that temperature.
SAMPLERS = {
    "min_p": 0.08,
    "top_k": 40,
    "repeat_penalty": 1.1,
    "repeat_last_n": 256,
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
}
TEMPERATURES = (
    0.4,
    0.6,
    0.5,
    0.5,
    0.7,
    0.7,
    0.6,
    0.8,
)  # temperatures of the tries for one sentence, in a cycle
OFFERED_WITHIN, OFFERED_FIRST = 2, 5  # tries before an opener is given: within a section, at its start
PATIENCE, TRIES = 16, 6  # tries for a sentence of a section that has fewer than ENOUGH of them, and for a later one
ENOUGH = 3


def write_in_steps(
    brief: Brief, speaker: Speaker, emit: Callable[[str], None], similarity: Similarity | None = None
) -> Article:
    """Write the article sentence by sentence; `emit` gets its Markdown as it grows.

    similarity: texts (n), texts (m) -> cosines (n, m) in [-1, 1]; chooses among sentences and detects drift; None for
    neither. A budget that ends early leaves a shorter article and a note. Raises BadInput for another language than
    English, UnreadableReply if no sentence was usable, BudgetReached if none was affordable, ModelError.
    """
    small.require_english(brief)
    return _Writing(brief, speaker, emit, similarity).article()


def outline(brief: Brief, speaker: Speaker, similarity: Similarity | None = None) -> str:
    """The headings that `write_in_steps` would use, as Markdown.

    Raises BadInput for another language than English, ModelError.
    """
    small.require_english(brief)
    plan = _Writing(brief, speaker, lambda _: None, similarity).plan()
    headings = [f"- {escaped(section.heading)}" for section in plan.sections if section.heading]
    return "\n".join([f"# {escaped(plan.title)}", "", *headings])


class _Writing:
    """The state of one article while it is written."""

    def __init__(
        self, brief: Brief, speaker: Speaker, emit: Callable[[str], None], similarity: Similarity | None
    ) -> None:
        self.brief, self.speaker, self.emit, self.similarity = brief, speaker, emit, similarity
        self.calls = self.offered = 0
        self.bearing: np.ndarray | None = None
        self.written: list[str] = []
        self.markdown = ""

    def article(self) -> Article:
        notes = [note("small-writer", model=self.speaker.name or "a small model")]
        plan = self.plan()
        self.add(f"# {escaped(plan.title)}")
        early = ""
        try:
            for section in plan.sections:
                self.section(plan, section)
        except BudgetReached as reached:
            if not self.written:
                raise
            early = note("ends-early", line=reached.note)
        if not self.written:
            raise UnreadableReply(
                "The model wrote no usable sentence. Reword the brief, or set LIMNER_MODEL_URL to a larger model."
            )
        self.add("\n")
        if plan.left_out:
            notes.append(note("brief-cut", n=len(plan.notes)))
        missing = [s.heading for s in plan.sections if s.heading and f"## {escaped(s.heading)}\n" not in self.markdown]
        if missing and not early:
            notes.append(note("sections-missing", headings=missing))
        return read_markdown(self.markdown, title=plan.title).noted(*notes, early)

    def add(self, text: str) -> None:
        self.markdown += text
        self.emit(text)

    # -- planning

    def plan(self) -> Plan:
        title = small.own_title(self.brief)
        plan = small.plan(self.brief, self.kind(title or self.brief.text[:300]), title)
        if title:
            return plan
        try:
            return small.plan(self.brief, self.kind(self.brief.text[:300]), self.title(plan))
        except UnreadableReply:
            return plan  # the brief's first words

    def kind(self, text: str) -> str:
        known = small.kind_by_words(text)
        if known or self.similarity is None:
            return known
        names = list(small.KINDS)
        closeness = self.similarity([text], [small.KINDS[name][0] for name in names])[0]
        first, second = np.argsort(-closeness)[:2]
        return names[int(first)] if closeness[first] - closeness[second] > CLEAR else ""

    def title(self, plan: Plan) -> str:
        return self.speaker.ask(
            small.ask_title(self.brief),
            lambda reply: small.read_title(reply, plan),
            max_tokens=24,
            seed=self.brief.seed,
            extra={"grammar": small.TITLE_GRAMMAR},
        )

    def notes(self, plan: Plan, section: Section) -> list[str]:
        """The user's sentences about a section, in their own order, as many as fit into a question."""
        if self.similarity is None or sum(len(n) + 1 for n in plan.notes) <= small.NOTES_CHARS:
            return list(plan.notes)
        if self.bearing is None:  # all at once: notes can be many, and each call encodes only its texts
            subjects = [f"{s.heading or plan.title}: {s.about}" for s in plan.sections]
            self.bearing = self.similarity(subjects, plan.notes)
        kept: list[int] = []
        for n in np.argsort(-self.bearing[plan.sections.index(section)]):
            if sum(len(plan.notes[k]) + 1 for k in kept) + len(plan.notes[n]) <= small.NOTES_CHARS:
                kept.append(int(n))
        return [plan.notes[n] for n in sorted(kept)]

    # -- writing

    def section(self, plan: Plan, section: Section) -> None:
        """Add a section's heading and paragraph; nothing if no sentence is usable."""
        opening = f"\n\n## {escaped(section.heading)}\n\n" if section.heading else "\n\n"
        for sentence in self.sentences(plan, section):
            self.add(opening + escaped(sentence))
            self.written.append(sentence)
            opening = " "

    def sentences(self, plan: Plan, section: Section) -> Iterator[str]:
        """Yield the section's sentences; requesting the next one accepts the last."""
        notes = self.notes(plan, section)
        wanted = SENTENCES if section.heading else SENTENCES - 1
        if not self.speaker.llama_cpp:
            yield from self.whole(plan, section, notes)[:wanted]
            return
        so_far = ""
        for n in range(wanted):
            sentence = self.sentence(plan, section, notes, so_far, PATIENCE if n < ENOUGH else TRIES)
            if sentence is None:
                return
            yield sentence
            so_far = f"{so_far} {sentence}".strip()

    def sentence(self, plan: Plan, section: Section, notes: Sequence[str], so_far: str, tries: int) -> str | None:
        """The best of BEST_OF usable sentences, None if no try yields one."""
        usable: list[str] = []
        for attempt in range(tries):
            opener = self.opener(attempt, bool(so_far))
            messages = small.ask_sentence(plan, section, notes, so_far, opener)
            reply = self.reply(messages, TEMPERATURES[attempt % len(TEMPERATURES)], bool(opener))
            try:
                sentence = small.read_sentence(reply, plan, self.written, opener)
            except UnreadableReply:
                continue
            if sentence not in usable and self.on_subject(sentence, plan, section):
                usable.append(sentence)
            if len(usable) == (BEST_OF if self.similarity else 1):
                best = self.best(usable, plan, section)
                if best is not None:
                    return best
                usable.clear()
        return self.best(usable, plan, section)

    def reply(self, messages: Sequence[BaseMessage], temperature: float, begun: bool) -> str:
        self.calls += 1
        return self.speaker.say(
            messages,
            max_tokens=small.SENTENCE_TOKENS,
            temperature=temperature,
            seed=self.brief.seed * 10_000 + self.calls,
            extra={**SAMPLERS, "grammar": small.REST_GRAMMAR if begun else small.SENTENCE_GRAMMAR},
        )

    def opener(self, attempt: int, within: bool) -> str:
        """An opener for a try, which no sentence of the article uses yet; "" leaves it to the model.

        within: whether the section already has a sentence.
        """
        if not self.written or attempt < (OFFERED_WITHIN if within else OFFERED_FIRST) or attempt % 3 == 1:
            return ""
        self.offered += 1
        unused = [o for o in small.OPENERS_OFFERED if not any(s.startswith(o) for s in self.written)]
        return unused[self.offered % len(unused)] if unused else ""

    def whole(self, plan: Plan, section: Section, notes: Sequence[str]) -> list[str]:
        """Ask for a whole paragraph; yields its usable sentences, none if two answers have none."""
        try:
            found = self.speaker.ask(
                small.ask_paragraph(plan, section, notes),
                lambda reply: small.read_paragraph(reply, plan, self.written),
                max_tokens=3 * small.SENTENCE_TOKENS,
                temperature=TEMPERATURES[0],
                seed=self.brief.seed,
            )
        except UnreadableReply:
            return []
        return [s for s in found if self.on_subject(s, plan, section) and self.new(s)]

    # -- judging by meaning

    def on_subject(self, sentence: str, plan: Plan, section: Section) -> bool:
        """Whether a sentence is close to the article's subject or, in a user's own outline, to the section's."""
        if self.similarity is None:
            return True
        subjects = [plan.title, section.heading] if section.must else [plan.title]
        return float(self.similarity([sentence], subjects).max()) >= FAR

    def new(self, sentence: str) -> bool:
        """Whether a sentence differs in meaning from all earlier ones."""
        return not (self.similarity and self.written) or float(self.similarity([sentence], self.written).max()) <= NEAR

    def best(self, usable: Sequence[str], plan: Plan, section: Section) -> str | None:
        """The sentence closest to the section's subject; the user's required words come first."""
        must = {w for phrase in section.must for w in words(phrase)} - set(words(" ".join(self.written)))
        worth = np.array([float(min(len(must & set(words(sentence))), 2)) for sentence in usable])
        if self.similarity is not None and len(usable) > 1:
            worth += self.similarity([f"{plan.topic}: {section.heading} {section.about}"], usable)[0]
        return next((usable[n] for n in map(int, np.argsort(-worth)) if self.new(usable[n])), None)


def escaped(text: str) -> str:
    """Text escaped for Markdown, so that a user's or a model's words make no marks, links, images or HTML."""
    text = re.sub(r"([\\`*_\[\]<>&~|])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(#|\+|-|=|\d+[.)])", r"\\\1", text)
