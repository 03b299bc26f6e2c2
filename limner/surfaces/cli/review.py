"""Show a review question in the shell and read the answer: a key, an edited file or a sentence."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from limner.errors import BadInput, JobConflict, LimnerError
from limner.text import printable
from limner.workflows.inputs import read_text
from limner.workflows.review import answers, questions

if TYPE_CHECKING:
    from limner.jobs.ledger import Job
    from limner.surfaces.cli.terminal import Terminal

Json = dict[str, Any]
NOBODY = "The {point} waits for your review, and there is no terminal to ask on."


Edit = Callable[[str, str], str | None]
"""(text, suffix of its file) -> the changed text, or None if unchanged."""


def ask(question: Json, terminal: Terminal, edit: Edit) -> Json:
    """Show a question and return the typed answer. Raises BadInput without a terminal."""
    terminal.close()
    if not sys.stdin.isatty():
        raise BadInput(NOBODY.format(point=question["point"]))
    for line in lines(question):
        terminal.say(line)
    respond = question["config"]["allow_respond"]
    keys = "[a]ccept, [e]dit" + (" or [s]ay what to change: " if respond else ": ")
    while True:
        typer.echo(keys, nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            raise BadInput(NOBODY.format(point=question["point"]))
        try:
            answer = _answer(question, line.strip(), edit)
            if answer is not None:
                answers.check(question, answer)
                return answer
        except LimnerError as refused:
            terminal.say(str(refused))


def _answer(question: Json, typed: str, edit: Edit) -> Json | None:
    key, _, rest = typed.partition(" ")
    version = question["version"]
    if key.lower() in ("a", "accept"):
        return {"type": "accept", "version": version}
    if key.lower() in ("e", "edit"):
        return edited(question, edit)
    if key.lower() in ("s", "say"):
        if not rest:
            typer.echo("What should change? ", nl=False, err=True)
            rest = sys.stdin.readline()
        return {"type": "response", "args": rest.strip(), "version": version}
    return None


def edited(question: Json, edit: Edit) -> Json | None:
    """The answer with the person's edited content, None if nothing changed."""
    args = question["action_request"]["args"]
    if "outline" in args or "text" in args:
        name = "outline" if "outline" in args else "text"
        text = edit(args[name], ".md")
        changed = None if text is None else {name: text}
    else:
        name = next(iter(args))
        text = edit(json.dumps(args, ensure_ascii=False, indent=2) + "\n", ".json")
        changed = None if text is None else read_args(text)
    if changed is None:
        return None
    action = question["action_request"]["action"]
    return {"type": "edit", "args": {"action": action, "args": changed}, "version": question["version"]}


def read_args(text: str) -> Json:
    """The changed content, read from JSON. Raises BadInput."""
    return questions.json_object(text, "Correct it, and edit again.", "Change the values and keep the form.")


def question_of(job: Job) -> Json:
    """The question of a waiting job. Raises JobConflict if the job asks nothing that limner can answer."""
    question = questions.ours(job.question)
    if job.state != "waiting" or question is None:
        raise JobConflict(f"Job {job.id} is {job.state.replace('_', ' ')} and asks nothing that can be answered here.")
    return question


def answer_from(question: Json, file: Path | None, say: str | None) -> Json:
    """The answer from a command's options. A file printed by `limner jobs answer JOB` names the version that it
    answers; a file of Markdown, or of `args` alone, answers the current question. Raises BadInput."""
    version = question["version"]
    if say is not None:
        return {"type": "response", "args": say, "version": version}
    if file is None:
        return {"type": "accept", "version": version}
    text = read_text(file)
    args = question["action_request"]["args"]
    name = next((n for n in ("outline", "text") if n in args), "")
    if name and not text.lstrip().startswith("{"):
        changed: Json = {name: text}
    else:
        changed = read_args(text)
        if set(changed) == {"version", "args"} and isinstance(changed["args"], dict):
            version, changed = changed["version"], changed["args"]
    action = question["action_request"]["action"]
    return {"type": "edit", "args": {"action": action, "args": changed}, "version": version}


def lines(question: Json) -> list[str]:
    """A question as lines of text."""
    args = question["action_request"]["args"]
    shown: list[str] = []
    if "outline" in args:
        shown = args["outline"].splitlines()
    elif "spots" in args:
        places = {p["id"]: p["text"] for p in args["paragraphs"]}
        shown = [f"{s['id']}: {s['caption']}  (after: {places[s['after']][:60]}…)" for s in args["spots"]]
    elif question["point"] == "images":
        for row in args["images"]:
            captions = {c["image_id"]: c["caption"] for c in row["candidates"]}
            if row.get("generated"):
                captions[row["generated"]] = "an image that was generated"
            shown.append(f"{row['spot']}: {captions.get(row['chosen'], row['chosen'] or 'no image')}")
            others = len(captions.keys() - {row["chosen"]})
            shown[-1] += f"  (for: {row['caption']}; {others} others)"
    elif question["point"] == "final":
        shown = [f"{i['caption']}  (after {i['after']})" for i in args["images"]]
    return [*shown, f"Review of the {question['point']}: {printable(question['description'])}"]


def editor(command: str) -> Edit:
    """Edit a text with the user's own editor. command: as in $EDITOR, with its options."""

    def edit(text: str, suffix: str) -> str | None:
        with tempfile.TemporaryDirectory(prefix="limner-") as folder:
            file = Path(folder) / f"review{suffix}"
            file.write_text(text, encoding="utf-8")
            try:
                ended = subprocess.run([*shlex.split(command), str(file)], check=False).returncode
            except (OSError, ValueError) as e:
                raise BadInput(f"The editor {command!r} cannot be started ({e}). Set EDITOR to one that can.") from e
            if ended:
                raise BadInput(f"The editor {command!r} ended with {ended}; nothing was changed. Edit again.")
            changed = read_text(file)
        return None if changed == text else changed

    return edit
