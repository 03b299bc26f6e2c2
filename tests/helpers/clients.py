"""Requests of chat clients as they send them: the shape of each client's template, worded anew.

From the templates in the clients' public repositories: Open WebUI's `config.py`, LibreChat's agents and file
encoding, NextChat's locales, LobeChat's prompt chains, Continue's chat describer, n8n's chat model node.
"""

from __future__ import annotations

import json
from typing import Any

MARK = "<!-- limner:job=honey-1 -->"
ANSWER = f"# How Bees Make Honey\n\nA worker bee leaves the hive.\n\n{MARK}\n"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


HISTORY = f"<chat_history>\nUSER: How bees make honey\nASSISTANT: {ANSWER}\n</chat_history>"


def open_webui(wish: str, form: str, tail: str = "") -> list[dict[str, Any]]:
    """One of Open WebUI's tasks: its wish, guidelines, the form of the answer, and the history."""
    task = f"### Task:\n{wish}\n\n### Guidelines:\n- Use the chat's main language.\n\n### Output:\n{form}\n\n"
    return [user(f"{task}### Chat History:\n{HISTORY}{tail}")]


OPEN_WEBUI: dict[str, list[dict[str, Any]]] = {
    "title": open_webui("Generate a short title with an emoji.", 'JSON format: { "title": "your title" }'),
    "tags": open_webui("Generate 1-3 broad tags.", 'JSON format: { "tags": ["tag1", "tag2"] }'),
    "follow_ups": open_webui("Suggest 3-5 questions.", 'JSON format: { "follow_ups": ["Question 1?"] }'),
    "queries": open_webui("Is a search needed?", 'Strictly return in JSON format:\n{\n  "queries": ["query1"]\n}'),
    "prompt": open_webui("Describe an image.", 'Strictly return in JSON format:\n{\n    "prompt": "A description."\n}'),
    "text": [
        user(
            "### Task:\nYou are an autocompletion system.\n\n### **Output Rules**:\n- Respond only in JSON format: "
            f'`{{ "text": "<your_completion>" }}`.\n\n---\n### Context:\n{HISTORY}\n<type>General</type>\n'
            "<text>How bees</text>\n#### Output:\n"
        )
    ],
    "tool_calls": [
        system('Available Tools: [{"name": "search", "parameters": {}}]\n\nReturn { "tool_calls": [] } if none fits.'),
        user('Query: History:\nUSER: """How bees make honey"""\nQuery: How bees make honey'),
    ],
    "emoji": [
        user(
            "Your task is to reflect the speaker's facial expression through a fitting emoji.\n\nMessage: ```Honey!```"
        )
    ],
}

TURNS = f"User: How bees make honey\nAI: {ANSWER}"
TITLES: dict[str, list[dict[str, Any]]] = {
    "LibreChat": [
        user(f"Provide a concise, 5-word-or-less title for the conversation. Only return the title.\n\n{TURNS}")
    ],
    "LibreChat, with a heading": [
        user(f"Write a title of at most five words for the conversation below.\n\nConversation:\n{TURNS}")
    ],
    "LibreChat, before": [user(f"Write a title of at most five words for the conversation below.\n\n{TURNS}")],
    "LibreChat, structured": [
        user(
            "Look at this conversation and give:\n1. its language\n2. A concise title in the detected language "
            f"(5 words or less)\n\n{TURNS}"
        )
    ],
    "NextChat": [
        user("How bees make honey"),
        assistant(ANSWER),
        user("Please generate a four to five word title of our conversation without any lead-in or punctuation."),
    ],
    "NextChat, Chinese": [
        user("How bees make honey"),
        assistant(ANSWER),
        user("使用四到五个字直接返回这句话的简要主题，不要解释、不要标点"),
    ],
    "NextChat, German": [
        user("How bees make honey"),
        assistant(ANSWER),
        user("Erstelle einen Titel von vier bis fünf Wörtern für unser Gespräch, ohne Einleitung und Satzzeichen."),
    ],
    "LobeChat": [
        system("You summarize conversations into a title.\n\nRules:\n- Output ONLY the title text\n- Maximum 10 words"),
        user(f"user: How bees make honey\nassistant: {ANSWER}"),
    ],
    "LobeChat, tagged": [
        system("You summarize conversations into a title.\n\nRules:\n- Output ONLY the title text\n- Maximum 10 words"),
        user(f"<user>\nHow bees make honey\n</user>\n<assistant>\n{ANSWER}\n</assistant>"),
    ],
    "LobeChat, before": [
        system("Summarize the conversation into a title within 5 words."),
        user(
            f"user: How bees make honey\nassistant: {ANSWER}\n\n"
            "Please summarize the above conversation into a title within 5 words, without punctuation."
        ),
    ],
    "Continue": [
        user(
            "Given the following... please reply with a title for the chat that is 3-4 words in length, no additional "
            f"text or explanation.\n\n{ANSWER}"
        )
    ],
}

CONTEXT = (
    '<context>\n<source id="1" name="wax.md">Wax comes from glands.</source>\n'
    '<source id="1" name="wax.md">Eight of them.</source>\n<source id="2" name="hive.pdf">A hive hums.</source>\n'
    "</context>"
)
_INSTRUCTED = "### Task:\nRespond to the user query using the provided context.\n\n### Output:\nA direct response.\n\n"
RETRIEVED: dict[str, list[dict[str, Any]]] = {
    "Open WebUI": [user(f"{_INSTRUCTED}{CONTEXT}\nHow bees make wax")],
    "Open WebUI, tagged": [user(f"{_INSTRUCTED}{CONTEXT}\n\n<user_query>\nHow bees make wax\n</user_query>\n")],
    "Open WebUI, in the system message": [system(_INSTRUCTED + CONTEXT), user("How bees make wax")],
    "somebody's own template": [user(f"Use this context.\n{CONTEXT}\nQuery: How bees make wax")],
    "somebody's own words": [user(f"How bees make wax\n\n{CONTEXT}")],
    "LibreChat": [
        system(
            'Attached document(s):\n```md# "wax.md"\nWax comes from glands.\n\nEight of them.\n\n\n---\n\n'
            '# "hive.pdf"\nA hive hums.\n\n```'
        ),
        user("How bees make wax"),
    ],
    "LobeChat": [
        user(
            "How bees make wax\n\n<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->\n<context.instruction>What follows "
            "was added by the system.\n</context.instruction>\n<files_info>\n<files>\n<files_docstring>files"
            '</files_docstring>\n<file id="f1" name="wax.md" type="text/markdown" size="40">Wax comes from glands.\n\n'
            'Eight of them.</file>\n<file id="f2" name="hive.pdf" type="application/pdf" size="9">A hive hums.</file>\n'
            "</files>\n</files_info>\n<!-- END SYSTEM CONTEXT -->"
        )
    ],
}

N8N = {
    "model": "limner/bees",
    "messages": [system("You are a helpful assistant"), user([{"type": "text", "text": "How bees make honey"}])],
    "n": 1,
    "stream": False,
    "temperature": 0.7,
    "tools": [{"type": "function", "function": {"name": "calculator", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
}

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "topic_title",
        "strict": True,
        "schema": {"type": "object", "properties": {"title": {"type": "string"}, "description": {"type": "string"}}},
    },
}

PARTS: dict[str, Any] = {
    "file": {"type": "file", "file": {"filename": "wax.md", "file_data": "data:text/markdown;base64,V2F4IG1lbHRzLg=="}},
    "file without a head": {"type": "file", "file": {"filename": "wax.txt", "file_data": "V2F4IG1lbHRzLg=="}},
    "input_file": {
        "type": "input_file", "filename": "wax.txt", "file_data": "data:text/plain;base64,V2F4IG1lbHRzLg==",
    },
    "document": {
        "type": "document", "title": "wax.txt",
        "source": {"type": "base64", "media_type": "text/plain", "data": "V2F4IG1lbHRzLg=="},
    },
    "document of text": {
        "type": "document", "title": "wax.txt",
        "source": {"type": "text", "media_type": "text/plain", "data": "Wax melts."},
    },
    "file of the AI SDK": {
        "type": "file", "data": "V2F4IG1lbHRzLg==", "mediaType": "text/plain", "filename": "wax.txt",
    },
    "file_url with its text": {
        "type": "file_url", "file_url": {"url": "https://x.example/1", "name": "wax.md", "content": "Wax melts."},
    },
}  # fmt: skip

UNREADABLE: dict[str, Any] = {
    "film": {"type": "video_url", "video_url": {"url": "https://x.example/a.mp4"}},
    "sound": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    "film in a file": {
        "type": "file",
        "file": {"filename": "a.mp4", "file_data": "data:video/mp4;base64,AAAAIGZ0eXA="},
    },
    "address": {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x.example/a.pdf"}},
    "id": {"type": "input_file", "file_id": "file-123"},
    "no base64": {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,###"}},
    "no PDF": {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}},
    "unknown": {"type": "holograph", "rays": [1, 2]},
    "no type": {"words": "none"},
    "no object": 7,
    "text without text": {"type": "text"},
    "text of a number": {"type": "text", "text": 7},
    "picture without an address": {"type": "image_url"},
}


def as_json(messages: Any) -> str:
    return json.dumps(messages, ensure_ascii=False)
