"""Answer questions about an article and its pictures: from pixels if the model sees, and captions, credits and text.

    answer = ask(context, "Which of these is older?", article)
    answer.text, answer.blocks, answer.pictures, answer.notes

The question goes to the selector's model. A model that does not see answers from the words alone, and a note says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from limner.agents import answerer
from limner.agents.dialects import question as dialect
from limner.agents.dialects.question import Material, Picture, Said
from limner.agents.prompts import text_tokens
from limner.document import Article, Illustration, Value
from limner.errors import BadInput, ImageUnreadable, LibraryError, ModelRefused
from limner.notes import Note, note
from limner.text import one_line, printable_path, shorten
from limner.tools.images.images import data_url, metadata
from limner.tools.passages import nearest
from limner.workflows.context import PROMPT_SIDE, Context
from limner.workflows.inputs import read_words

LONGEST = 4_000  # characters of a question
LONGEST_ANSWER = dialect.LONGEST
PICTURES = 8  # that a model is shown; servers limit their number, and each costs up to 1,000 tokens
ROOM = 6_000  # tokens of the article in a prompt, as for a wish; a context of 16,000 then has room for eight pictures
BLOCK = 4_000  # characters of a block
LARGEST = 200_000_000  # bytes of a picture's file
_REFUSED = (400, 413, 422)  # how servers refuse pictures

Image = int | str | Path
"""The number of a picture of the article, from 1 in reading order, or an image file."""
Data = Callable[[Illustration], bytes]


class Cited(Value):
    """A block of the article that an answer rests on."""

    block: str
    """Its id."""
    quote: str = ""
    """Words of it, as they stand there; "" if the model quoted none."""


class Seen(Value):
    """A picture that the model was shown."""

    number: int
    """In reading order from 1; image files follow those of the article."""
    id: str = ""
    """Id of the illustration, "" for a file."""
    caption: str = ""
    """Its caption, or the file's name."""


class Answer(Value):
    """A model's answer to a question."""

    text: str
    """Plain text without addresses."""
    blocks: tuple[Cited, ...] = ()
    """Every one exists, was shown to the model, and has the words that are quoted."""
    pictures: tuple[Seen, ...] = ()
    """The pictures that the model saw; none if it does not see."""
    notes: tuple[Note, ...] = ()
    """Whatever the model was not shown, and why."""


def ask(
    context: Context,
    question: str,
    article: Article | None = None,
    images: Sequence[Image] = (),
    data: Data | None = None,
) -> Answer:
    """Answer a question in its own language. The tokens count for the role "answerer".

    images: the pictures that the question is about, at most 8; none takes the first 8 of the article. data: gives the
    file of a picture of the article; None takes it from the context's libraries. Raises BadInput for an empty or long
    question, an unknown picture and a model that is too small, ImageUnreadable, LibraryError, UnreadableReply,
    BudgetReached, ModelError.
    """
    words = read_words(question)
    if len(words) > LONGEST:
        raise BadInput(note("question-long", n=len(words), most=LONGEST))
    return _Question(context, words, article, images, data or (lambda i: context.image(i.image_id)[0])).answered()


class _Question:
    def __init__(
        self, context: Context, words: str, article: Article | None, images: Sequence[Image], data: Data
    ) -> None:
        self.context, self.words, self.article, self.data = context, words, article, data
        blocks = list(article.blocks()) if article is not None else []
        self.figures = [block for block in blocks if isinstance(block, Illustration)]
        self.body = list(article.body) if article is not None else []
        self.chosen = list(dict.fromkeys(images))
        self.notes: list[Note] = []
        if not self.body and not self.chosen:
            raise BadInput(note("question-about-nothing"))
        if len(self.chosen) > PICTURES:
            raise BadInput(note("question-pictures", n=len(self.chosen), most=PICTURES))
        for number in self.chosen:
            if isinstance(number, int) and not 1 <= number <= len(self.figures):
                raise BadInput(note("no-picture-number", number=number, n=len(self.figures)))

    def answered(self) -> Answer:
        if self.context.demonstrates("selector"):  # said without starting it
            raise BadInput(note("question-embedded"))
        speaker = dataclasses.replace(self.context.speaker("selector"), role="answerer")
        self.context.dialect("selector").require(speaker.name, "answer questions")
        pictures = [*self.of_article(), *self.of_files()]  # what is wrong with a file shows before anything is asked
        material = self.material(pictures if self.sees(pictures) else [p._replace(image="") for p in pictures])
        try:
            said = answerer.answer(self.words, material, len(self.body), speaker)
        except ModelRefused as refused:
            if refused.status not in _REFUSED or not any(p.image for p in material.pictures):
                raise
            material = material._replace(pictures=[p._replace(image="") for p in pictures])
            said = answerer.answer(self.words, material, len(self.body), speaker)
            self.notes.append(note("answer-refused", line=refused.note))
        return self.made(said, material)

    def made(self, said: Said, material: Material) -> Answer:
        ids = {n: figure.id for n, figure in enumerate(self.figures, 1)}
        seen = [
            Seen(number=p.number, id=ids.get(p.number, ""), caption=p.facts.get("caption") or p.facts.get("file", ""))
            for p in material.pictures
            if p.image
        ]
        blocks = tuple(Cited(block=self.body[n - 1].id, quote=quote) for n, quote in said.blocks)
        return Answer(text=said.text, blocks=blocks, pictures=tuple(seen), notes=tuple(self.notes))

    # -- pictures

    def sees(self, pictures: Sequence[Picture]) -> bool:
        """Whether to send pictures. A model is tried only if there are any."""
        if not any(picture.image for picture in pictures):
            return False
        if self.context.sees("selector"):
            return True
        reasons = [n.params["reason"] for n in self.context.notes("selector") if "reason" in n.params]
        name = self.context.speaker("selector").name
        self.notes.append(note("answer-blind", model=name, reason=(reasons or ["it is a text model"])[0]))
        return False

    def of_article(self) -> Iterator[Picture]:
        """All pictures of the article by their facts, the chosen ones or the first with their pixels."""
        numbers = {block.id: n for n, block in enumerate(self.body, 1)}
        shown = {n for n in self.chosen if isinstance(n, int)} if self.chosen else set(range(1, PICTURES + 1))
        if not self.chosen and len(self.figures) > PICTURES:
            self.notes.append(note("answer-some-pictures", n=PICTURES, of=len(self.figures)))
        for number, figure in enumerate(self.figures, 1):
            facts = {"caption": figure.caption, "alternative text": figure.alt, "credit": figure.credit}
            facts |= {"licence": figure.licence, "written by a model": ", ".join(figure.machine_made)}
            image = self.pixels(figure) if number in shown else ""
            yield Picture(number, facts, numbers.get(figure.after, 0), image)

    def pixels(self, figure: Illustration) -> str:
        """A picture's data URL; "" with a note if it cannot be opened and nobody asked for it."""
        try:
            return data_url(self.data(figure), PROMPT_SIDE, max_pixels=self.context.settings.max_pixels)
        except (BadInput, ImageUnreadable, LibraryError) as e:
            if self.chosen:
                raise
            self.notes.append(note("answer-unopened", line=e.afar))
            return ""

    def of_files(self) -> Iterator[Picture]:
        files = [Path(image) for image in self.chosen if not isinstance(image, int)]
        for number, path in enumerate(files, len(self.figures) + 1):
            file, most = _read(path), self.context.settings.max_pixels
            image = data_url(file, PROMPT_SIDE, max_pixels=most)
            said = metadata(file, max_pixels=most)
            facts = {"file": path.name, "caption": said.caption, "alternative text": said.alt, "credit": said.credit}
            yield Picture(number, {**facts, "licence": said.licence, "details": said.details}, image=image)

    # -- text

    def material(self, pictures: Sequence[Picture]) -> Material:
        """The article, whole or the blocks nearest to the question, and the pictures."""
        texts = [shorten(one_line(block.plain or block.text), BLOCK) for block in self.body]
        sizes = [text_tokens(text) + 4 for text in texts]
        kept = list(range(len(texts)))
        if sum(sizes) > ROOM:
            kept = nearest(self.words, texts, sizes, ROOM, self.context.similarity)
            self.notes.append(note("answer-some-blocks", n=len(kept), of=len(texts)))
        about = [image for image in self.chosen if isinstance(image, int)] if self.chosen else []
        about += [p.number for p in pictures if p.number > len(self.figures)]
        title = self.article.title if self.article is not None else ""
        return Material(title, {n + 1: texts[n] for n in kept}, len(texts) - len(kept), pictures, about)


def _read(path: Path) -> bytes:
    """An image file. Raises BadInput."""
    shown = printable_path(str(path))
    if not path.is_file():
        raise BadInput(f"There is no file {shown}. Give an image file, or the number of a picture of the article.")
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{shown} has more than {LARGEST:,} bytes. Give a smaller image.")
        return path.read_bytes()
    except OSError as e:
        raise BadInput(f"{shown} cannot be read ({e.strerror}). Check its permissions.") from e
