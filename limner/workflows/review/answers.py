"""Check the answers to review questions, the same for every surface.

A question has the shape that agent-inbox renders, plus the point and the version of the shown content. An answer from
any surface is checked here before the job is requeued, and once more in the graph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import ValidationError

from limner.errors import BadInput, JobConflict
from limner.notes import note
from limner.text import printable
from limner.tools.editing.commands import MAX_EDITS, MAX_TEXT
from limner.workflows.inputs import MAX_IMAGES
from limner.workflows.review.questions import EDITS, Json, ours

Kind = Literal["accept", "edit", "response", "ignore"]
KINDS: tuple[str, ...] = get_args(Kind)
MAX_SAID = 10_000  # characters of a free instruction
MAX_OUTLINE = 20_000  # characters
MAX_WHOLE = 800_000  # characters of a retyped article, as many as a draft may have


# --- answers -------------------------------------------------------------------------------------------------------


def check(asked: Mapping[str, Any], given: Any, *, strict: bool = True) -> Json:
    """Check an answer against its question; returns {"type", "args", "version"}, with `args` None, a text, or the
    edits.

    asked: the question. given: the raw answer; a list of one, as from agent-inbox, counts as its item. strict: the
    answer must name the question's version; otherwise, e.g. from a program that holds the question, it may. Raises
    BadInput for another shape, JobConflict for an answer to an earlier version.
    """
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, Mapping) and set(given) == {"decisions"}:
        given = _decided(given["decisions"])
    if not isinstance(given, Mapping):
        raise BadInput('The answer is not an object. Send {"type": "accept", "version": "…"} or another type.')
    unknown = sorted(set(given) - {"type", "args", "version"}, key=str)
    if unknown:
        raise BadInput(f"The answer has the unknown field {str(unknown[0])[:40]!r}. It has type, args and version.")
    kind, version = given.get("type"), given.get("version")
    allowed = [k for k in KINDS if asked["config"][f"allow_{'respond' if k == 'response' else k}"]]
    if kind not in KINDS:
        raise BadInput(f"type: {str(kind)[:40]!r} is not an answer. Choose one of: {', '.join(allowed)}.")
    if version is None and strict:
        raise BadInput('version: it is missing. Repeat the "version" of the question that you answer.')
    if version is not None and version != asked["version"]:
        raise JobConflict(note("earlier-version"))
    if kind not in allowed:
        raise BadInput(f"type: {kind!r} cannot be followed here, the model takes no instructions. Edit it instead.")
    args = given.get("args")
    if kind == "response":
        args = _said(args)
    elif kind == "edit":
        args = _edited(asked, args)
    else:
        args = None
    return {"type": kind, "args": args, "version": asked["version"]}


def _decided(decisions: Any) -> Any:
    """Turn a decision of LangChain's middleware, {"decisions": [{"type": "approve"}]}, into an answer."""
    if not (isinstance(decisions, list) and len(decisions) == 1 and isinstance(decisions[0], Mapping)):
        raise BadInput("decisions: it is not a list of one. Decide about the one thing that is asked.")
    match decisions[0]:
        case {"type": "approve"}:
            return {"type": "accept"}
        case {"type": "reject", **more}:  # needs a message, because without one there is nothing to change
            return {"type": "response", "args": more.get("message")}
        case {"type": "edit", "edited_action": {"name": name, "args": args}}:
            return {"type": "edit", "args": {"action": name, "args": args}}
    raise BadInput("decisions: it is none of approve, reject with a message, and edit with an edited_action.")


def check_all(questions: Any, given: Any) -> Any:
    """The answer for the graph, to the question of a waiting job: [{"id", "value"}]. Raises like `check`.

    Questions of other graphs take any answer.
    """
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if (asked := ours(questions)) is not None:
        check(asked, given)
    return given


def _said(args: Any) -> str:
    text = printable(args).strip() if isinstance(args, str) else ""
    if not text:
        raise BadInput('args: a "response" needs the change you want, as text in args.')
    if len(text) > MAX_SAID:
        raise BadInput(f"args: the instruction has {len(text):,} characters, more than {MAX_SAID:,}. Shorten it.")
    return text


def _edited(asked: Mapping[str, Any], args: Any) -> Json:
    """The changed content, in the shape of the question, without unchanged fields."""
    request = asked["action_request"]
    if not isinstance(args, Mapping) or not isinstance(args.get("args"), Mapping):
        raise BadInput(
            f'args: an "edit" carries {{"action": "{request["action"]}", "args": …}}, with args as shown and changed.'
        )
    if args.get("action", request["action"]) != request["action"]:
        raise BadInput(
            f"args.action: {str(args['action'])[:40]!r} is not {request['action']!r}. Repeat what was asked."
        )
    shown = request["args"]
    return _READERS[asked["point"]](shown, {k: _unfolded(k, v, shown) for k, v in args["args"].items()})


def _unfolded(name: Any, value: Any, shown: Json) -> Any:
    """A field in its shown form; inboxes edit lists and objects as JSON text."""
    if not (isinstance(value, str) and isinstance(shown.get(name), list | dict)):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{name}: it is not JSON ({e}). Change what was shown, and leave its form.") from e


def _outline(_shown: Json, given: Json) -> Json:
    _only(given, ("outline",))
    return {"outline": _text(given.get("outline"), "outline", MAX_OUTLINE)}


def _whole(shown: Json, given: Json) -> Json:
    """The changes to an article's text, by edits or retyping."""
    if "edits" in given:
        _only({k: v for k, v in given.items() if shown.get(k, v) != v or k not in shown}, ("edits",))
        return {"edits": _edits(shown, given["edits"])}
    _only(given, shown)
    changed = {k: v for k, v in given.items() if v != shown[k]}
    if "language" in changed:
        raise BadInput('language: ask for a translation with a "response" instead, or send edits.')
    if "text" in changed and "blocks" in changed:
        raise BadInput("text and blocks are the same text twice. Change one of them.")
    made: Json = {}
    if "title" in changed:
        made["title"] = _text(changed["title"], "title", 2000)
    if "text" in changed:
        made["text"] = _text(changed["text"], "text", MAX_WHOLE)
    if "blocks" in changed:
        made["blocks"] = [
            {"id": str(row.get("id") or ""), "text": _text(row.get("text"), "blocks.text", MAX_TEXT, empty=True)}
            for row in _rows(changed["blocks"], "blocks", ("id", "kind", "text"), 5000)
        ]
        _known([r["id"] for r in made["blocks"] if r["id"]], shown["blocks"], "blocks")
    if "images" in changed:
        made["images"] = _figures(shown, changed["images"])
    return made


def _figures(shown: Json, given: Any) -> list[Json]:
    """The images and their places: captions, alternative texts, credits and places may change; omitted rows are
    removed."""
    names = ("id", "after", "image_id", "library", "caption", "alt", "credit", "licence")
    rows = _rows(given, "images", names, MAX_IMAGES)
    before = {row["id"]: row for row in shown["images"]}
    made = []
    for row in rows:
        old = before.get(str(row.get("id")))
        if old is None:
            raise BadInput(f"images: there is no image {str(row.get('id'))[:40]!r}. Place new ones with edits.")
        if any(row.get(n, old[n]) != old[n] for n in ("image_id", "library", "licence")):
            raise BadInput("images: another image is placed with an edit (swap_image), not by another image_id.")
        made.append({"id": old["id"], "after": str(row.get("after", old["after"]))[:80]})
        for name in ("caption", "alt", "credit"):
            made[-1][name] = _text(row.get(name, old[name]), f"images.{name}", 2000, empty=True)
    _known([row["id"] for row in made], shown["images"], "images")
    _places([row["after"] for row in made], [b["id"] for b in shown["blocks"] if b["kind"] == "paragraph"], "images")
    return made


def _spots(shown: Json, given: Json) -> Json:
    _only(given, ("spots", "paragraphs"))
    rows = _rows(given.get("spots"), "spots", ("id", "after", "caption", "search"), 2 * MAX_IMAGES)
    before = {row["id"]: row for row in shown["spots"]}
    _known([str(row["id"]) for row in rows if row.get("id")], shown["spots"], "spots")
    made = []
    for row in rows:
        old: Mapping[str, Any] = before.get(str(row.get("id")), {})
        caption = _text(row.get("caption", old.get("caption")), "spots.caption", 500)
        search = row.get("search", old.get("search"))
        if search == old.get("search") and caption != old.get("caption"):
            search = caption  # the old one came from the old caption
        search = _text(search or caption, "spots.search", 500)
        made.append({"id": row.get("id") or "", "after": str(row.get("after", old.get("after")))[:80]})
        made[-1] |= {"caption": caption, "search": search}
    _places([row["after"] for row in made], [p["id"] for p in shown["paragraphs"]], "spots")
    if len({row["after"] for row in made}) < len(made):
        raise BadInput("spots: two stand after the same paragraph. Leave one of them.")
    return {"spots": made}


def _images(shown: Json, given: Json) -> Json:
    """The chosen image for each spot; omitted spots keep theirs."""
    if "edits" in given:
        _only(given, ("edits", "images"))
        return {"edits": _edits(shown, given["edits"])}
    _only(given, ("images",))
    names = ("spot", "after", "caption", "chosen", "generated", "why", "code", "params", "candidates")
    listed = _rows(given.get("images"), "images", names, 2 * MAX_IMAGES)
    rows: dict[str, Mapping[str, Any]] = {str(row.get("spot")): row for row in listed}
    before = {row["spot"]: row for row in shown["images"]}
    made, taken = [], {}
    for spot in rows:
        if spot not in before:
            raise BadInput(f"images: unknown spot {spot[:40]!r}. Choose one of: {', '.join(before)}.")
    for spot, old in before.items():
        chosen = rows[spot].get("chosen", old["chosen"]) if spot in rows else old["chosen"]
        known = {old["chosen"], None, *(c["image_id"] for c in old["candidates"])}
        if not (chosen is None or isinstance(chosen, str)) or chosen not in known:
            raise BadInput(f"images: {str(chosen)[:40]!r} is no candidate of spot {spot}. Choose one of them, or null.")
        if chosen is not None and chosen in taken:
            raise BadInput(f"images: spots {taken[chosen]} and {spot} have the same image. Choose another for one.")
        taken[chosen] = spot
        if chosen != old["chosen"]:
            made.append({"spot": spot, "chosen": chosen})
    return {"images": made}


def _proposed(_shown: Json, given: Json) -> Json:
    _only(given, ("edits", "says"))
    return {"edits": _edits(None, given.get("edits"))}


_READERS: dict[str, Callable[[Json, Json], Json]] = {
    "outline": _outline,
    "draft": _whole,
    "spots": _spots,
    "images": _images,
    "final": _whole,
    "edits": _proposed,
}


# --- parts ---------------------------------------------------------------------------------------------------


def _edits(shown: Json | None, given: Any) -> list[Json]:
    """Read edits from JSON, each of a known kind and, if the content is known, of existing parts."""
    if not isinstance(given, list | tuple) or len(given) > MAX_EDITS:
        raise BadInput(f"edits: it is not a list of at most {MAX_EDITS}. Send a list of edits.")
    try:
        edits = EDITS.validate_python(given)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"edits.{where}: {first['msg'].rstrip('.')}. /openapi.json describes edits.") from e
    if shown is not None and "blocks" in shown:
        there = {row["id"] for row in (*shown["blocks"], *shown.get("images", ()))}
        for n, edit in enumerate(edits):
            named = [getattr(edit, f) for f in ("block", "after", "image") if getattr(edit, f, None)]
            if missing := [i for i in (*named, *getattr(edit, "ids", ())) if i not in there]:
                raise BadInput(f"edits.{n}: there is no block or image {missing[0]!r}. Take an id that was shown.")
    return [edit.model_dump(mode="json") for edit in edits]


def _only(given: Mapping[str, Any], names: Any) -> None:
    if unknown := sorted(set(given) - set(names), key=str):
        raise BadInput(
            f"args has the unknown field {str(unknown[0])[:40]!r}. Send back what was shown: {_list(names)}."
        )


def _list(names: Any) -> str:
    return ", ".join(names)


def _text(value: Any, name: str, limit: int, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name}: it is not a text. Send a string.")
    text = printable(value)
    if not (empty or text.strip()):
        raise BadInput(f"{name}: it is empty. Write something, or leave the answer at accept.")
    if len(text) > limit:
        raise BadInput(f"{name}: it has {len(text):,} characters, more than {limit:,}. Shorten it.")
    return text


def _rows(value: Any, name: str, fields: Sequence[str], limit: int) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value) or len(value) > limit:
        raise BadInput(f"{name}: it is not a list of at most {limit} objects. Send it back as it was shown.")
    for row in value:
        _only(row, fields)
    return value


def _known(ids: Sequence[str], shown: Sequence[Json], name: str) -> None:
    there = {row["id"] for row in shown}
    for n, one in enumerate(ids):
        if one not in there or one in ids[:n]:
            raise BadInput(f"{name}: the id {one[:40]!r} is unknown or duplicated. Leave the id out of a new one.")


def _places(ids: Sequence[str], paragraphs: Sequence[str], name: str) -> None:
    if wrong := [i for i in ids if i not in set(paragraphs)]:
        raise BadInput(f"{name}.after: {wrong[0][:40]!r} is not a paragraph's id. An image stands after a paragraph.")
