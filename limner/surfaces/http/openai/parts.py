"""The messages of a chat client: text, images, files, and parts of any other type, of which none is refused.

A client sends the whole conversation each time. A refused part would block it for good, so unknown ones keep their type
and name, and the answer says that they were not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from limner.text import one_line, shorten

_SILENT = frozenset({"refusal", "thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call", "tool_result"})
"""Types of parts with a model's own work, which limner ignores."""


class TextPart(BaseModel):
    """Words."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "input_text", "output_text"]
    text: str


class ImageUrl(BaseModel):
    """The address of an image."""

    model_config = ConfigDict(extra="allow")

    url: str


class ImagePart(BaseModel):
    """A picture."""

    model_config = ConfigDict(extra="allow")

    type: Literal["image_url", "input_image"]
    image_url: ImageUrl | str


class OtherPart(BaseModel):
    """A file, sound, film or any other part; `attached` reads the known ones."""

    model_config = ConfigDict(extra="allow")

    type: str = ""


Part = Annotated[TextPart | ImagePart | OtherPart, Field(union_mode="left_to_right")]


class Attached(NamedTuple):
    """A file attached to a message."""

    name: str
    """The file's name, on one line; "" if the client sent none."""
    media: str
    """Its media type, "" if the client sent none."""
    data: str
    """Base64, a data: URL, or with `plain` the text itself; "" if the client sent only an address or an id."""
    plain: bool = False


class Message(BaseModel):
    """One message; additional fields are ignored."""

    model_config = ConfigDict(extra="allow")

    role: Annotated[str, Field(max_length=64)]
    content: str | list[Part] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _as_parts(cls, content: Any) -> Any:
        if content is None or isinstance(content, str):
            return content
        items = content if isinstance(content, list) else [content]
        return [_as_part(item) for item in items]

    @property
    def parts(self) -> list[TextPart | ImagePart | OtherPart]:
        """Its parts; plain text is one part."""
        if isinstance(self.content, list):
            return self.content
        return [TextPart(type="text", text=self.content)] if self.content else []

    @property
    def text(self) -> str:
        """Its words."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def images(self) -> list[str]:
        """Addresses of its images, also of those sent as files."""
        urls = []
        for part in self.parts:
            if isinstance(part, ImagePart):
                urls.append(part.image_url if isinstance(part.image_url, str) else part.image_url.url)
            elif isinstance(part, OtherPart) and (url := _picture(part)):
                urls.append(url)
        return urls

    @property
    def files(self) -> list[Attached]:
        """Its files other than images."""
        found = [attached(p) for p in self.parts if isinstance(p, OtherPart) and not _picture(p)]
        return [file for file in found if file is not None]

    @property
    def others(self) -> list[str]:
        """The types of its parts other than text, images and files."""
        rest = [p for p in self.parts if isinstance(p, OtherPart) and not _picture(p) and attached(p) is None]
        return [one_line(p.type)[:40] or "part without a type" for p in rest if p.type not in _SILENT]


def _as_part(item: Any) -> Any:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, Mapping):
        return item if isinstance(item, BaseModel) else {"type": ""}
    kind = item.get("type")
    text = item.get("text")
    if isinstance(text, Mapping) and isinstance(text.get("value"), str):  # as in the Assistants API
        text = text["value"]
    made = {**item, "type": kind if isinstance(kind, str) else ""}
    return {**made, "text": text} if isinstance(text, str) else made


def attached(part: OtherPart) -> Attached | None:
    """The file of a part; None for other parts.

    It knows `file` of the OpenAI API and of the AI SDK, `input_file` of its Responses API, `document` of Anthropic's,
    `file_url`.
    """
    if part.type not in ("file", "input_file", "document", "file_url"):
        return None
    extra: Mapping[str, Any] = part.model_extra or {}
    inner = _mapping(extra.get("file")) or _mapping(extra.get("file_url")) or _mapping(extra.get("source"))
    both = {**extra, **inner}
    name = _first(both, "filename", "name", "title", "file_id", "id")
    media = _first(both, "media_type", "mediaType", "mimeType", "mime_type")
    data = _first(both, "file_data", "data", "content")
    plain = inner.get("type") == "text" or (part.type == "file_url" and bool(data))
    if not data or data.startswith(("http://", "https://")):
        return Attached(_name(name), media, "")
    return Attached(_name(name), media or _media_of(data), data, plain and not data.startswith("data:"))


def _picture(part: OtherPart) -> str:
    """An image sent as a file, or in the form of Anthropic's API, as a data: URL or an address; "" for none."""
    extra: Mapping[str, Any] = part.model_extra or {}
    if part.type == "image":
        source = _mapping(extra.get("source"))
        if source.get("type") == "base64":
            return f"data:{_first(source, 'media_type') or 'image/png'};base64,{_first(source, 'data')}"
        return _first({**extra, **source}, "url", "image", "data")
    file = attached(part)
    if file is None or file.plain or not file.media.startswith("image/") or not file.data:
        return ""
    return file.data if file.data.startswith("data:") else f"data:{file.media};base64,{file.data}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(values: Mapping[str, Any], *names: str) -> str:
    return next((v for n in names if isinstance(v := values.get(n), str) and v), "")


def _name(name: str) -> str:
    return shorten(one_line(name), 200)


def _media_of(data: str) -> str:
    head = data[:200]
    return head[5:].partition(";")[0].partition(",")[0] if head.startswith("data:") else ""
