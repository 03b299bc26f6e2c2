"""Exporters from plug-ins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from limner.document import Article
from limner.errors import ExportFailed, LimnerError
from limner.exports.format import Format
from limner.tools import plugins
from limner.tools.plugins import Plugin


def exporter(name: str, built_in: Mapping[str, Format]) -> Format:
    """A plug-in's format by name. Raises BadInput, PluginFailed.

    built_in: limner's own formats, whose names and files a plug-in cannot take.
    """
    plugin = plugins.find("exporter", name, built_in)

    def shape(made: Any) -> Any:
        made = made() if isinstance(made, type) else made
        file = getattr(made, "file", None)
        plain = isinstance(file, str) and _is_plain(file, built_in.values())
        return made if plain and callable(getattr(made, "write", None)) else None

    wanted = "a class, or an object, with `file` (a plain file name of its own) and write(article, images)"
    made = plugins.load(plugin, shape, wanted)
    return _format(plugin, made)


def _format(plugin: Plugin, made: Any) -> Format:
    def write(article: Article, images: Any) -> str | bytes:
        try:
            written = made.write(article, images)
        except LimnerError:
            raise
        except Exception as e:
            raise plugins.failed(plugin, e, f"writing {made.file}") from e
        if not isinstance(written, str | bytes):
            problem = f"it gave {type(written).__name__}, not text or bytes"
            raise plugins.failed(plugin, problem, f"writing {made.file}")
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


def _is_plain(file: str, built_in: Iterable[Format]) -> bool:
    """Whether a name is a plain file name in the folder that limner does not use itself."""
    ours = ("images", *(f.file for f in built_in))
    plain = file.isprintable() and not set(file) & set('/\\:*?"<>|')
    return plain and len(Path(file).parts) == 1 and file.lower() not in ours
