"""The encoders that limner knows by name (`models.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from limner.models.known import Known, WeightsFile

Kind = Literal["captions", "pictures"]
"""Encoders of captions, and encoders of pictures; both also encode queries."""


@dataclass(frozen=True)
class KnownEncoder(Known):
    """An encoder on the hub."""

    kind: Kind = "pictures"


DEFAULT = "siglip2"
"""The model that `limner library add` offers for pictures without words."""
MULTILINGUAL = "multilingual-e5-small"
"""The model that it offers for captions in a language that the library's encoder does not read."""


@cache
def known() -> dict[str, KnownEncoder]:
    """The models by name."""
    data = tomllib.loads((files("limner.models.encoders") / "models.toml").read_text(encoding="utf-8"))
    return {
        name: KnownEncoder(
            name=name,
            files=tuple(WeightsFile(path, **facts) for path, facts in row.pop("files").items()),
            **row,
        )
        for name, row in data.items()
    }
