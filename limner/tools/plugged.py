"""Encoders and exporters of other packages, held to what limner's own promise: see docs/plugins.md for their shapes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import ExportFailed, LimnerError
from limner.tools import plugins
from limner.tools.plugins import Plugin

if TYPE_CHECKING:
    import numpy as np

    from limner.document import Article

NEAR_ONE = 1e-3  # a row's length may differ from 1 by this much: float16 models round


# --- encoders --------------------------------------------------------------------------------------------------------


def encoder(name: str, *, threads: int = 0, pictures: bool = False) -> PluggedEncoder:
    """A caption encoder by its name; pictures: one that encodes images as well, in the same space.

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
    """Another package's encoder. What it answers is checked: a library full of wrong vectors would find nothing."""

    def __init__(self, plugin: Plugin, inner: Any) -> None:
        self.plugin, self.inner = plugin, inner

    @property
    def name(self) -> str:
        """With the plug-in's name before its own, so that it is never taken for another's."""
        return f"{self.plugin.name}: {self.inner.name}"

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.inner.size

    def load(self) -> None:
        """Load its weights now, where it offers that."""
        if callable(load := getattr(self.inner, "load", None)):
            self._asked(load)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises PluginFailed for anything else."""
        return self._checked(self._asked(lambda: self.inner.encode_texts(texts)), len(texts))

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises PluginFailed for anything else."""
        return self._checked(self._asked(lambda: self.inner.encode_images(pictures)), len(pictures))

    def _asked(self, call: Callable[[], Any]) -> Any:
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
            said = f"it gave {vectors.dtype} of shape {vectors.shape} where floats of shape {wanted} are due"
            raise plugins.failed(self.plugin, said, "encoding")
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        if not np.all(np.abs(lengths - 1) < NEAR_ONE):  # not a number compares as false as well
            raise plugins.failed(self.plugin, "its vectors are not all of unit length", "encoding")
        return vectors.astype(np.float32)


# --- exporters -------------------------------------------------------------------------------------------------------


def exporter(name: str, built_in: Collection[str]) -> Any:
    """A format by its name, as an entry of `export.FORMATS`. Raises BadInput, PluginFailed."""
    plugin = plugins.find("exporter", name, built_in)

    def shape(made: Any) -> Any:
        made = made() if isinstance(made, type) else made
        file = getattr(made, "file", None)
        plain = isinstance(file, str) and _is_plain(file)
        return made if plain and callable(getattr(made, "write", None)) else None

    wanted = "a class, or an object, with `file` (a plain file name of its own) and write(article, images)"
    made = plugins.load(plugin, shape, wanted)
    return _format(plugin, made)


def _format(plugin: Plugin, made: Any) -> Any:
    from limner.tools.export import Format  # it is what asks for exporters

    def write(article: Article, images: Any) -> str | bytes:
        try:
            written = made.write(article, images)
        except LimnerError:
            raise
        except Exception as e:
            raise plugins.failed(plugin, e, f"writing {made.file}") from e
        if not isinstance(written, str | bytes):
            said = f"it gave {type(written).__name__}, not text or bytes"
            raise plugins.failed(plugin, said, f"writing {made.file}")
        return written

    def check(article: Article, path: Path) -> None:
        if not path.stat().st_size:
            raise ExportFailed(str(plugins.failed(plugin, "there is nothing in it", f"writing {made.file}")))
        if not callable(own := getattr(made, "check", None)):
            return
        try:
            own(article, path)
        except LimnerError:
            raise
        except Exception as e:
            raise plugins.failed(plugin, e, f"reading {made.file} again") from e

    return Format(made.file, bool(getattr(made, "linked", False)), write, check)


def _is_plain(file: str) -> bool:
    """Whether a name stands for a file in the folder, and for none of limner's."""
    parts = Path(file).parts
    from limner.tools.export import FORMATS

    ours = ("images", *(f.file for f in FORMATS.values()))
    return len(parts) == 1 and file.isprintable() and not set(file) & set('/\\:*?"<>|') and file.lower() not in ours
