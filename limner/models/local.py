"""Find the files of a model that limner runs itself: the GGUF, and the projector of pictures that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from limner.errors import BadInput, NotInstalled
from limner.models.gguf import Header, read_header
from limner.models.known import is_projector_file, is_there, models_folder
from limner.models.language import folder_name, is_spec, known
from limner.text import one_line, printable_path

NO_PROJECTOR = "none"
"""The value of LIMNER_MMPROJ that leaves pictures out."""
_MOST = 200  # GGUF files of a folder that are looked into


class Local(NamedTuple):
    """A model on this machine, whose headers were read."""

    model: Header
    projector: Header | None
    """The file that makes it see; None for a text model."""

    @property
    def name(self) -> str:
        """Its name for records: that of its file, in lower case."""
        return self.model.path.stem.lower()


def find(name: str, home: Path, projector: str = "") -> Local:
    """The files of a model, named as in LIMNER_MODEL (`language.is_local`), without reaching for the hub.

    projector: as in LIMNER_MMPROJ: a path, "none", or "" for the one that lies beside the model. Raises NotInstalled
    for a model that is not here, BadInput for a file that cannot be used.
    """
    model, near, own = _model(name, home)
    if not model.has_template:
        raise BadInput(
            f"{printable_path(str(model.path))} has no chat template: it continues texts and follows no instructions. "
            "Choose a model that is tuned for instructions (limner model list)."
        )
    return Local(model, _projector(model, near, own, projector))


def _model(name: str, home: Path) -> tuple[Header, list[Path], bool]:
    """The header of the language model, the files among which its projector is, and whether they are its alone."""
    if not is_spec(name) and name not in known():
        path = Path(name).expanduser().absolute()
        header = read_header(path)
        if header.is_projector:
            raise BadInput(
                f"{printable_path(str(path))} is a projector of pictures, not a model. Name the model, and this in "
                "LIMNER_MMPROJ if it lies elsewhere."
            )
        return header, sorted(filter(is_projector_file, path.parent.glob("*.gguf")))[:_MOST], False
    folder = models_folder(home) / folder_name(name)
    there = is_there(known()[name], home) if name in known() else folder.is_dir()
    files = sorted(folder.rglob("*.gguf"))[:_MOST] if there else []
    found = [header for header in map(read_header, files) if not header.is_projector]
    if not found:
        raise NotInstalled(
            f"{one_line(name)[:100]} is not on this machine. Download it with `limner model get {one_line(name)[:100]}`"
            ", or set LIMNER_MODEL_URL if a server has it."
        )
    return found[0], [path for path in files if is_projector_file(path)], True


def _projector(model: Header, near: list[Path], own: bool, given: str) -> Header | None:
    """The projector that was named, or the one that lies beside the model and makes as many numbers per token.

    own: whether the folder is the model's alone; in any other lie strangers, which say nothing about this model.
    """
    if given == NO_PROJECTOR:
        return None
    if given:
        header = read_header(Path(given).expanduser().absolute())
        if not header.is_projector:
            raise BadInput(f"{printable_path(given)} is no projector of pictures (mmproj). Correct LIMNER_MMPROJ.")
        return header
    if len(near) == 1 and (own or _stem(near[0]) == _stem(model.path)):
        return read_header(near[0])  # if it does not fit, the engine says what is wrong with the only one
    fitting = [
        h
        for h in map(_readable, near)
        if h and h.is_projector and h.width in (0, model.width) and (own or _akin(h.path, model.path))
    ]
    alike = [h for h in fitting if _stem(h.path) == _stem(model.path)]
    if len(fitting) > 1 and len(alike) != 1:
        names = ", ".join(printable_path(h.path.name) for h in fitting[:6])
        raise BadInput(
            f"Several projectors of pictures lie beside {printable_path(model.path.name)} and may belong to it "
            f"({names}). Name one in LIMNER_MMPROJ, or {NO_PROJECTOR}."
        )
    return (alike or fitting or [None])[0]


def _readable(path: Path) -> Header | None:
    """A header; None for a file that is damaged or still being copied: nobody named it."""
    try:
        return read_header(path)
    except BadInput:
        return None


def _stem(path: Path) -> str:
    """A file's name without "mmproj" and the word for its bits: the same for a model and its projector."""
    words = path.stem.lower().replace("_", "-").split("-")
    plain = [w for w in words if w not in ("mmproj", "model", "k", "m", "s", "0", "1") and not _is_bits(w)]
    return "-".join(plain)


def _akin(projector: Path, model: Path) -> bool:
    """Whether a projector's name speaks for the model: it begins as the model's does, or names none at all."""
    one, other = _stem(projector), _stem(model)
    return other.startswith(one) or one.startswith(other)


def _is_bits(word: str) -> bool:
    return word in ("f16", "f32", "bf16") or (word[:1] == "q" and word[1:].isdigit()) or word.startswith("iq")
