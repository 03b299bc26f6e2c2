"""Remove secrets from logs: those of the settings, and anything that looks like one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from limner.settings import Settings

HIDDEN = "***"
LEAST = 8  # characters; shorter secrets are recognised by context only, else a secret "limner" would blank that word

_KEYWORD = r"(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|pwd|passphrase|cookie|signature)"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ and token@ in a URL, then the same without a scheme
    (re.compile(r"(?<=://)[^\s\"'<>`]+(?=@)"), HIDDEN),
    (re.compile(r"(?<![\w*])[\w.+-]+:[^\s:@\"'/][^\s@\"']*@(?=[\w\[])"), f"{HIDDEN}@"),
    (re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)(?:[a-z]+\s+)?[^\s\"',;]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    # API_KEY=…, "secret": "…", --token …, ?key=…; tokens=12 is a number and stays
    (re.compile(rf"(?i)({_KEYWORD}[\"']?\s*[=:]\s*b?)(\"[^\"]*\"|'[^']*'|[^\s\"',;&)}}\]]+)"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)(--[\w-]*{_KEYWORD}\s+)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)([?&]key=)[^\s\"'&]+"), rf"\1{HIDDEN}"),
    # by prefix: limner, webhooks, OpenAI and compatible, Hugging Face, LangSmith, GitHub, Slack, AWS; JWT
    (re.compile(r"\b(?:limner_[\w-]{24,}|whsec_[\w+/=-]+|(?:sk|pk|rk)-[\w-]{8,}|hf_\w{8,}|lsv2_\w+)"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_\w{8,}|github_pat_\w+|xox[abeoprs]-[\w-]+|AKIA[0-9A-Z]{12,})"), HIDDEN),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
)


class Redactor:
    """Removes secrets from text: those of the settings, and anything that looks like one."""

    def __init__(self, settings: Settings) -> None:
        known = {form for secret in _secrets(settings) for form in _spellings(secret)}
        words = sorted((w for w in known if len(w) >= LEAST), key=len, reverse=True)  # whole secrets first
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub(HIDDEN, text)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text

    def value(self, value: Any) -> Any:
        """Remove secrets from a JSON value at any depth; other types become text first."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(k)): self._named(str(k), v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(v) for v in value]
        return value if value is None or isinstance(value, (bool, int, float)) else self(str(value))

    def _named(self, key: str, value: Any) -> Any:
        secret = isinstance(value, str) and re.search(rf"(?i){_KEYWORD}$|^authorization$", key)
        return HIDDEN if secret and value else self.value(value)


def _secrets(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield (secret := value.get_secret_value())
            try:
                password = urlsplit(secret).password or ""
            except ValueError:  # not an address, so it contains no password
                continue
            yield from (password, unquote(password))


def _spellings(secret: str) -> Iterator[str]:
    """The spellings of a secret in messages: plain, in a URL, in JSON, in a repr."""
    yield from (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
