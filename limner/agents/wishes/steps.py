"""Turn a wish into commands step by step: by rules where they are certain, else by small questions to the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from limner.agents.dialects import steps
from limner.agents.dialects.commands import Command, Do
from limner.agents.dialects.steps import CHOICE_TOKENS, KINDS, LINE_TOKENS
from limner.agents.speaker import Speaker
from limner.agents.wishes import lexicon, targets
from limner.agents.wishes.lexicon import fold
from limner.agents.wishes.parts import Mention, Part, concerns, content, kind_of, masked, read_wish
from limner.agents.wishes.targets import NoSuchPart, Place, things
from limner.document import Article
from limner.errors import UnreadableReply

LONGEST_LINE = 200  # characters of a title or caption
MOST = 12  # parts of one wish; each may cost several questions

_COUNTED = re.compile(r"\d|sentence|句|frase|\bs[aä]tz")  # how long it should be
_WHICH = {
    "paragraph": "I could not tell which paragraph; name it by its number or its words",
    "picture": "I could not tell which picture; name it by words of its caption",
    "heading": "I could not tell which heading; name it by its words",
}
_PICTURES: tuple[Do, ...] = ("remove_image", "change_image", "move_image", "add_image", "describe_image")
_WORDED: tuple[Do, ...] = ("rewrite", "shorten", "expand", "translate", "delete", "move", "merge")


class Unclear(Exception):
    """A part of a wish that was not understood; the message says to the person what is missing."""


@dataclass
class Steps:
    """One wish about one article. speaker: None asks no model, and leaves what rules cannot tell."""

    article: Article
    speaker: Speaker | None
    guessed: bool = False
    """Whether the model decided which edit, or which part of the article, the last part of a wish means."""

    def understood(self, wish: str) -> tuple[list[Command], list[str]]:
        """(commands, one line for each part of the wish that is not among them).

        Raises BudgetReached, ModelError.
        """
        commands: list[Command] = []
        says: list[str] = []
        parts = read_wish(wish)
        for part in parts[:MOST]:
            if part.keeps:
                continue
            self.guessed = False
            try:
                made = self.commands(part)
                commands += made
                if self.guessed:
                    says.append(f"“{_quote(part.text)}” was taken as: {', '.join(map(self.named, made))}.")
            except (Unclear, NoSuchPart) as why:
                says.append(f"Not done: “{_quote(part.text)}”: {why}")
            except UnreadableReply:
                says.append(f"Not done: “{_quote(part.text)}”: the model's answers could not be read.")
        if len(parts) > MOST:
            says.append(f"Not done: what comes after “{_quote(parts[MOST - 1].text)}”: wish it separately.")
        return commands, says

    def commands(self, part: Part) -> list[Command]:
        """The commands of one part. Raises Unclear, NoSuchPart, UnreadableReply."""
        do = kind_of(part) or self.asked_kind(part)
        if do in ("restyle_all", "translate_all"):
            return [Command(do, "", "", "after", self.language(part) if do == "translate_all" else part.text)]
        if do == "set_title":
            return [Command(do, "", "", "after", self.title(part))]
        if do == "write":
            block, where = self.place(part, "paragraph", do)
            return [Command(do, block, "", where, part.text)]
        if do == "add_image":
            text, english = self.subject(part)
            block, where = self.place(part, "picture", do)
            return [Command(do, block, "", where, text, english)]
        return [c for target in self.targets(part, do) for c in self.command(part, do, target)]

    def command(self, part: Part, do: Do, target: str) -> list[Command]:
        """The commands for one block or picture that a part names."""
        match do:
            case "translate":
                return [Command(do, target, "", "after", self.language(part))]
            case "rewrite":
                return [Command(do, target, "", "after", part.text)]
            case "shorten" | "expand":
                return [Command(do, target, "", "after", part.text if _COUNTED.search(fold(part.text)) else "")]
            case "move":
                block, where = self.place(part, "paragraph", do)
                return [Command(do, target, "", where, block)]
            case "move_image":
                block, where = self.place(part, "picture", do)
                return [Command(do, block, target, where, "")]
            case "change_image":
                return [Command(do, "", target, "after", *self.subject(part))]
            case "describe_image":
                return [Command(do, "", target, "after", self.caption(part, target))]
            case "remove_image":
                return [Command(do, "", target, "after", "")]
        return [Command(do, target, "", "after", "")]

    # -- which edit

    def asked_kind(self, part: Part) -> Do:
        """Which edit a part is, by the model. Raises Unclear."""
        labels = [label for label, (do, _) in KINDS.items() if do is None or _fits(do, part)]
        if self.speaker is None or not (part.mentions or part.verbs or content(masked(part.text))):
            raise Unclear("I could not tell what to change; say what to do, and with which paragraph or picture")
        do: Do | None = self.speaker.ask(
            steps.ask_kind(part.text, labels),
            lambda reply: steps.read_kind(reply, labels),
            schema=steps.kind_schema(labels),
            max_tokens=CHOICE_TOKENS,
        )
        if do is None:
            raise Unclear("I could not tell what to change; say what to do, and with which paragraph or picture")
        self.guessed = True
        return do

    # -- which block or picture

    def targets(self, part: Part, do: Do) -> list[str]:
        """Ids of what a part changes. Raises Unclear, NoSuchPart."""
        mention = _named(part, do)
        noun = _noun(do, mention)
        if mention is not None and mention.noun == "whole" and do in ("shorten", "expand"):
            return [p.id for p in self.article.paragraphs]
        found = targets.named(self.article, part, mention, noun if noun != "section" else "heading")
        if not found:
            found = [self.asked_target(part, "heading" if noun == "section" else noun)]
        if noun != "section":
            return found
        ids = [i for heading in found for i in targets.section(self.article, heading)]
        return ids if do == "delete" else [i for i in ids if any(p.id == i for p in self.article.paragraphs)]

    def asked_target(self, part: Part, noun: str) -> str:
        """Have the model choose the block or picture that a part names.

        It is asked in two orders, because small models prefer a place in the list. Raises Unclear if it names none, or
        another one in the other order.
        """
        among = things(self.article, noun)
        if self.speaker is None or not among or not content(masked(part.text)):
            raise Unclear(_WHICH.get(noun, _WHICH["paragraph"]))
        picked = []
        for shown in (among, among[::-1]):
            number = self.speaker.ask(
                steps.ask_target(part.text, [t.words for t in shown], noun),
                lambda reply: steps.read_target(reply, len(among)),
                schema=steps.target_schema(len(among)),
                max_tokens=CHOICE_TOKENS,
            )
            picked.append(shown[number - 1].id if number else "")
            if not number:
                break
        if len(set(picked)) != 1 or not picked[0]:
            raise Unclear(_WHICH.get(noun, _WHICH["paragraph"]))
        self.guessed = True
        return picked[0]

    def named(self, c: Command) -> str:
        """A command in words, for a person to check what was understood."""
        body = {b.id: b.plain for b in self.article.body}
        shown = {i.id: i.caption for i in self.article.illustrations}
        label = next((label for label, (do, _) in KINDS.items() if do == c.do), c.do).replace("_", " ")
        what = shown.get(c.image) or body.get(c.block, "")
        return f"{label} “{what if len(what) <= 40 else what[:39] + '…'}”" if what else label

    def place(self, part: Part, noun: str, do: Do) -> Place:
        """(block, "before" or "after") where something goes. Raises Unclear, NoSuchPart."""
        if found := targets.place(self.article, part, noun):
            return found
        paragraphs = things(self.article, "paragraph")
        if do == "write" and paragraphs:
            main = part.main
            first = main is not None and main.ordinals == (1,)
            return (paragraphs[0].id, "before") if first else (paragraphs[-1].id, "after")
        if do == "add_image":
            return targets.by_words(part.text, paragraphs) or self.asked_target(part, "paragraph"), "after"
        raise Unclear("I could not tell where it should go; name a paragraph, “before” or “after” it")

    # -- the words

    def language(self, part: Part) -> str:
        """The language that a part asks for, as a BCP 47 code. Raises Unclear."""
        folded = fold(masked(part.text))
        found = [code for code, name in lexicon.LANGUAGES.items() if name.search(folded)]
        if len(found) != 1:
            raise Unclear("I could not tell into which language; name one, e.g. German")
        return found[0]

    def title(self, part: Part) -> str:
        """The new title: quoted, or written by the model."""
        if part.quotes and "translate" not in part.verbs:
            return part.quotes[-1].strip()
        return self.line(part, self.article.title, steps.ask_title(self.article, part.text))

    def caption(self, part: Part, image: str) -> str:
        """A picture's new caption: quoted, or written by the model."""
        if part.quotes and "translate" not in part.verbs:
            return part.quotes[-1].strip()
        old = next(i.caption for i in self.article.illustrations if i.id == image)
        return self.line(part, old, steps.ask_caption(part.text, old))

    def line(self, part: Part, old: str, question: list[BaseMessage]) -> str:
        """One line in the model's words, other than the old one. Raises Unclear without a model, UnreadableReply."""
        if self.speaker is None:
            raise Unclear("that needs a larger model; write the new words in quotation marks")
        if "translate" in part.verbs:
            question = steps.ask_line_translated(old, self.language(part))

        def read(reply: str) -> str:
            line = steps.read_line(reply)
            if fold(line) == fold(old) or len(line) > LONGEST_LINE:
                raise UnreadableReply("That is the old line." if len(line) <= LONGEST_LINE else "That is too long.")
            return line

        return self.speaker.ask(question, read, max_tokens=LINE_TOKENS)

    def subject(self, part: Part) -> tuple[str, str]:
        """The subject of a new picture: (in the wish's words, in English)."""
        if self.speaker is None:
            raise Unclear("that needs a larger model; place the picture by hand")
        return self.speaker.ask(
            steps.ask_subject(part.text), steps.read_subject, schema=steps.subject_schema(), max_tokens=LINE_TOKENS
        )


def contradicts(wish: str, commands: Sequence[Command]) -> bool:
    """Whether commands change text though the wish surely names pictures alone, or the other way round."""
    about = {concerns(part) for part in read_wish(wish) if not part.keeps}
    if about == {"picture"}:
        return any(c.do not in _PICTURES for c in commands)
    return about == {"text"} and any(
        c.do in _PICTURES and c.do != "add_image" for c in commands
    )  # "… and illustrate it"


def _fits(do: Do, part: Part) -> bool:
    """Whether a part can be this edit. A title or a caption changes only where it is spoken of, or its words are given:
    small models take a vague wish for one."""
    about, nouns = concerns(part), {m.noun for m in part.mentions}
    if do == "set_title" and not (part.quotes or nouns & {"title", "heading", "whole"}):
        return False
    if do == "describe_image" and not (part.quotes or nouns & {"caption", "picture"}):
        return False
    return about == "" or (do in _PICTURES) == (about == "picture")


def _named(part: Part, do: Do) -> Mention | None:
    """The mention of what an edit changes."""
    if do in _PICTURES:
        pictures = [m for m in part.mentions if m.noun == "picture" and not m.where]
        captions = [m for m in part.mentions if m.noun == "caption"]
        rich = [m for m in (*pictures, *captions) if m.ordinals or content(m.about)]
        return next(iter(rich), None) or next(iter([*pictures, *captions]), None)
    main = part.main
    if main is not None and main.noun == "sentence":
        return part.mention("paragraph") or main
    return main if main is None or main.noun != "picture" else None


def _noun(do: Do, mention: Mention | None) -> str:
    if do in _PICTURES:
        return "picture"
    return mention.noun if mention is not None and mention.noun in ("heading", "section") else "paragraph"


def _quote(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
