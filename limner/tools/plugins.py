"""Find and load parts from installed packages by entry points: dialects, encoders, exporters, image generators.

A part is loaded when it is first requested by name; an unused part costs nothing and can break nothing. Every message
names the package and the entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from limner.errors import BadInput, PluginFailed

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
Kind = Literal["dialect", "encoder", "exporter", "generator"]
KINDS: tuple[Kind, ...] = ("dialect", "encoder", "exporter", "generator")
BUILT_IN: dict[Kind, tuple[str, ...]] = {
    "dialect": ("instruct", "small", "xcomposer", "xcomposer2"),
    "encoder": ("minilm",),
    "exporter": (),  # limner/exports names its own formats
    "generator": (),
}
"""limner's own names, which no plug-in can take, in whatever order things were installed."""


class Plugin(NamedTuple):
    """An entry point of an installed package."""

    kind: Kind
    name: str
    package: str
    """Its distribution's name and version, "limner-slides 1.2"."""
    value: str
    """The entry point's value, "limner_slides:Slides"."""

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} of the package {self.package} ({self.value})"


def installed(kind: Kind) -> list[Plugin]:
    """The installed plug-ins of a kind, by name. Reads the packages' metadata; imports none."""
    return sorted(_plugin(kind, point) for point in _points(kind))


def find(kind: Kind, name: str, built_in: Collection[str] = ()) -> Plugin:
    """Find a plug-in by name without loading it.

    Raises BadInput if there is none, PluginFailed if two packages or limner itself have the name.
    """
    own = (*BUILT_IN[kind], *built_in)
    found = sorted({plugin for plugin in installed(kind) if plugin.name == name})
    if name in own and found:
        raise PluginFailed(
            f"{_cap(found[0])} has a name that is limner's own. Uninstall the package, or rename it there."
        )
    if not found:
        there = ", ".join(dict.fromkeys([*own, *(p.name for p in installed(kind))]))
        hint = f"Use some of: {there}; or install its package." if there else "Install the package that has it."
        what = "format" if kind == "exporter" else kind
        raise BadInput(f"There is no {what} {_line(name, 64)!r}. {hint}")
    if len(found) > 1:
        packages = " and ".join(plugin.package for plugin in found)
        raise PluginFailed(f"The {kind} {name!r} is in two packages, {packages}. Uninstall one of them.")
    return found[0]


def load(plugin: Plugin, shape: Callable[[Any], T | None], wanted: str) -> T:
    """Load a plug-in: import its entry point and turn it into a part by `shape`, which returns None for a wrong object.

    wanted: a description of the required object. Raises PluginFailed.
    """
    try:
        (point,) = (p for p in _points(plugin.kind) if _plugin(plugin.kind, p) == plugin)
        part = shape(point.load())
    except (Exception, SystemExit) as e:  # third-party code may raise anything; report it in one line
        raise PluginFailed(
            f"{_cap(plugin)} cannot be loaded ({_reason(e)}). Repair or uninstall the package, or do without the "
            f"{plugin.kind}."
        ) from e
    if part is None:
        raise PluginFailed(
            f"{_cap(plugin)} is not {wanted}. Its authors will find what it has to be in docs/plugins.md."
        )
    return part


def failed(plugin: Plugin, error: BaseException | str, doing: str) -> PluginFailed:
    """The error of a plug-in at work. doing: e.g. "writing talk.txt"."""
    reason = error if isinstance(error, str) else _reason(error)
    return PluginFailed(f"{_cap(plugin)} failed at {doing} ({reason}). Tell its authors, or do without it.")


def _plugin(kind: Kind, point: EntryPoint) -> Plugin:
    dist = point.dist
    package = f"{dist.name} {dist.version}" if dist else "an unknown package"
    return Plugin(kind, _line(point.name), _line(package), _line(point.value))


def _points(kind: Kind) -> Collection[EntryPoint]:
    from importlib.metadata import entry_points

    return entry_points(group=f"limner.{kind}s")


def _cap(plugin: Plugin) -> str:
    text = str(plugin)
    return text[0].upper() + text[1:]


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {_line(str(error))}".rstrip(": ")


def _line(text: str, limit: int = 160) -> str:
    text = "".join(c for c in " ".join(text.split()) if c.isprintable())  # no escape codes on anybody's terminal
    return text if len(text) <= limit else text[: limit - 1] + "…"
