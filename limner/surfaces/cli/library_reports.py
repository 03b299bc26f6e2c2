"""The work behind `limner library`: each function returns the lines to print."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from limner.document import Brief
from limner.errors import BadInput, LibraryError
from limner.jobs.lately import lately
from limner.models import hub
from limner.models.encoders.known import DEFAULT, MULTILINGUAL, known
from limner.models.known import is_there
from limner.settings import Settings
from limner.surfaces.cli.terminal import Terminal
from limner.text import one_line, printable_path, shorten
from limner.tools import library as libraries
from limner.tools.language import language_of
from limner.tools.library import Library, Record, Report, captions, folding, machine, reading, reencoding, suggesting
from limner.tools.library.encoding import reads
from limner.tools.library.folders import library_path
from limner.tools.library.records import RECORDS
from limner.tools.retrieve import remarks
from limner.workflows.context import Context

MANY = 20  # unreadable files to name; the rest are counted
_LOOK_AT = 200  # captions that show their language


def fetch(encoder: str, terminal: Terminal) -> str:
    """Download an encoder that limner knows, unless it is there; returns the name to record in a library.

    The terminal shows size, licence and source first, then the megabytes.
    """
    settings = Settings()
    model = known().get(encoder)
    if model is None:
        return (
            str(Path(encoder).expanduser().resolve())
            if "/" in encoder and Path(encoder).expanduser().is_dir()
            else encoder
        )
    source = hub.Hub(settings.hub, settings.hub_offline)
    if is_there(model, settings.home):
        hub.fetch(model, settings.home, source, terminal.say)  # compares digests if it was copied by hand
        return encoder
    with terminal.counting(f"Downloading {encoder} (MB)") as count:
        hub.fetch(model, settings.home, source, terminal.say, lambda done, of: count(done // 10**6, of // 10**6))
    return encoder


def add(
    name: str,
    folders: Sequence[str | Path],
    on_progress: Callable[[int, int], None] | None = None,
    encoder: str = "",
    read_text: bool | None = None,
) -> list[str]:
    """Index folders into a library, creating it if needed. encoder: its name as `fetch` returns it. read_text: as for
    `libraries.index`."""
    context = opened_context()
    home = context.settings.home
    library, report = libraries.index(
        home,
        name,
        folders or libraries.folders_of(home, name),
        context.encoders,
        on_progress,
        connect=context.connect,
        max_pixels=context.settings.max_pixels,
        encoder=encoder,
        read_text=read_text,
    )
    lines = [*_lines(report), f"{name}: {len(library)} images. Try: limner library search {name} WORDS"]
    lines += [] if folders else libraries.staying(library, json.loads(library.meta("folders")))
    return [*lines, *_offered(library), *_describable(context, library)]


def _describable(context: Context, library: Library) -> list[str]:
    """A line about pictures that nothing is said of, if a model is connected that may describe them."""
    bare = 0 if context.demonstrates("selector") else sum(record.bare for record in library.records())
    many = "1 picture" if bare == 1 else f"{bare} pictures"
    command = f"`limner library caption {library.name}` (says the cost and asks you first)"
    return [f"To have your model describe {many} without words: {command}"] if bare else []


def _offered(library: Library) -> list[str]:
    """A line about pictures that nothing is said of, if only what they show could find them; another about captions
    whose language the encoder does not read."""
    records, lines = library.records(), []
    bare = 0 if library.encoders.clip else sum(record.bare for record in records)
    if bare:
        many = "1 picture has no words and is" if bare == 1 else f"{bare} pictures have no words and are"
        lines.append(f"{many} found by file name only. To search them by what they show: {_command(library, DEFAULT)}")
    texts = [record.text for record in records if not record.bare][:_LOOK_AT]
    if not reads(library.encoders.caption, texts):
        lines.append(
            f"The encoder does not read the captions' language ({language_of(texts).code}): they are found by their "
            f"words. To search them by meaning: {_command(library, MULTILINGUAL)}"
        )
    return lines


def _command(library: Library, encoder: str) -> str:
    """The command that gives a library an encoder, and what it costs."""
    model = known()[encoder]
    there = is_there(model, library.home)
    costs = "" if there else f" (downloads {model.megabytes} MB once, licence {model.licence})"
    return f"`limner library add {library.name} --encoder {model.name}`{costs}"


def listing() -> list[str]:
    """All libraries, one line each."""
    context = opened_context()
    names = libraries.libraries(context.settings.home)
    if not names:
        return ["No library yet. Make one with: limner library add NAME FOLDER"]
    return [f"{name:<24} {_size(context, name)}" for name in names]


def _size(context: Context, name: str) -> str:
    try:
        library = opened(context, name)
        return f"{len(library):>7} images{'  (reencode half made)' if reencoding.half_made(library) else ''}"
    except LibraryError as e:  # a library that cannot be opened must not hide the others
        return str(e)


def show(name: str, without: str = "", only: Sequence[str] = ()) -> list[str]:
    """Describe a library. without: list only images without this field. only: filters of the images to list."""
    context = opened_context()
    library = opened(context, name)
    limit, used = context.limits(Brief(text=name, only=tuple(only)))
    records, passing = library.page(without=without, limit=-1, only=limit, used=used or ())
    images, described, licensed = library.counts()
    lines = [
        f"{name}: {images} images, {described} with a caption of their own, {licensed} with a licence",
        f"encoders: {', '.join(library.encoders.names.values())}",
    ]
    lines += [f"folder: {printable_path(f)}" for f in json.loads(library.meta("folders") or "[]")]
    lines += _half_made(library, images)
    if words := library.own_words():
        lines.append(f"written here: words of {len(words)} images, which win over the folder's")
    if made := suggesting.suggested(library):
        by = ", ".join(machine.models(made.values()))
        lines.append(f"machine-made: words of {len(made)} images, by {by}; the folder's and yours win over them")
    if (copies := folding.counted(library))[0]:
        lines.append(f"near-copies: {copies[0]} images are {copies[1]}; searches show the best copy of each")
    read, with_text = reading.counted(library)
    if read:
        lines.append(f"text in pictures: {read} read, {with_text} with text")
    if only:
        lines.append(f"{', '.join(limit.texts)}: {passing} images")
    for r in records:
        details = f"  ({one_line(r.details)[:80]})" if r.details else ""
        caption = f"{one_line(r.caption)[:80]}{mark(r.machine_made)}{details}{_facts(r)}{_text(r)}"
        lines.append(f"{r.id[:12]}  {r.width}x{r.height}  {printable_path(r.path)}  {caption}")
    return [*lines, *remarks([library], limit, used, empty=False)]


def _half_made(library: Library, images: int) -> list[str]:
    """A line on vectors of another encoder that are not complete."""
    if (found := reencoding.half_made(library)) is None:
        return []
    (half, done), again = found, f"limner library reencode {library.name}"
    many = f"{done} of {images} images are encoded by {half.named}"
    return [f"reencode half made: {many}, not searched yet; to go on: {again} (to drop them: {again} --abandon)"]


def _facts(record: Record) -> str:
    """Facts of an image as the filters name them, apart from those that its details show."""
    known = {**record.facts, "licence": [record.licence], "added": [record.added]}
    named = ("rating", "licence", "embargo", "expires", "added")
    told = [f"{name}={value}" for name in named for value in known.get(name, []) if value]
    return f"  [{one_line(', '.join(told))[:160]}]" if told else ""


def _text(record: Record) -> str:
    """The text in an image, and the share of its area that it covers."""
    words, area, _detail = record.text_in_picture
    return f'  [text in the picture, {area:.0%}: "{shorten(words, 80)}"]' if words else ""


def mark(machine_made: Sequence[str]) -> str:
    """What is shown behind a machine-made caption, or behind a caption whose alternative text is."""
    if "caption" in machine_made:
        return " [machine-made]"
    return " [alt machine-made]" if machine_made else ""


def edit(name: str, image: str | None, words: captions.Words, reset: bool, given: Path | None) -> list[str]:
    """Write captions, credits and licences for one image, or for those of a file; one line per image."""
    if (image is None) == (given is None):
        raise BadInput(f'Name one image: limner library edit {name} IMAGE --caption "…", or give --from FILE.jsonl.')
    if given is not None and (words or reset):
        raise BadInput("--from brings the words with it. Leave the other options out.")
    if image is not None and not words and not reset:
        raise BadInput("Nothing to write. Give --caption, --alt, --credit or --licence, or --reset.")
    library = opened(opened_context(), name)
    if image is not None:
        fields = {**(dict.fromkeys(captions.FIELDS) if reset else {}), **words}
        wanted: dict[str, captions.Words] = {library.find(image).id: fields}
    else:
        assert given is not None
        wanted = _read_captions(library, given)
    records = library.write(wanted)
    return [f"{r.id[:12]}  {one_line(r.caption)[:100]}" for r in records]


def _read_captions(library: Library, file: Path) -> dict[str, captions.Words]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise BadInput(f"Cannot read {printable_path(str(file))} ({reason}): check the path.") from e
    wanted: dict[str, captions.Words] = {}
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        named = isinstance(row, dict) and (row.get("id") or row.get("file_name"))
        if not isinstance(row, dict) or not isinstance(named, str):
            raise BadInput(f'{file}, line {n}: not like {{"id": "…", "caption": "…"}}. Correct it; nothing is written.')
        words = {field: row[field] for field in captions.FIELDS if field in row}
        if not all(text is None or isinstance(text, str) for text in words.values()):
            raise BadInput(f"{file}, line {n}: a caption is a text or null. Correct it; nothing is written.")
        wanted[library.find(named).id] = words
    return wanted


def save_captions(name: str, out: Path) -> str:
    """Save the captions that people wrote in a library as JSON lines, even if the library cannot be opened."""
    settings = Settings()
    words = libraries.written_in(settings.home, name)
    rows = (json.dumps({"id": image, **fields}, ensure_ascii=False) + "\n" for image, fields in words.items())
    try:
        out.write_text("".join(rows), encoding="utf-8")
    except OSError as e:
        raise BadInput(f"Cannot write {printable_path(str(out))} ({e.strerror}): give another path.") from e
    return f"{out}: words of {len(words)} images"


def remove(name: str, *, captions_too: bool = False) -> str:
    """Remove a library; the image files stay. Raises BadInput if people or a model wrote captions in it, unless
    `captions_too`."""
    context = opened_context()
    words = libraries.written_in(context.settings.home, name)
    made = machine.of_library(library_path(context.settings.home, name) / RECORDS)
    if words and not captions_too:
        raise BadInput(
            f"People wrote words for {len(words)} images of {name}, which would be lost{_also(made)}. Save them with "
            f"`limner library captions {name} {name}.jsonl` (`limner library edit {name} --from {name}.jsonl` takes "
            "them in again), then remove it with --captions-too."
        )
    if made and not captions_too:
        by = ", ".join(machine.models(made.values()))
        raise BadInput(
            f"A model ({by}) wrote words for {len(made)} images of {name}, which would be lost; they can only be asked "
            "for again. Remove it all the same with --captions-too."
        )
    libraries.remove(context.settings.home, name, connect=context.connect)
    return f"{name} is removed. The image files are where they were."


def _also(made: Mapping[str, machine.Suggestion]) -> str:
    return f", and a model's for {len(made)}, which cannot be saved" if made else ""


def opened_context() -> Context:
    """The context of a command."""
    settings = Settings()
    return Context(settings, [], used=lately(settings))


def opened(context: Context, name: str) -> Library:
    """A library by its name."""
    return Library.open(context.settings.home, name, context.encoders, connect=context.connect)


def _lines(report: Report) -> list[str]:
    return [counted(report) or "nothing new", *details(report)]


def counted(report: Report) -> str:
    """What an indexing run did, in numbers; "" for nothing."""
    counts = {n: getattr(report, n) for n in ("added", "known", "renamed", "changed", "vanished")}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def details(report: Report) -> list[str]:
    """Lines about files that an indexing run could not read, or left out, and about the text in pictures."""
    lines = [f"{report.texts_read} pictures read, {report.texts_found} with text"] if report.texts_read else []
    kinds = [("unreadable", report.unreadable), ("caption unreadable", report.problems), ("skipped", report.skipped)]
    kinds.append(("text not read", report.texts_unread))
    for what, rows in kinds:
        lines += [f"{what}: {printable_path(path)}: {reason}" for path, reason in rows[:MANY]]
        if len(rows) > MANY:
            lines.append(f"{what}: {len(rows) - MANY} more")
    if report.written:
        lines.append(f"{report.written} keep words that people wrote in the library; they win over the folder's")
    return lines
