"""Encode text and images as vectors.

`MiniLM` turns captions into dense vectors, `bm25.Words` into sparse ones, and an encoder of `pictures`, which is
optional, puts pictures and texts into one space. A library records the names of the encoders that made it.

numpy is imported only where vectors are made, because building a graph over a library needs none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from limner.errors import LimnerError, NotInstalled
from limner.lazy import lazy
from limner.models.encoders.known import Kind, KnownEncoder, known
from limner.models.encoders.layout import is_pictures
from limner.models.encoders.minilm import FolderEncoder, MiniLM
from limner.models.encoders.sentence_folder import is_sentences
from limner.models.known import is_there, models_folder
from limner.text import printable_path
from limner.tools import plugins
from limner.tools.bm25 import Words
from limner.tools.plugins import Plugin

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
else:  # a graph over a library is built without it
    np = lazy("numpy")


@runtime_checkable
class TextEncoder(Protocol):
    """Encodes texts as vectors whose dot product is their similarity."""

    @property
    def name(self) -> str:
        """A name that changes whenever the vectors do."""
        ...

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length, in the order of the texts."""
        ...


class PictureEncoder(TextEncoder, Protocol):
    """Encodes images and texts as vectors of one space."""

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """(n, size) float32, rows of unit length. pictures: any size, RGB."""
        ...


# --- together ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoders:
    """The encoders that a library is indexed and searched with."""

    caption: TextEncoder
    words: Words
    clip: PictureEncoder | None = None
    threads: int = 0
    """CPU threads of an encoder that a library brings along; 0 for all."""

    @property
    def names(self) -> dict[str, str]:
        """Names by encoder; recorded in each library and compared when it is opened."""
        names = {"caption": self.caption.name, "words": self.words.name}
        return names | ({"clip": self.clip.name} if self.clip else {})

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by dense vector."""
        return {"caption": self.caption.size} | ({"clip": self.clip.size} if self.clip else {})


def default_encoders(
    *, caption: str = "", clip_model: str = "", threads: int = 0, home: Path | None = None
) -> Encoders:
    """Build MiniLM and BM25, and an encoder of pictures if `clip_model` names one.

    caption: see `caption_encoder`, "" for MiniLM. clip_model: see `picture_encoder`. Raises NotInstalled, BadInput,
    PluginFailed.
    """
    texts = caption_encoder(caption, home, threads=threads)
    clip = picture_encoder(clip_model, home, threads=threads) if clip_model else None
    return Encoders(texts, Words(), clip, threads)


def kind_of(name: str) -> Kind:
    """Whether `caption_encoder` or `picture_encoder` has the encoder of that name; an unknown one is of pictures.

    Raises BadInput, PluginFailed for a plug-in that cannot be loaded.
    """
    if name == "minilm":
        return "captions"
    if (model := known().get(name)) is not None:
        return model.kind
    if _is_plugin(name):
        return "pictures" if hasattr(encoder(name).inner, "encode_images") else "captions"
    folder = Path(name).expanduser()
    return "captions" if "/" in name and not is_pictures(folder) and is_sentences(folder) else "pictures"


def caption_encoder(name: str, home: Path | None, *, threads: int = 0) -> TextEncoder:
    """An encoder of captions by its name.

    name: "minilm" or ""; one of `pictures/models.toml`, whose files lie below `home`; a path with a slash of a folder
    with an ONNX model; else a plug-in's. Raises NotInstalled, BadInput, PluginFailed.
    """
    if name in ("", "minilm"):
        return MiniLM(threads=threads)
    if (model := known().get(name)) is not None and model.kind == "captions":
        return _sentences(_downloaded(model, home), threads)
    if "/" in name or os.sep in name:
        return _sentences(Path(name), threads)
    return encoder(name, threads=threads)


def picture_encoder(name: str, home: Path | None, *, threads: int = 0) -> PictureEncoder:
    """An encoder of pictures by its name.

    name: a plug-in's; one of `pictures/models.toml`, whose files lie below `home`; a path with a slash of a folder with
    an ONNX model; else open_clip's, see `OpenClip.of`. Raises NotInstalled, BadInput, PluginFailed.
    """
    if _is_plugin(name):
        return encoder(name, threads=threads, pictures=True)
    if (model := known().get(name)) is not None and model.kind == "pictures":
        return _onnx(_downloaded(model, home), threads)
    folder = Path(name).expanduser()
    if "/" in name and (is_pictures(folder) or folder.is_dir()):
        return _onnx(folder.resolve(), threads)
    from limner.models.encoders.openclip import OpenClip

    return OpenClip.of(name, threads=threads)


def _is_plugin(name: str) -> bool:
    return "/" not in name and any(plugin.name == name for plugin in plugins.installed("encoder"))


def _downloaded(model: KnownEncoder, home: Path | None) -> Path:
    """The folder of a known model. Raises NotInstalled if its files are not there."""
    if home is None or not is_there(model, home):
        raise NotInstalled(
            f"The encoder {model.name} is not on this machine ({model.megabytes} MB). Fetch it with "
            f"`limner library add NAME FOLDER --encoder {model.name}`, or copy it to "
            f"{printable_path(str(models_folder(home) / model.name)) if home else 'models/' + model.name}."
        )
    return models_folder(home) / model.name


@cache
def _onnx(folder: Path, threads: int) -> PictureEncoder:
    """One for all libraries of a process, because its weights take up to a gigabyte."""
    from limner.models.encoders.onnx import OnnxPictures

    return OnnxPictures(folder, threads=threads)


@cache
def _sentences(folder: Path, threads: int) -> FolderEncoder:
    """One for all libraries of a process."""
    return FolderEncoder(folder, threads=threads)


def with_own(encoders: Encoders, own: Mapping[Kind, str], home: Path) -> Encoders:
    """These encoders with those that a library brings along. own: a name per kind. Raises what `caption_encoder` and
    `picture_encoder` raise."""
    if captions := own.get("captions"):
        encoders = replace(encoders, caption=caption_encoder(captions, home, threads=encoders.threads))
    if pictures := own.get("pictures"):
        encoders = replace(encoders, clip=picture_encoder(pictures, home, threads=encoders.threads))
    return encoders


NEAR_ONE = 1e-3  # allowed difference of a row's length from 1: float16 models round


def encoder(name: str, *, threads: int = 0, pictures: bool = False) -> PluggedEncoder:
    """A plug-in's caption encoder by its name; pictures: it must also encode images, in the same space.

    Raises BadInput, PluginFailed.
    """
    plugin = plugins.find("encoder", name)
    methods = ("encode_texts", "encode_images") if pictures else ("encode_texts",)

    def shape(make: Any) -> Any:
        made = make(threads=threads) if callable(make) else None
        named = isinstance(getattr(made, "name", None), str) and isinstance(getattr(made, "size", None), int)
        return made if named and all(callable(getattr(made, m, None)) for m in methods) else None

    wanted = f"a class that is made with threads= and has name, size and {' and '.join(methods)}"
    return PluggedEncoder(plugin, plugins.load(plugin, shape, wanted))


class PluggedEncoder:
    """Another package's encoder. Its vectors are checked, because a library of wrong vectors would find nothing."""

    def __init__(self, plugin: Plugin, inner: Any) -> None:
        self.plugin, self.inner = plugin, inner

    @property
    def name(self) -> str:
        """The encoder's name, prefixed by the plug-in's, so that it is unique."""
        return f"{self.plugin.name}: {self.inner.name}"

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.inner.size

    @property
    def languages(self) -> Sequence[str]:
        """The languages it reads, as BCP 47 codes; () for all."""
        return tuple(getattr(self.inner, "languages", ()))

    def load(self) -> None:
        """Load its weights now, if it can."""
        if callable(load := getattr(self.inner, "load", None)):
            self._call(load)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises PluginFailed for anything else."""
        return self._checked(self._call(lambda: self.inner.encode_texts(texts)), len(texts))

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises PluginFailed for anything else."""
        return self._checked(self._call(lambda: self.inner.encode_images(pictures)), len(pictures))

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except LimnerError:
            raise
        except Exception as e:
            raise plugins.failed(self.plugin, e, "encoding") from e

    def _checked(self, answer: Any, count: int) -> np.ndarray:
        vectors, wanted = np.asarray(answer), (count, self.size)
        if vectors.shape != wanted or vectors.dtype.kind != "f":
            problem = f"it gave {vectors.dtype} of shape {vectors.shape} where floats of shape {wanted} are due"
            raise plugins.failed(self.plugin, problem, "encoding")
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        if not np.all(np.abs(lengths - 1) < NEAR_ONE):  # NaN compares as false, too
            raise plugins.failed(self.plugin, "its vectors are not all of unit length", "encoding")
        return vectors.astype(np.float32)
