"""Read published shards and write converted ones, one tensor at a time.

Published files are untrusted: pickles are opened only with `weights_only=True`, and names in an index cannot leave the
folder.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from limner.model_server.errors import ConversionError

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(?:safetensors|bin)")
# Exceptions of torch's restricted unpickler, written in Python, for damaged pickles.
_DAMAGED = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    struct.error,
)
MAX_JSON = 64 * 1024 * 1024  # bytes; a published index has 200 kB


class Checkpoint:
    """The tensors of a folder of `.safetensors` or `.bin` shards. Holds one shard open at a time; close it.

    shapes: key -> shape of every tensor. Raises ConversionError naming the file that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: tuple[str, _Safetensors | _Pickle] | None = None
        self.files, promised = _find(folder)
        self._where: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        try:
            for file in self.files:
                self._list(file)
        except BaseException:
            self.close()
            raise
        for key, file in promised.items():
            if self._where.get(key) != file:
                self.close()
                raise ConversionError(f"The index says {key!r} is in {file}, it is not: download the checkpoint again.")

    def _list(self, file: str) -> None:
        for key, shape in self._shard(file).shapes():
            if key in self._where:
                raise ConversionError(f"{key!r} is in {self._where[key]} and in {file}: which one counts is unclear.")
            self._where[key], self.shapes[key] = file, shape

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the open shard."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def read(self, key: str) -> Tensor:
        """One tensor; it stays valid after its shard is closed."""
        return self._shard(self._where[key]).read(key)

    def order(self, key: str) -> int:
        """Position of a key's shard; reading in this order opens few shards twice."""
        return self.files.index(self._where[key])

    def _shard(self, file: str) -> _Safetensors | _Pickle:
        if self._open is None or self._open[0] != file:
            self.close()  # close first: two published shards at once would take 10 GB
            kind = _Safetensors if file.endswith(".safetensors") else _Pickle
            self._open = file, kind(self.folder / file)
        return self._open[1]


class _Safetensors:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework="pt")
            self._file.__enter__()
        except (SafetensorError, OSError) as error:
            raise ConversionError(f"{path.name} is a damaged safetensors file ({error}): download it again.") from None

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for key in self._file.keys():  # noqa: SIM118 - not a mapping
            yield key, tuple(self._file.get_slice(key).get_shape())

    def read(self, key: str) -> Tensor:
        return self._file.get_tensor(key)

    def close(self) -> None:
        self._file.__exit__(None, None, None)


class _Pickle:
    """A `.bin` shard, memory-mapped so that only the tensors in use are loaded; files from before 2020 are loaded
    whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._tensors = _load(path)
        except pickle.UnpicklingError:
            raise ConversionError(
                f"{path.name} holds more than plain tensors, and such a pickle can run code: get a safetensors copy."
            ) from None
        except _DAMAGED as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConversionError(f"{path.name} cannot be read ({reason}): download it again.") from None
        if not isinstance(self._tensors, dict):
            raise ConversionError(f"{path.name} holds a {type(self._tensors).__name__}, not tensors by name.")
        for key, value in self._tensors.items():
            if not isinstance(key, str) or not isinstance(value, Tensor):
                raise ConversionError(f"{key!r} in {path.name} is a {type(value).__name__}, not a tensor.")

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        return ((key, tuple(t.shape)) for key, t in self._tensors.items())

    def read(self, key: str) -> Tensor:
        return self._tensors[key]

    def close(self) -> None:
        self._tensors = {}


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about pickle protocols; unreadable files raise
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True if zipped else None)


def _find(folder: Path) -> tuple[list[str], dict[str, str]]:
    """File names of the shards, and the index's mapping from key to file, if there is an index."""
    for name in _INDEXES:
        if (folder / name).is_file():
            weight_map = read_json(folder / name).get("weight_map")
            if not isinstance(weight_map, dict) or not weight_map:
                raise ConversionError(f"{name} has no weight_map: download the checkpoint again.")
            for file in weight_map.values():
                if not isinstance(file, str) or not _SHARD.fullmatch(file):
                    raise ConversionError(f"{name} names {file!r}, which is not a shard of this folder.")
                if not (folder / file).is_file():
                    raise ConversionError(f"{name} names {file}, which is not in {folder}: download it.")
            return sorted(set(weight_map.values())), weight_map
    for name in _SINGLES:
        if (folder / name).is_file():
            return [name], {}
    raise ConversionError(
        f"No weights in {folder}: expected {', '.join(_SINGLES)} or an index ({', '.join(_INDEXES)}) with its shards."
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ConversionError naming the file."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise ConversionError(f"{path.name} is over {MAX_JSON} bytes, which no such file is.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConversionError(f"No {path.name} in {path.parent}: a checkpoint needs one beside its weights.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path.name} is no JSON ({type(error).__name__}): download it again.") from None
    if not isinstance(value, dict):
        raise ConversionError(f"{path.name} is not a JSON object: download it again.")
    return value


class ShardWriter:
    """Writes tensors to safetensors shards of at most `limit` bytes (one larger tensor gets a shard of its own).

    Shards have provisional names until `finish`, when their number is known.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._pending: dict[str, Tensor] = {}
        self._bytes = 0
        self._shards: list[list[str]] = []
        self.total_bytes = 0

    def add(self, name: str, tensor: Tensor) -> None:
        """Take one tensor; may write a shard."""
        size = tensor.numel() * tensor.element_size()
        if self._pending and self._bytes + size > self.limit:
            self._flush()
        # A view into a mapped file would be written together with its base.
        self._pending[name] = tensor.clone(memory_format=torch.contiguous_format)
        self._bytes += size
        self.total_bytes += size

    def _flush(self) -> None:
        save_file(self._pending, self.folder / f"shard-{len(self._shards)}", metadata={"format": "pt"})
        self._shards.append(list(self._pending))
        self._pending, self._bytes = {}, 0

    def finish(self) -> None:
        """Write the rest, rename the shards, and write the index if there are several."""
        if self._pending:
            self._flush()
        count, weight_map = len(self._shards), {}
        for n, names in enumerate(self._shards):
            file = f"model-{n + 1:05d}-of-{count:05d}.safetensors" if count > 1 else "model.safetensors"
            (self.folder / f"shard-{n}").rename(self.folder / file)
            weight_map |= dict.fromkeys(names, file)
        if count > 1:
            index = {"metadata": {"total_size": self.total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
            text = json.dumps(index, indent=2) + "\n"
            (self.folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def remove_shards(folder: Path) -> None:
    """Remove the remains of an interrupted ShardWriter."""
    for file in [*folder.glob("shard-*"), *folder.glob("model*.safetensors"), *folder.glob("model*.index.json")]:
        with suppress(FileNotFoundError):
            file.unlink()
