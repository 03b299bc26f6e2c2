"""Recognise and answer chat clients' side requests: a title, tags, follow-ups, queries, a summary.

A chore is recognised by its whole shape: the requested thing, its subject, the output format, and the embedded
conversation. One of these alone is an ordinary brief. The words come from the clients' templates, in their languages.
limner answers without a model: with the article's title, or with nothing if it has nothing to offer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from limner.surfaces.http.openai.parts import Message
from limner.text import one_line, shorten

Kind = Literal["title", "tags", "follow_ups", "queries", "prompt", "text", "tool_calls", "emoji", "summary"]

_FORMS: Mapping[str, Kind] = {
    "title": "title",
    "tags": "tags",
    "follow_ups": "follow_ups",
    "queries": "queries",
    "prompt": "prompt",
    "text": "text",
}
_EMPTY: dict[str, Any] = {"tags": [], "follow_ups": [], "queries": [], "text": "", "tool_calls": []}
_KEY = re.compile(r'"([a-z_]{1,20})"\s{0,5}:')
_HISTORY = ("<chat_history>", "</chat_history>")
_LONGEST = 3000  # characters of an instruction

# The four marks of a request for a title: the thing, its length, its subject, and that nothing else is wanted.
_TITLE = re.compile(
    r"(?i)\b(?:titles?|topic|titel|titre|título|titolo|titulo)\b|заголов|назван|тему|标题|標題|主题|主題|タイトル|제목"
)
_SIZE = re.compile(
    r"(?i)\bwords?\b|\bchar(?:acter)?s?\b|wörter|wörtig|\bworte?n?\b|zeichen\b|\bmots?\b|caractères|palabras?\b|"
    r"caracteres|\bparole\b|\bcaratteri\b|palavras?\b|слов|символ|个字|個字|字以内|字以內|\d\s?字|文字|単語|단어|글자"
)
_TALK = re.compile(
    r"(?i)\b(?:conversation|chat|dialog(?:ue)?|discussion)s?\b|gespräch|unterhaltung|conversación|conversazione|"
    r"conversa\b|разговор|диалог|бесед|对话|對話|会话|會話|会話|聊天|这句话|這句話|대화"
)
_ALONE = re.compile(
    r"(?i)\bonly\b|\bwithout any\b|no (?:additional|other|explanation)|nothing else|ohne |sans |\bsin |senza |\bsem |"
    r"без |только|不要|仅|只|のみ|なし|만 |punctuation|satzzeichen|ponctuation|puntuaci|punteggiatura|pontuaç|标点|標點"
)
_SUMMARY = re.compile(r"(?i)summar|zusammenfass|fasse|résum|resum|riassu|резюм|кратк|итог|总结|總結|要約|요약")
_TURN = re.compile(r"(?mi)^(?:user|human)\s?:")
_REPLY = re.compile(r"(?mi)^(?:ai|assistant|bot|model)\s?:")


class Chore(NamedTuple):
    """A side request of a client."""

    kind: Kind
    form: Literal["json", "plain"]
    about: str
    """The chore's conversation, as far as the client sends it."""


def find(messages: Sequence[Message]) -> Chore | None:
    """Recognise a chore; None for a conversation with limner."""
    spoken = [m for m in messages if m.role not in ("system", "developer")]
    if not spoken:
        return None
    system = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    if spoken[-1].role == "assistant":
        return _summary(messages, spoken)
    users = [m for m in spoken if m.role == "user"]
    if not users or users[-1] is not spoken[-1]:
        return None
    text = users[-1].text.strip()
    alone = len(spoken) == 1
    return (
        _json_about_history(text)
        or (_tools(system, text) if alone else None)
        or (_titled_transcript(system, text) if alone else None)
        or (_title_then_text(text) if alone else None)
        or (None if alone else _title_of_this(text, spoken[:-1]))
        or _face(text)
    )


def _json_about_history(text: str) -> Chore | None:
    """Open WebUI: instructions, the JSON form of the answer, and last the history in its tags."""
    head, opened, rest = text.partition(_HISTORY[0])
    about, closed, tail = rest.rpartition(_HISTORY[1])
    if not (opened and closed) or "<context>" in head:
        return None
    kind: Kind | None = next((_FORMS[k] for k in _KEY.findall(head[-20_000:]) if k in _FORMS), None)
    if kind is None or (tail.strip() and not (kind == "text" and "<text>" in tail)):
        return None
    return Chore(kind, "json", about)


def _tools(system: str, text: str) -> Chore | None:
    """Open WebUI: which tools to call, if the model seems to have none of its own."""
    if not (system.lstrip().startswith("Available Tools:") and '"parameters"' in system):
        return None
    return Chore("tool_calls", "json", text) if re.match(r"Query: ?\s*History:", text) else None


def _titled_transcript(system: str, text: str) -> Chore | None:
    """LibreChat and LobeChat: a transcript, and a request for a title before or after it, or in the system message.

    DeepChat and Cherry Studio: the request is the system message, and Cherry Studio's transcript is JSON.
    """
    if _wants_title(system, strict=True) and (_is_transcript(text) or _is_tagged(text)):
        return Chore("title", "plain", text)
    if _wants_title(system) and (talk := _json_transcript(text)):
        return Chore("title", "plain", talk)
    turn = _TURN.search(text)
    if turn is None or not _is_transcript(text[turn.start() :]):
        return None
    head, tail = text[: turn.start()], text[-_LONGEST:].rpartition("\n\n")[2]
    if _wants_title(head) or (not head.strip() and _wants_title(tail)):
        return Chore("title", "plain", text[turn.start() :])
    return None


def _title_then_text(text: str) -> Chore | None:
    """Continue: a paragraph that requests only a title of the chat, followed by the text alone."""
    head, _, rest = text.partition("\n\n")
    return Chore("title", "plain", rest) if rest.strip() and _wants_title(head, strict=True) else None


def _title_of_this(text: str, before: Sequence[Message]) -> Chore | None:
    """NextChat: the conversation and one more message, which requests only its title."""
    answered = any(m.role == "assistant" for m in before)
    if not (answered and "\n\n" not in text and _wants_title(text, strict=True)):
        return None
    return Chore("title", "plain", "\n".join(m.text for m in before[-6:]))


def _summary(messages: Sequence[Message], spoken: Sequence[Message]) -> Chore | None:
    """NextChat: the conversation, followed by a system message that requests a summary."""
    last = messages[-1]
    if last.role == "assistant" or len(last.text) > _LONGEST or not _SUMMARY.search(last.text):
        return None
    return Chore("summary", "plain", "\n".join(m.text for m in spoken[-6:]))


def _face(text: str) -> Chore | None:
    """Open WebUI: an emoji for a message, which is in a fence at the end."""
    head, fence, rest = text.partition("Message: ```")
    whole = bool(fence) and len(head) < _LONGEST and rest.endswith("```")
    return Chore("emoji", "plain", rest) if whole and "facial expression" in head and "emoji" in head else None


def _wants_title(text: str, *, strict: bool = False) -> bool:
    """Whether an instruction asks for a conversation's title. strict: it must also exclude anything else."""
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return False
    marks = [bool(mark.search(text)) for mark in (_TITLE, _TALK, _SIZE, _ALONE)]
    return all(marks) if strict else marks[0] and marks[1] and (marks[2] or marks[3])


def _is_transcript(text: str) -> bool:
    return bool(_TURN.match(text.lstrip())) and bool(_REPLY.search(text))


def _json_transcript(text: str) -> str:
    """The transcript in `[{"role": "user", "mainText": "…"}, …]`; "" if a text is anything else."""
    if not re.match(r"\[\s*\{", text):
        return ""
    try:
        turns = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not all(isinstance(turn, Mapping) and isinstance(turn.get("role"), str) for turn in turns):
        return ""
    words = ((turn["role"], turn.get("mainText", turn.get("content"))) for turn in turns)
    return "\n".join(f"{role}: {content}" for role, content in words if isinstance(content, str))


def _is_tagged(text: str) -> bool:
    return text.startswith("<user>") and "<assistant>" in text and text.endswith(("</assistant>", "</user>"))


# --- answers -------------------------------------------------------------------------------------------------------


def heading(about: str) -> str:
    """A title for a conversation from its text: the heading of its article, else the user's first words."""
    for line in about[:200_000].splitlines():
        if found := re.match(r"\s{0,3}(?:(?:ai|assistant|bot|model)\s?:\s*)?#\s+(.{1,200})", line, re.IGNORECASE):
            return shorten(one_line(found[1].strip(" #*_")), 80)
    words = one_line(_TURN.sub("", about[:2000], count=1)).split()
    return shorten(" ".join(words[:6]), 80) or "limner"


def answer(chore: Chore, title: str, wanted: Any = None) -> str:
    """Answer a chore. title: the article's. wanted: the request's `response_format`."""
    schema = _properties(wanted)
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if chore.kind in ("title", "summary", "prompt"):
        key = "title" if chore.kind == "title" else chore.kind
        if schema:
            return json.dumps({name: title if name == key else "" for name in schema}, ensure_ascii=False)
        is_json = chore.form == "json" or kind == "json_object"
        return json.dumps({key: title}, ensure_ascii=False) if is_json else title
    if chore.kind == "emoji":
        return "🖼️"
    return json.dumps({chore.kind: _EMPTY[chore.kind]})


def _properties(wanted: Any) -> list[str]:
    """The field names in the JSON schema of a request."""
    made = wanted
    for name in ("json_schema", "schema", "properties"):
        made = made.get(name) if isinstance(made, Mapping) else None
    return [str(name) for name in made][:20] if isinstance(made, Mapping) else []
