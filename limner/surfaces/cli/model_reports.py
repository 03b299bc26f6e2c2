"""The work behind `limner model` and `limner setup`: each function returns the lines to print, or the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from limner.errors import BadInput
from limner.models import capacity, choice, hub, language, machine
from limner.models.known import holds_model, is_there, models_folder
from limner.models.language import LanguageModel
from limner.models.local import find
from limner.settings import CHOICE, Settings, overruling, read_choice
from limner.surfaces.cli.terminal import Stopped, Terminal
from limner.text import one_line, printable_path, without_password

DEFAULT = "default"
"""The name of the embedded SmolLM2 for `limner model use`."""


def listing() -> list[str]:
    """The models of the table, those that were downloaded by another name, and the one in use; a line each."""
    settings = Settings()
    lines = []
    for model in language.known().values():
        here = "here" if is_there(model, settings.home) else "-"
        marked = _marked(model.name, settings)
        lines.append(
            f"{marked} {model.name:<16} {here:<5} {_size(model.bytes):>7}  from {model.memory:>2} GB of memory  "
            f"{model.licence:<10}  {model.about}; languages: {model.languages}"
        )
    known = {model.name for model in language.known().values()}
    for folder in _folders(settings.home):
        if folder.name.startswith("hf--") and folder.name not in known and holds_model(folder):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            lines.append(f"{_marked(folder.name, settings)} {_spec(folder.name)} {'here':<5} {_size(size):>7}")
    return [*lines, in_use(settings)]


def _marked(name: str, settings: Settings) -> str:
    used = settings.model
    try:
        plain = language.folder_name(used) if language.is_spec(used) else used
    except BadInput:  # mistyped: no model of the list
        return " "
    return "*" if used and not settings.model_url and plain == name else " "


def _spec(folder: str) -> str:
    """`hf:…` of a folder, as far as its name tells."""
    owner, repository, *file = folder.removeprefix("hf--").split("--", 2)
    return f"hf:{owner}/{repository}{':' + file[0] if file else ''}"


def _folders(home: Path) -> list[Path]:
    folder = models_folder(home)
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".") if folder.is_dir() else []


def in_use(settings: Settings) -> str:
    """The model in use, and what says so."""
    chosen = read_choice(settings.home)
    by = "the choice in model.toml" if chosen and chosen.get("model", "") == settings.model else "a variable"
    if settings.model_url:
        return f"In use: {settings.model or 'the first model'} of {_address(settings.model_url)}, by {by}."
    if settings.model:
        return f"In use: {printable_path(settings.model)}, by {by}."
    return "In use: the embedded SmolLM2-135M, which sees nothing. Get a model that sees: limner setup"


def _address(url: str) -> str:
    try:
        return one_line(without_password(url))
    except ValueError:  # a variable's; connecting to it says what is wrong
        return "an address that is damaged"


def _checked_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or one_line(url) != url:
        raise BadInput(
            f"The model server's address {one_line(url)[:200]!r} is not an http address. Write e.g. "
            "http://localhost:8000/v1."
        )
    return url


def look_up(name: str) -> LanguageModel:
    """A model to download, by its name in the table or `hf:…`. Raises BadInput, NotInstalled."""
    settings = Settings()
    if language.is_spec(name):
        here = models_folder(settings.home) / language.folder_name(name)
        if holds_model(here):
            return LanguageModel(here.name, "", "", "", "", "", ())
        return language.of_hub(name, _hub(settings))
    if name not in language.known():
        raise BadInput(
            f"Unknown model {one_line(name)[:100]!r}. Choose one of {', '.join(language.known())}, or "
            "hf:OWNER/REPOSITORY of any other on the hub."
        )
    return language.known()[name]


def get(model: LanguageModel, terminal: Terminal) -> None:
    """Download a model, unless it is here. Its size, licence and source come first. Raises BadInput, NotInstalled."""
    settings = Settings()
    if not model.files:  # of another name than the table's, and here
        return
    total = machine.memory()[0]
    if total and model.bytes + capacity.WORKSPACE > total:
        raise BadInput(
            f"{model.name} needs over {model.bytes / 1e9:.1f} GB of memory, and this machine has {total / 1e9:.1f}. "
            "Choose a smaller model: limner model list."
        )
    if is_there(model, settings.home):
        hub.fetch(model, settings.home, _hub(settings), terminal.say)  # compares digests if it was copied by hand
        return
    try:
        with terminal.counting(f"Downloading {model.name} (MB)") as count:
            hub.fetch(
                model, settings.home, _hub(settings), terminal.say, lambda done, of: count(done // 10**6, of // 10**6)
            )
    except KeyboardInterrupt as stop:
        raise Stopped("Stopped. Run the command again; it goes on where it stopped.") from stop


def use(name: str, url: str = "", mmproj: str = "") -> list[str]:
    """Choose a model: one of a server, one that is here, or the default. Raises BadInput, NotInstalled."""
    settings = Settings()
    if name == DEFAULT and not url:
        choice.forget(settings.home)
        return [in_use(Settings())]
    if url:
        if mmproj:
            raise BadInput("--mmproj belongs to a GGUF that limner runs itself. Leave it out beside --url.")
        chosen = {"model": name, "model_url": _checked_address(url)}
    else:
        if not language.is_local(name):
            raise BadInput(
                f"{one_line(name)[:100]!r} is no model that limner runs itself (limner model list). Give its server's "
                "address with --url, e.g. http://localhost:8000/v1."
            )
        local = find(name, settings.home, mmproj)  # before anything is loaded: can it be used here at all?
        capacity.capacity(local.model, local.projector, *machine.memory())
        named = name if name in language.known() or language.is_spec(name) else str(local.model.path)
        shown = mmproj if mmproj in ("", "none") else str(Path(mmproj).expanduser().absolute())
        chosen = {"model": named, "mmproj": shown}
    file = choice.write(settings.home, **chosen)
    now = Settings()
    lines = [f"{in_use(now)} ({printable_path(str(file))})"]
    if any(getattr(now, key) != chosen.get(key, "") for key in CHOICE):
        lines.append(f"The choice is overruled. Unset {' and '.join(overruling())}.")
    return lines


def remove(name: str) -> list[str]:
    """Delete a model that was downloaded. Raises BadInput for any other."""
    settings = Settings()
    folder = models_folder(settings.home) / language.folder_name(name)
    parts = folder.with_name(f".{folder.name}.part")
    if (name not in language.known() and not language.is_spec(name)) or not (folder.is_dir() or parts.is_dir()):
        raise BadInput(f"{one_line(name)[:100]!r} was not downloaded. See limner model list.")
    used = _marked(folder.name, settings) == "*"
    size = sum(path.stat().st_size for f in (folder, parts) for path in f.rglob("*") if path.is_file())
    for gone in filter(Path.is_dir, (folder, parts)):
        shutil.rmtree(gone)
    lines = [f"{one_line(name)[:100]} is removed: {_size(size)} are free again."]
    if used and read_choice(settings.home).get("model") == name:
        choice.forget(settings.home)
        lines.append(in_use(Settings()))
    return lines


def _hub(settings: Settings) -> hub.Hub:
    return hub.Hub(settings.hub, settings.hub_offline)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**8 else f"{count / 1e6:.0f} MB"
