"""The prices of models, in US dollars.

Prices of providers come from genai-prices, a table that pydantic keeps and that names each provider by its address. A
server on this machine or in its network counts as free, but not where money is limited, because it may be a gateway to
a provider. `prices.toml` in limner's home comes first, for other servers
and for prices of one's own, in US dollars per million tokens:

    ["qwen3-vl-8b"]
    input = 0.20
    output = 0.60
    cached = 0.02
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from limner.errors import BadInput
from limner.text import printable_path

Price = Callable[[int, int, int], float]
"""(prompt, completion, cached) tokens to US dollars; `cached` is the part of `prompt` that the server's cache had."""

Dollars = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Own(BaseModel):
    """A row of prices.toml, in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid")

    input: Dollars
    output: Dollars
    cached: Dollars | None = None

    def __call__(self, prompt: int, completion: int, cached: int) -> float:
        """US dollars."""
        known, cached = self.input if self.cached is None else self.cached, min(cached, prompt)
        return ((prompt - cached) * self.input + cached * known + completion * self.output) / 1e6


class _Table(RootModel[dict[str, _Own]]):
    """prices.toml, by the model's name."""


def free(_prompt: int, _completion: int, _cached: int) -> float:
    """The price of a model of one's own."""
    return 0.0


def near(_prompt: int, _completion: int, _cached: int) -> float:
    """The price of a server on this machine or in its network: nothing, unless it passes its calls on to a provider."""
    return 0.0


def price_of(model: str, url: str, home: Path) -> Price | None:
    """The price of a model at a server; None if limner knows none. url: "" if nobody knows where it is.

    Raises BadInput for a prices.toml that cannot be read.
    """
    if (own := _own(home)).get(model) is not None:
        return own[model]
    if not url:
        return None
    return near if _near(url) else _provider(model, url)


def _own(home: Path) -> dict[str, _Own]:
    path = home / "prices.toml"
    try:
        return _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).root
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as e:
        raise _unread(path, f"cannot be read ({e}). Correct it, or remove it.") from e
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        words = f"{where[:100]}: {first['msg']}. Write input, output and cached in US dollars per million tokens."
        raise _unread(path, words) from e


def _unread(path: Path, words: str) -> BadInput:
    line = " ".join(words.split())
    return BadInput(f"{printable_path(str(path))}: {line}", afar=f"prices.toml: {line}")


def _near(url: str) -> bool:
    """Whether a server stands on this machine or in its network."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:  # not an address; its connection says so
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".localhost", ".home.arpa"))
    return address.is_loopback or address.is_private


@cache
def _provider(model: str, url: str) -> Price | None:
    from genai_prices import Usage, calc_price  # half a second, for those who pay

    def price(prompt: int, completion: int, cached: int) -> float:
        used: Any = Usage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=min(cached, prompt))
        return float(calc_price(used, model, provider_api_url=url).total_price)

    try:
        price(1, 1, 0)
    except LookupError:
        return None
    return price
