"""Fulfil a free wish: understand it, by one answer with commands or by small questions, then make each command's edits.

What comes of a wish is checked against it. A text that fails is asked for once more; what fails again is left out and
named, so that nothing is silently half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limner.agents import reviser
from limner.agents.dialects.commands import Command
from limner.agents.dialects.revise import Task
from limner.agents.families.families import Dialect
from limner.agents.wishes.steps import Steps, contradicts
from limner.document import Heading
from limner.errors import BadInput, UnreadableReply
from limner.tools.editing import commands as e
from limner.tools.editing.commands import Edit, Instruct, Instruction
from limner.tools.shorten import shortened
from limner.workflows.revise import checks
from limner.workflows.revise.revision import LEFT_OUT, Revision, placed

_WORDED = ("rewrite", "shorten", "expand", "translate", "write")
_WHOLE = ("restyle_all", "translate_all")


class Wish(Revision):
    """A revision that also reads free wishes."""

    strict = False
    """Whether a text that fails its checks twice is left out; else it is kept with a remark."""

    def fulfilled(self, order: Instruction) -> tuple[list[Edit], list[str]]:
        """(edits, remarks about them)."""
        return self.instructed(order.text) if isinstance(order, Instruct) else super().fulfilled(order)

    def instructed(self, text: str) -> tuple[list[Edit], list[str]]:
        self.dialect.require(self.name, "follow free instructions")
        commands, says = self.understood(text)
        edits: list[Edit] = []
        used = {i.image_id for i in self.article.illustrations}
        for group in _rounds([c for c in commands if c.do not in _WHOLE]):
            made, lines = self.group(group, used)
            edits += made
            says += lines
        for command in commands:
            if command.do not in _WHOLE:
                continue
            try:  # with the tone or language at that point
                made, lines = (self.restyled if command.do == "restyle_all" else self.translated)(command.text)
            except BadInput as why:
                made, lines = [], [f"Left out: {why}"]
            self.apply(made)
            edits += made
            says += lines
        if not edits:
            says.append("Nothing would be changed.")
        return edits, says

    # -- what it means

    def understood(self, text: str) -> tuple[list[Command], list[str]]:
        """(commands, remarks): by small questions for small models, else by one answer.

        One answer that cannot be read, or that changes text though only pictures were named, gives way to the
        questions.
        """
        self.strict = self.context.stepwise()
        steps = Steps(self.article, self.speaker())
        if self.strict:
            return steps.understood(text)
        try:
            commands, cannot = reviser.understand(self.article, text, self.speaker())
        except UnreadableReply:
            commands, says = steps.understood(text)
            if not commands:
                raise
            self.strict = True
            return commands, ["The model's answer could not be read, so it was asked step by step.", *says]
        if not contradicts(text, commands):
            return commands, [cannot]
        self.strict = True
        commands, says = steps.understood(text)
        return commands, ["The model's first answer changed what was not named, so it was asked step by step.", *says]

    # -- the edits

    def group(self, commands: Sequence[Command], used: set[str]) -> tuple[list[Edit], list[str]]:
        """The edits of commands about different blocks, applied for those that follow."""
        worded, says = self.worded(commands)
        edits: list[Edit] = []
        for command in commands:
            made, line = self.command(command, worded, used)
            edits += made
            says.append(line)
        self.apply(edits)
        return edits, says

    def worded(self, commands: Sequence[Command]) -> tuple[dict[tuple[str, str, str], str], list[str]]:
        """Ask in parallel for the texts of these commands: text by (do, block, instruction)."""
        wanted: dict[tuple[str, str, str], Command] = {}
        for c in commands:
            if c.do not in _WORDED:
                continue  # such a command may name no block
            if c.do == "write" or (c.block not in self.locked and not reviser.revisable(self.block(c.block))):
                wanted.setdefault(_key(c), c)
        remarks: dict[tuple[str, str, str], str] = {}

        def ask(c: Command) -> str:
            text, remarks[_key(c)] = self.checked(c)
            return text

        texts, says = self.each(list(wanted.values()), ask, "written")
        says += [remarks[key] for key in wanted if remarks.get(key)]
        return {k: t for k, t in zip(wanted, texts, strict=True) if t}, says

    def checked(self, c: Command) -> tuple[str, str]:
        """(the text of a command, a remark): asked for once more if it fails its checks; "" if it fails again.

        Where a shorter text fails, the least telling sentences are left out instead.
        """
        old = None if c.do == "write" else self.block(c.block)
        if not self.strict:
            text = self.text(c)
            return text, _remark(c, checks.fault(c, old, text, self.article))
        why = ""
        for seed in (0, 1):
            told = f"{c.text} {why}".strip() if c.do != "translate" else c.text
            try:
                text = self.text(c._replace(text=told), seed)
                why = checks.fault(c, old, text, self.article)
            except UnreadableReply as unreadable:
                text, why = "", str(unreadable)
            if not why:
                return text, ""
        if c.do == "shorten" and old is not None and (cut := shortened(old.text, self.context.similarity)):
            return cut, LEFT_OUT
        return "", f"Not done: {_named(c, old)}: the model's text failed its check twice. {why}"

    def text(self, c: Command, seed: int = 0) -> str:
        """A text in the model's words."""
        plainly = self.strict and type(self.dialect).revise is Dialect.revise
        speaker, seed = self.speaker(), seed + self.brief.seed
        if c.do == "write":
            if not plainly:
                return self.new_paragraph(c.block, c.where, c.text)[0]
            above = self.anchor(c.block, c.where)
            before = self.block(above) if above else None
            language = checks.spoken(self.article, None)
            return reviser.write_alone(self.article, before, c.text, language, speaker, seed)
        block = self.block(c.block)
        if plainly:
            return reviser.revise_alone(block, c.do, c.text, checks.spoken(self.article, block), speaker, seed)
        if c.do == "translate":
            return reviser.translate(self.article, block, self.before(block), c.text, speaker)
        task: Task = "shorten" if c.do == "shorten" else "expand" if c.do == "expand" else "rewrite"
        return self.dialect.revise(self.article, block, task, speaker, instruction=c.text, seed=seed)

    def command(self, c: Command, worded: dict[tuple[str, str, str], str], used: set[str]) -> tuple[list[Edit], str]:
        """(the edits of one command, the reason if there are none)."""
        target = c.image if "image" in c.do and c.do != "add_image" else c.block
        if target in self.locked and c.do not in ("write", "add_image"):
            return [], f"Left out: {c.do} of something that is locked."
        match c.do:
            case "rewrite" | "shorten" | "expand" | "translate":
                if why := reviser.revisable(self.block(c.block)):
                    return [], f"Left out: {why}."
                text = worded.get(_key(c))
                return ([e.SetText(block=c.block, text=text)] if text else []), ""
            case "write":
                text = worded.get(_key(c))
                return ([e.InsertText(after=self.anchor(c.block, c.where), text=text)] if text else []), ""
            case "delete":
                return [e.DeleteBlock(block=c.block)], ""
            case "merge":
                return [e.MergeBlocks(block=c.block)], ""
            case "move":
                after = self.anchor(c.text, c.where, without=c.block)
                return [e.MoveBlock(block=c.block, after=after)], ""
            case "set_title":
                return [e.SetTitle(title=c.text)], ""
        return self.pictured(c, used)

    def pictured(self, c: Command, used: set[str]) -> tuple[list[Edit], str]:
        """The edits of a command about a picture."""
        match c.do:
            case "remove_image":
                return [e.RemoveImage(image=c.image)], ""
            case "describe_image":
                return [e.DescribeImage(image=c.image, caption=c.text)], ""
            case "move_image":
                place = self.place(c.block, c.where)
                return [e.MoveImage(image=c.image, after=place)] if place else [], ""
            case "add_image":
                return self.added(c, used)
            case "change_image":
                return self.swapped(c, used)
        return [], ""

    def added(self, c: Command, used: set[str]) -> tuple[list[Edit], str]:
        place = self.place(c.block, c.where)
        image = self.found(place, c.text, used, c.search) if place else None
        if image is None:
            return [], f"Left out: no image of the library shows {c.text!r}."
        used.add(image.image_id)
        return [placed(image)], ""

    def swapped(self, c: Command, used: set[str]) -> tuple[list[Edit], str]:
        old = next(i for i in self.article.illustrations if i.id == c.image)
        image = self.found(old.after, c.text, used, c.search)
        if image is None:
            return [], f"Left out: no other image of the library shows {c.text!r}."
        used.add(image.image_id)
        about: dict[str, Any] = {"caption": image.caption, "alt": image.alt}
        return [e.SwapImage(image=old.id, image_id=image.image_id, library=image.library, **about)], ""


def _rounds(commands: Sequence[Command]) -> list[list[Command]]:
    """The commands in groups that change each block only once: "shorten the first paragraph and translate it"."""
    rounds: list[list[Command]] = [[]]
    taken: set[str] = set()
    for c in commands:
        if c.do in _WORDED and c.do != "write":
            if c.block in taken:
                rounds.append([])
                taken = set()
            taken.add(c.block)
        rounds[-1].append(c)
    return rounds


def _remark(c: Command, why: str) -> str:
    return f"Look at it: {c.do} of {c.block}: {why}" if why else ""


def _named(c: Command, old: Any) -> str:
    if old is None:
        return "a new paragraph"
    words = old.plain if len(old.plain) <= 40 else old.plain[:39] + "…"
    return f"{c.do} {'the heading' if isinstance(old, Heading) else 'the paragraph'} “{words}”"


def _key(c: Command) -> tuple[str, str, str]:
    return (f"{c.do} {c.where}" if c.do == "write" else c.do, c.block, c.text)
