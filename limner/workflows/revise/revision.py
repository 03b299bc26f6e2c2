"""Turn instructions into edits: ask a model for the text of each, and put its answers into place.

A `Revision` is one instruction about one article. Model calls run in parallel where possible, and an unusable answer
costs only its own block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from pydantic import ValidationError

from limner.agents import reviser
from limner.agents.dialects.revise import AROUND, Block, Task
from limner.agents.families.families import Dialect
from limner.agents.speaker import Speaker
from limner.document import Article, Brief, Heading, Illustration, Paragraph, Selection, Spot
from limner.errors import BadInput, BudgetReached, LibraryError, UnreadableReply
from limner.tools.editing import commands as e
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import (
    Edit,
    Instruct,
    Instruction,
    Regenerate,
    Restyle,
    Rewrite,
    Translate,
    WriteParagraph,
)
from limner.tools.illustrate import illustrated
from limner.tools.shorten import shortened
from limner.workflows import steps
from limner.workflows.context import Context

AT_ONCE = 6  # parallel model calls; servers batch them
MAX_BLOCKS = 400  # blocks per instruction about the whole article: its edits form one step of at most MAX_EDITS
LEFT_OUT = "Its least telling sentences were left out; no model wrote anything."
T = TypeVar("T")


class Revision:
    """One instruction about one article."""

    def __init__(self, context: Context, article: Article, brief: Brief) -> None:
        self.context, self.article, self.brief = context, article, brief
        self.locked = frozenset(article.locked)

    def fulfilled(self, order: Instruction) -> tuple[list[Edit], list[str]]:
        """(edits, remarks about them)."""
        match order:
            case Rewrite():
                return self.rewritten(order)
            case WriteParagraph():
                return self.written(order)
            case Restyle():
                return self.restyled(order.instruction)
            case Translate():
                return self.translated(order.language)
            case Regenerate():
                return self.regenerated(order)
            case Instruct():
                raise NotImplementedError("revise.wish reads free wishes")

    # -- one paragraph

    def rewritten(self, order: Rewrite) -> tuple[list[Edit], list[str]]:
        block = self.block(order.block)
        if block.id in self.locked:
            raise BadInput("The part that this would change is locked. Unlock it first.")
        if why := reviser.revisable(block):
            raise BadInput(f"No model can do that: {why}. Edit it by hand.")
        if order.selection is not None:
            start, end = order.selection
            if not 0 <= start < end <= len(block.text):
                raise BadInput(f"selection: the block has {len(block.text)} characters. Give from and to within it.")
        if not self.dialect.judges and order.do == "shorten" and not order.instruction and not order.selection:
            text = shortened(block.text, self.context.similarity)
            if not text:
                raise BadInput(f"{self.name} is too small to shorten this, and no sentence can be left out. Cut it.")
            return [e.SetText(block=block.id, text=text)], [LEFT_OUT]
        self.dialect.require(self.name, f"{order.do} a paragraph", one_paragraph=True)
        text = self.dialect.revise(
            self.article,
            block,
            order.do,
            self.speaker(),
            instruction=order.instruction,
            selection=order.selection,
            seed=self.brief.seed,
        )
        return self.changed(block, text)

    def changed(self, block: Block, text: str) -> tuple[list[Edit], list[str]]:
        if text == block.text:
            return [], ["The model left it as it is."]
        return [e.SetText(block=block.id, text=text)], []

    def written(self, order: WriteParagraph) -> tuple[list[Edit], list[str]]:
        self.block(order.block)
        self.dialect.require(self.name, "write a paragraph into an article", one_paragraph=True)
        text, after = self.new_paragraph(order.block, order.where, order.instruction)
        return [e.InsertText(after=after, text=text)], []

    def new_paragraph(self, block_id: str, where: str, instruction: str) -> tuple[str, str | None]:
        """(text, id of the block before it)."""
        body = self.article.body
        at = [b.id for b in body].index(block_id) + (where == "after")
        before, after = (body[at - 1] if at else None), (body[at] if at < len(body) else None)
        text = self.dialect.insert(self.article, before, after, instruction, self.speaker(), self.brief.seed)
        return text, before.id if before is not None else None

    # -- the whole

    def restyled(self, instruction: str) -> tuple[list[Edit], list[str]]:
        self.dialect.require(self.name, "change the tone of an article")
        speaker = self.speaker()
        blocks, says = self.free(lambda b: isinstance(b, Paragraph))
        texts, more = self.each(
            blocks, lambda b: reviser.restyle(self.article, b, self.before(b), instruction, speaker), "put otherwise"
        )
        return self.set_texts(blocks, texts), [*says, *more]

    def translated(self, language: str) -> tuple[list[Edit], list[str]]:
        try:
            language_edits: list[Edit] = [e.SetLanguage(language=language)]
        except ValidationError as error:
            raise BadInput(f"language: {language[:35]!r} is not a language code. Write e.g. de, fr or zh.") from error
        self.dialect.require(self.name, "translate")
        speaker = self.speaker()
        blocks, says = self.free(lambda b: isinstance(b, Heading | Paragraph))
        texts, more = self.each(
            blocks, lambda b: reviser.translate(self.article, b, self.before(b), language, speaker), "translated"
        )
        edits = self.set_texts(blocks, texts)
        first = next((b for b in self.article.body if isinstance(b, Heading)), None)
        if self.article.title and (first is None or first.plain != self.article.title):
            titles, lost = self.each(
                [self.article.title], lambda _: reviser.translate_title(self.article, language, speaker), "translated"
            )
            edits += [e.SetTitle(title=title) for title in titles if title]
            more += lost
        images = [i for i in self.article.illustrations if i.id not in self.locked and (i.caption or i.alt)]
        lines, lost = self.each(
            images, lambda i: reviser.translate_image(self.article, i, language, speaker), "translated"
        )
        for image, line in zip(images, lines, strict=True):
            if line is not None:
                edits.append(e.DescribeImage(image=image.id, caption=line[0], alt=line[1], translated=True))
        return [*language_edits, *edits], [*says, *more, *lost]

    def regenerated(self, order: Regenerate) -> tuple[list[Edit], list[str]]:
        edits: list[Edit] = []
        says: list[str] = []
        if order.what in ("text", "all"):
            self.dialect.require(self.name, "write the text anew", one_paragraph=True)
            speaker = self.speaker()
            blocks, says = self.free(lambda b: isinstance(b, Paragraph))

            def anew(block: Block) -> str:
                task: Task = "anew"
                return self.dialect.revise(self.article, block, task, speaker, seed=order.seed)

            texts, more = self.each(blocks, anew, "written anew")
            edits, says = self.set_texts(blocks, texts), [*says, *more]
        if order.what in ("images", "all"):
            self.apply(edits)
            new, more = self.other_images(order.seed)
            edits, says = [*edits, *new], [*says, *more]
        return edits, says

    def free(self, kind: Callable[[Block], bool]) -> tuple[list[Block], list[str]]:
        """(the blocks of a kind that may change, remarks on the others)."""
        wanted = [b for b in self.article.body if kind(b)]
        left = [b for b in wanted if b.id not in self.locked]
        free = [b for b in left if not reviser.revisable(b)]
        says = []
        if len(left) < len(wanted):
            says.append(f"{_blocks(len(wanted) - len(left))} locked and left as they are.")
        if len(free) < len(left):
            says.append(f"{_blocks(len(left) - len(free))} left as they are for the images in their text.")
        if len(free) > MAX_BLOCKS:
            says.append(f"Only the first {MAX_BLOCKS} blocks were taken; ask again for the rest.")
        return free[:MAX_BLOCKS], says

    def each(self, things: Sequence[Any], ask: Callable[[Any], T], done: str) -> tuple[list[T | None], list[str]]:
        """Call `ask` for each block in parallel: (answers, None for failed ones; remarks on these).

        Raises the error if all calls failed, and any error that does not concern a single answer.
        """

        def one(thing: Any) -> T | UnreadableReply | BudgetReached:
            try:
                return ask(thing)
            except (UnreadableReply, BudgetReached) as why:
                return why

        if not things:
            return [], []
        # A budget is checked before a call and charged after it, so parallel calls could exceed it together.
        meter = self.context.meter
        side_by_side = AT_ONCE if meter.budget is None and meter.max_cost is None else 1
        with ThreadPoolExecutor(side_by_side, thread_name_prefix="limner-revise") as pool:
            waiting = [pool.submit(copy_context().run, one, thing) for thing in things]
            try:
                answers = [future.result() for future in waiting]
            except BaseException:
                for future in waiting:
                    future.cancel()
                raise
        lost = [a for a in answers if isinstance(a, UnreadableReply | BudgetReached)]
        if len(lost) == len(answers):
            raise lost[0]
        kept = [None if isinstance(a, UnreadableReply | BudgetReached) else a for a in answers]
        spent = next((str(a) for a in lost if isinstance(a, BudgetReached)), "")
        why = spent or "the model's answers could not be used."
        return kept, [f"{len(lost)} of {len(answers)} could not be {done}: {why}"] if lost else []

    def set_texts(self, blocks: Sequence[Block], texts: Sequence[str | None]) -> list[Edit]:
        return [
            e.SetText(block=b.id, text=text)
            for b, text in zip(blocks, texts, strict=True)
            if text is not None and text != b.text
        ]

    def before(self, block: Block) -> str:
        """The text before a block."""
        body = self.article.body
        at = [b.id for b in body].index(block.id)
        return body[at - 1].text[-AROUND:] if at else ""

    def apply(self, edits: Sequence[Edit]) -> None:
        """Apply edits, so that later steps see the changed article."""
        kept, _refused = tried(self.context, self.article, edits)
        self.article = edited(self.article, kept, self.context.record) if kept else self.article

    # -- images

    def other_images(self, seed: int) -> tuple[list[Edit], list[str]]:
        """Search and choose the unlocked images again."""
        context = self.context
        article = steps.with_locked_images_only(self.article)
        fixed = article.illustrations
        loose = [i for i in self.article.illustrations if i not in fixed]
        images = self.brief.images
        if images == "auto" and loose:
            images = len(fixed) + len(loose)
        if images != "auto" and images <= len(fixed):
            return [e.RemoveImage(image=i.id) for i in loose], ["The locked images are as many as are wanted."]
        brief = self.brief.model_copy(update={"images": images, "seed": seed})
        spots, note = steps.spot(context, article, brief)
        candidates = steps.retrieve(context, article, spots, brief)
        selections = steps.select_all(context, article, spots, candidates, brief)
        made = steps.arrange(context, article, selections, brief)
        records = {f"f-{s.spot.id}": s for s in made.article.selections}
        same = {(i.after, i.image_id) for i in made.new} & {(i.after, i.image_id) for i in loose}
        edits: list[Edit] = [e.RemoveImage(image=i.id) for i in loose if (i.after, i.image_id) not in same]
        edits += [placed(i, records.get(i.id)) for i in made.new if (i.after, i.image_id) not in same]
        says: list[str] = [note, *made.article.notes[len(article.notes) :]]
        if not made.new:
            says.append("No image of the library fits anywhere else.")
        return edits, [line for line in says if line]

    def found(self, after: str, caption: str, used: set[str], search: str = "") -> Illustration | None:
        """The image that best fits a caption and a place, None if none fits. search: the caption in English."""
        spot = Spot(id="wanted", after=after, caption=caption, search=search or caption, strength=1.0)
        candidates = self.context.retrieve([spot], self.brief).get(spot.id, [])
        used = used | steps.shown(self.context, self.article)
        candidates = [c for c in candidates if not used & c.ids]
        if not candidates:
            return None
        selection = Selection(spot=spot, candidates=tuple(candidates), by="similarity")
        if self.context.judges():
            selection = self.context.select(
                self.article, spot, candidates, steps.placed(self.context, self.article), self.brief
            )
        choice = selection.choice if selection.by != "similarity" else candidates[0].image_id
        best = next((c for c in candidates if c.image_id == choice), None)
        if best is None:
            return None
        bare = self.article.model_copy(update={"illustrations": (), "selections": ()})
        return illustrated(bare, [selection], {spot.id: best}, {}).illustrations[0]

    # -- places

    def block(self, block_id: str) -> Block:
        for block in self.article.body:
            if block.id == block_id:
                return block
        raise BadInput(f"There is no block {block_id[:40]!r} in the article. Show it again: it may have been deleted.")

    def anchor(self, block_id: str, where: str, without: str = "") -> str | None:
        """The block after which to insert something that goes before or after another block."""
        order = [b.id for b in self.article.body if b.id != without]
        if block_id not in order:
            return block_id
        at = order.index(block_id) - (where == "before")
        return order[at] if at >= 0 else None

    def place(self, block_id: str, where: str) -> str:
        """The paragraph after which to place an image that goes before or after a block, "" if there is none.

        Before a heading that is the paragraph above it; after a heading, the first one under it.
        """
        body = self.article.body
        at = [b.id for b in body].index(block_id)
        above = [b.id for b in body[:at] if isinstance(b, Paragraph)][::-1]
        below = [b.id for b in body[at:] if isinstance(b, Paragraph)]
        return next(iter([*above, *below] if where == "before" else [*below, *above]), "")

    # -- the model

    @property
    def dialect(self) -> Dialect:
        return self.context.dialect("writer")

    @property
    def name(self) -> str:
        return self.context.speaker("writer").name

    def speaker(self) -> Speaker:
        return self.context.reviser()


def placed(image: Illustration, chosen: Selection | None = None) -> Edit:
    about: dict[str, Any] = {"caption": image.caption, "alt": image.alt, "chosen": chosen}
    return e.PlaceImage(after=image.after, image_id=image.image_id, library=image.library, **about)


def _blocks(count: int) -> str:
    return f"{count} block{'s are' if count > 1 else ' is'}"


def tried(context: Context, article: Article, edits: Sequence[Edit]) -> tuple[list[Edit], list[str]]:
    """(the edits that can be applied in sequence, the reasons against the others)."""
    kept: list[Edit] = []
    refused: list[str] = []
    for edit in edits:
        try:
            article = edited(article, [edit], context.record)
        except (BadInput, LibraryError) as why:
            refused.append(f"Left out: {why}")
        else:
            kept.append(edit)
    return kept, refused
