"""The checks of `limner doctor`: try every part and say how to correct what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from langchain_core.messages import HumanMessage

from limner.errors import LimnerError
from limner.exports import FORMATS
from limner.exports.plugged import exporter
from limner.models.encoders.known import Kind
from limner.settings import Settings
from limner.tools import plugins
from limner.tools.encoders import TextEncoder, caption_encoder, encoder, picture_encoder
from limner.tools.generate import Generator
from limner.tools.library import Library, libraries, own_encoders
from limner.tools.library.filters import ALL
from limner.tools.retrieve import remarks
from limner.tools.server_store import server
from limner.tools.trial import kinship, likeness
from limner.version import __version__
from limner.workflows.context import Context
from limner.workflows.roles import plugged_dialect

NEEDED = 500_000_000  # bytes: a library of some ten thousand images and its write-ahead log


@dataclass(frozen=True)
class Check:
    """The result for one part: whether it works, and a finding or what to do."""

    part: str
    ok: bool
    finding: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.part:<10} {' '.join(self.finding.split())}"


def checkup(settings: Settings) -> Iterator[Check]:
    """Check each part and yield its result."""
    yield Check("limner", True, f"{__version__}, home {settings.home}")
    context = Context(settings, [])
    model = _tried("model", lambda: _model(context))
    yield model
    if model.ok and not context.reranks:  # a reranker selects by captions
        yield _tried("vision", lambda: _vision(context))
    if context.reranks:
        yield _tried("reranker", lambda: _reranker(context))
    encoders = _tried("encoders", lambda: _encoders(context))
    yield encoders
    if encoders.ok:
        for kind, name in _own_encoders(settings):
            yield _tried(kind, lambda kind=kind, name=name: _OWN[kind](name, settings))
    yield _tried("store", lambda: _store(context))
    if encoders.ok:
        yield from _libraries(context)
    yield from _plugins()
    yield from (_disk(name, path) for name, path in (("disk", settings.home), ("disk", Path.cwd())))


def _tried(part: str, check: Callable[[], str]) -> Check:
    try:
        return Check(part, True, check())
    except LimnerError as e:
        return Check(part, False, str(e))


def _model(context: Context) -> str:
    speaker = context.speaker("writer")
    words = speaker.say([HumanMessage("Answer with one word: what colour is snow?")], max_tokens=16)
    return f"{speaker.name} at {speaker.where} answers ({' '.join(words.split())[:40]!r})"


def _vision(context: Context) -> str:
    speaker = context.speaker("selector")
    if context.demonstrates("selector"):
        return f"{speaker.name} reads captions only; to have images seen get a model that sees: limner setup"
    if context.sees("selector"):
        return f"{speaker.name} told two tiny pictures apart"
    raise LimnerError(context.notes("selector")[0])


def _reranker(context: Context) -> str:
    """Ask the reranker which of two texts is about a bee, in both orders."""
    reranker = context.reranker
    about = ["A bee gathers nectar from a purple flower.", "The tax return is due at the end of the quarter."]
    bee, tax = reranker.scores("a honeybee on a blossom", about)
    tax_again, bee_again = reranker.scores("a honeybee on a blossom", about[::-1])
    if bee <= tax or bee_again <= tax_again:
        raise LimnerError(
            f"The reranker {reranker.name} at {reranker.where} cannot tell a bee from a tax return ({bee:.3g} and "
            f"{tax:.3g}). Serve another model, or check that it is a reranker."
        )
    return f"{reranker.name} at {reranker.where} tells a bee from a tax return ({bee:.3g} and {tax:.3g}); it selects"


def _encoders(context: Context) -> str:
    name = context.settings.encoder
    _bees(context.encoders.caption, f"Use another than {name!r} (LIMNER_ENCODER)." if name else _REINSTALL)
    return ", ".join(f"{role}: {name}" for role, name in context.encoders.names.items())


_REINSTALL = "Reinstall it: uv sync --reinstall."


def _bees(captions: TextEncoder, cure: str) -> None:
    """Raises LimnerError unless an encoder of captions tells a bee from a tax return."""
    bee, tax = kinship(captions)
    if bee <= tax:
        raise LimnerError(f"The caption encoder {captions.name} cannot tell a bee from a tax return. {cure}")


def _own_encoders(settings: Settings) -> list[tuple[Kind, str]]:
    """The encoder of pictures that is set, and those that libraries have."""
    found: list[tuple[Kind, str]] = [("pictures", settings.clip_model)] if settings.clip_model else []
    for name in libraries(settings.home):
        found += own_encoders(settings.home, name).items()
    return [*dict.fromkeys(found)]


def _captions(name: str, settings: Settings) -> str:
    """Load an encoder of captions and let it tell a bee from a tax return."""
    captions = caption_encoder(name, settings.home, threads=settings.threads)
    _bees(captions, f"Use other weights than {name}.")
    return f"{captions.name} tells a bee from a tax return, {captions.size} numbers"


def _pictures(name: str, settings: Settings) -> str:
    """Load an encoder of pictures and let it tell a red picture from a blue one."""
    clip = picture_encoder(name, settings.home, threads=settings.threads)
    red, blue = likeness(clip, ("red", "blue"), ("a plain red picture", "a plain blue picture"))
    if red[0] - red[1] <= blue[0] - blue[1]:
        raise LimnerError(f"{clip.name} cannot tell a red picture from a blue one. Use other weights than {name}.")
    return f"{clip.name} tells a red picture from a blue one, {clip.size} numbers"


_OWN: dict[Kind, Callable[[str, Settings], str]] = {"captions": _captions, "pictures": _pictures}


def _store(context: Context) -> str:
    url = context.settings.qdrant_url
    if not url:
        return "Qdrant Edge, a folder per library"
    count = len(server(url, context.settings.qdrant_api_key.get_secret_value()).get_collections().collections)
    return f"Qdrant at {url}, {count} collections"


def _libraries(context: Context) -> Iterator[Check]:
    settings = context.settings
    names = libraries(settings.home)
    if not names:
        yield Check("library", True, "none yet; make one with: limner library add NAME FOLDER")
    for name in names:

        def opened(name: str = name) -> str:
            library = Library.open(settings.home, name, context.encoders, connect=context.connect)
            library.search(["anything"], 1)
            return " ".join([f"{name}: {len(library)} images", *remarks([library], ALL, ())])

        yield _tried("library", opened)


def _plugins() -> Iterator[Check]:
    """Load each installed plug-in to see whether it works."""
    for plugin in [p for kind in plugins.KINDS for p in plugins.installed(kind)]:

        def loaded(plugin: plugins.Plugin = plugin) -> str:
            _LOAD[plugin.kind](plugin.name)
            return str(plugin)

        yield _tried("plug-in", loaded)


def _exporter(name: str) -> None:
    exporter(name, FORMATS)


def _encoder(name: str) -> None:
    encoder(name)


def _generator(name: str) -> None:
    Generator.named(name)


_LOAD: dict[str, Callable[[str], object]] = {
    "dialect": plugged_dialect,
    "encoder": _encoder,
    "exporter": _exporter,
    "generator": _generator,
}


def _disk(part: str, path: Path) -> Check:
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    finding = f"{free / 1e9:.1f} GB free for {path}"
    if free < NEEDED:
        return Check(part, False, f"{finding}; at least {NEEDED / 1e9:.1f} are wanted. Free some, or set LIMNER_HOME.")
    return Check(part, True, finding)
