"""Prepare captions and credits for output: on one line, with marks escaped."""

from __future__ import annotations

import re
import unicodedata

from limner.document import Article, Candidate, Illustration

_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff]")  # change the text direction, or are invisible
SURROGATE = re.compile("[\ud800-\udfff]")
# Everything that CommonMark, its table and strikethrough extensions or GitHub's mathematics could read as a mark, and
# the characters with which GitHub detects addresses; and what templates would run, whatever the draft is for: `{{` and
# `{%` of Liquid, Jinja and Hugo, `{` of MDX, `:::` and `:name` of directives.
_MARK = re.compile(r"[\\`*_\[\]<>&~|$@{]|:(?=::)|(?<=::):|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def line(text: str) -> str:
    """Text from outside as one line without control characters."""
    text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in _UNSEEN.sub("", text))
    return " ".join(SURROGATE.sub("\ufffd", text).split())


def as_bytes(text: str) -> bytes:
    """UTF-8; bytes of a draft that were not UTF-8 are restored."""
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text).encode("utf-8", errors="surrogateescape")


def escaped(text: str) -> str:
    """One line of Markdown that renders as exactly this text."""
    return _MARK.sub(_as_text, line(text))


def _as_text(mark: re.Match[str]) -> str:
    # A brace as an entity: a template reads `{%` and `{#` after a backslash, too.
    return "&#123;" if mark[0] == "{" else "\\" + mark[0]


def attribution(i: Illustration | Candidate, language: str = "en") -> str:
    """Credit, licence and the label of a machine-made caption as one line; "" without any. language: the article's."""
    credit, licence = line(i.credit), line(i.licence)
    label = machine_label(language) if "caption" in i.machine_made and line(i.caption) else ""
    return ", ".join(part for part in (credit, "" if licence in credit else licence, label) if part)


def machine_label(language: str) -> str:
    """The label of a caption that a model wrote for the library; English for unknown languages."""
    return _MACHINE.get(_base(language), _MACHINE["en"])


_MACHINE = {
    "ar": "تعليق كتبه الذكاء الاصطناعي",
    "de": "Bildtext von einer KI",
    "en": "caption written by AI",
    "es": "pie de foto escrito por IA",
    "fa": "زیرنویس نوشتهٔ هوش مصنوعی",
    "fr": "légende rédigée par une IA",
    "he": "כיתוב שנכתב בידי AI",
    "it": "didascalia scritta da un'IA",
    "ja": "AIによる説明文",
    "ko": "AI가 작성한 설명",
    "nl": "bijschrift geschreven door AI",
    "pl": "podpis napisany przez AI",
    "pt": "legenda escrita por IA",
    "ru": "подпись составлена ИИ",
    "zh": "图注由AI撰写",
}


def alt_of(i: Illustration) -> str:
    """The alternative text, read out instead of an image."""
    return line(i.alt) or line(i.caption)


_CREDITS = {
    "ar": "مصادر الصور",
    "de": "Bildnachweise",
    "es": "Créditos de las imágenes",
    "fa": "منابع تصاویر",
    "fr": "Crédits des images",
    "he": "מקורות התמונות",
    "it": "Crediti delle immagini",
    "ja": "画像クレジット",
    "ko": "이미지 출처",
    "nl": "Beeldverantwoording",
    "pl": "Źródła ilustracji",
    "pt": "Créditos das imagens",
    "ru": "Источники изображений",
    "ur": "تصاویر کے ماخذ",
    "zh": "图片来源",
}


def credits_title(language: str) -> str:
    return _CREDITS.get(_base(language), "Image credits")


def _base(language: str) -> str:
    return re.split("[-_]", language.lower())[0]


def credited(article: Article) -> list[Illustration]:
    """The images with a credit, licence or machine-made caption, each once, in reading order."""
    once = {b.image_id: b for b in reversed(list(article.blocks())) if isinstance(b, Illustration) and attribution(b)}
    return list(reversed(once.values()))


def caption_text(i: Illustration, language: str = "en") -> str:
    """Caption and credit as one plain line, as shown under an image. language: the article's."""
    credit = attribution(i, language)
    return " ".join(part for part in (line(i.caption), f"({credit})" if credit else "") if part)
