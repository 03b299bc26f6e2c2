"""A model that also makes outlines, follows instructions and rewrites: what it says is made up, plausibly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from scripted import Answer, Script, article_answers, asking, last_text, text_of

OUTLINE = "# How Bees Make Honey\n\n## In the field\n- nectar\n\n## In the hive\n- drying it"
Commands = Sequence[dict[str, Any]]


def command(do: str, *, block: int = 0, image: int = 0, where: str = "after", text: str = "") -> dict[str, Any]:
    """A command as a model gives it."""
    return {"do": do, "block": block, "image": image, "where": where, "text": text}


def task(body: dict[str, Any]) -> str:
    """What a request asks for: a role of article_answers, or outline, commands, kind, block, paragraph, restyle,
    translate, describe, title."""
    text = text_of(body)
    signs = {
        "outline": ("Outline an article for this brief", "请根据以下要求拟定提纲"),
        "commands": ("The editor wishes: ", "编辑的要求：做"),
        "kind": ("You sort the wishes of an editor",),
        "block": ("This is the block to work on:", "change only what stands between", "要处理的是这一段："),
        "paragraph": ("Write one new paragraph for it.", "请写一个新的段落"),
        "restyle": ("Rewrite the block below in another tone", "请用这样的语气改写"),
        "describe": ("Translate the caption and the alternative text",),
        "title": ("Translate this title",),
        "translate": ("Translate the block below",),
    }
    return next((name for name, words in signs.items() if any(w in text for w in words)), asking(body))


def revising_answers(
    commands: Commands | Callable[[str], Commands] = (),
    *,
    cannot: str = "",
    written: Callable[[str, str], Answer] | None = None,
    otherwise: Script | None = None,
) -> Script:
    """commands: what an instruction becomes. written: (task, prompt) -> what is written, by default the old text of a
    block in capitals. otherwise: answers to all that is not revising."""
    usual = otherwise or article_answers(sees=True)

    def answer(body: dict[str, Any]) -> Answer:
        what, prompt = task(body), last_text(body)
        if what == "outline":
            return OUTLINE + (
                "\n\n## As wished\n- " + prompt[-80:].split(":")[-1] if "asks for this change" in prompt else ""
            )
        if what == "commands":
            made = commands(prompt.rpartition("The editor wishes: ")[2]) if callable(commands) else commands
            return json.dumps({"commands": list(made), "cannot": cannot})
        if what == "kind":
            return json.dumps({"edit": "none"})
        if what in ("block", "paragraph", "restyle", "describe", "title", "translate"):
            return written(what, prompt) if written else loudly(what, prompt)
        return usual(body)

    return answer


def loudly(what: str, prompt: str) -> str:
    """The block in capitals: plain to see, and of the same form."""
    if what == "block":
        found = re.search(r"(?s)(?:work on|alone):\n\n(.*)\n\n[^\n]*\Z", prompt)
        assert found, prompt
        inner = re.search(r"⟦(.*)⟧", found[1], re.DOTALL)
        return (inner or found)[1].upper()
    if what == "paragraph":
        return "A new paragraph about " + prompt.rpartition("say: ")[2] + "."
    if what == "describe":
        caption, alt = re.findall(r"(?m)^(?:caption|alt): (.*)$", prompt)
        return json.dumps({"caption": caption.upper(), "alt": alt.upper()})
    block = (
        prompt.rpartition("\n\n")[2]
        if what == "title"
        else re.split(r"\n\nTranslate the block[^\n]*\n\n|\n\nRewrite the block[^\n]*\n\n", prompt)[-1]
    )
    return re.sub(r"(\]\([^)]*\))|(`[^`]*`)|([^\]`]+)", lambda m: m[0] if m[1] or m[2] else m[0].upper(), block)
