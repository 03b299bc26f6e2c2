"""Check an answer against its question.

The models of `protocol` check the shape. This module checks against the question: whether it is still open, which
blocks, spots and images exist, and what was changed. Every surface checks here before a job is requeued, and the graph
checks once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from limner.errors import BadInput, JobConflict
from limner.notes import note
from limner.text import one_line
from limner.tools.editing.commands import Edit
from limner.workflows.review import protocol
from limner.workflows.review.questions import Json, ours


def check(question: Mapping[str, Any], given: Any, *, strict: bool = True) -> Json:
    """Check an answer; returns {"type", "args", "version"}, with `args` None, a text, or the edits.

    question: the one that was asked. given: the raw answer, which may be a list of one, as from agent-inbox, or a
    decision of LangChain's middleware. strict: the answer must name the version of the question; a program that holds
    the question itself need not. Raises BadInput for another shape, JobConflict for an answer to an earlier version.
    """
    answer = _read(_unwrapped(given))
    if answer.version is None and strict:
        raise BadInput(note("answer-version-missing"))
    if answer.version is not None and answer.version != question["version"]:
        raise JobConflict(note("earlier-version"))
    if not question["config"][f"allow_{'respond' if answer.type == 'response' else answer.type}"]:
        raise BadInput(note("answer-not-allowed", type=answer.type))
    args: Any = None
    if isinstance(answer, protocol.ResponseAnswer):
        args = answer.args
    elif isinstance(answer, protocol.EditAnswer):
        args = _edited(question, answer.args)
    return {"type": answer.type, "args": args, "version": question["version"]}


def check_all(questions: Any, given: Any) -> Any:
    """The answer for the graph, to the question of a waiting job: [{"id", "value"}]. Raises like `check`.

    Questions of other graphs take any answer.
    """
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if (question := ours(questions)) is not None:
        check(question, given)
    return given


# --- reading -------------------------------------------------------------------------------------------------------


def _unwrapped(given: Any) -> Any:
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, Mapping) and set(given) == {"decisions"}:
        return _decided(given["decisions"])
    return given


def _decided(decisions: Any) -> Any:
    """Turn a decision of LangChain's middleware, {"decisions": [{"type": "approve"}]}, into an answer."""
    if not (isinstance(decisions, list) and len(decisions) == 1 and isinstance(decisions[0], Mapping)):
        raise _wrong("decisions", "it is not a list of one. Send one decision for the one question.")
    match decisions[0]:
        case {"type": "approve"}:
            return {"type": "accept"}
        case {"type": "reject", **more}:  # a model needs to learn what is wrong
            return {"type": "response", "args": more.get("message")}
        case {"type": "edit", "edited_action": {"name": name, "args": args}}:
            return {"type": "edit", "args": {"action": name, "args": args}}
    raise _wrong("decisions", "send approve, reject with a message, or edit with an edited_action.")


def _read(given: Any) -> Any:
    try:
        return protocol.ANSWER.validate_python(dict(given) if isinstance(given, Mapping) else given)
    except ValidationError as e:
        kind = str(given.get("type")) if isinstance(given, Mapping) else ""
        raise _refused(e, kind) from e


def _edited(question: Mapping[str, Any], given: protocol.Changed) -> Json:
    """The changed fields of the shown content."""
    request, point = question["action_request"], question["point"]
    if given.action not in (None, request["action"]):
        raise _wrong("args.action", f"{given.action[:40]!r} is not {request['action']!r}. Repeat what was asked.")
    if not isinstance(given.args, Mapping):
        raise _wrong("args", protocol.NEEDS["edit"])
    shown = request["args"]
    args = dict(given.args)
    if point in ("draft", "final"):  # a title that was empty before may stay so
        args = {name: value for name, value in args.items() if name not in shown or value != shown[name]}
    try:
        change = protocol.CHANGES[point].model_validate(args)
    except ValidationError as e:
        raise _refused(e) from e
    sent = change.model_dump(exclude_unset=True)  # a list sent as JSON text is a list here
    changed = [name for name, value in sent.items() if value is not None and value != shown.get(name)]
    return _CHECKS[point](shown, change, changed)


# Messages by pydantic's types of errors, with the next step.
_WORDS = {
    "missing": "it is missing. Send back what was shown, with your changes",
    "string_type": "it is not text. Send a string",
    "list_type": "it is not a list. Send a list, as it was shown",
    "model_type": "it is not an object. Send an object, as it was shown",
    "model_attributes_type": "it is not an object. Send an object, as it was shown",
    "string_too_short": "it is empty. Write something",
    "extra_forbidden": "unknown field. Leave it out",
}


def _refused(error: ValidationError, kind: str = "") -> BadInput:
    """The first fault, in one line. kind: the type of the answer, if a whole answer was read."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "model_attributes_type" and not first["loc"]:
        return BadInput(note("answer-shape"))
    where, line = worded(error, protocol.ANSWER_TYPES)
    if kind in protocol.NEEDS and where.split(".")[0] == "args" and first["type"] in _WORDS:
        where, line = "args", protocol.NEEDS[kind]
    return _wrong(where or ("answer" if kind else "args"), line)


def _wrong(field: str, line: str) -> BadInput:
    return BadInput(note("answer-field", field=field, line=line.rstrip(".")))


def worded(error: ValidationError, kinds: Sequence[str]) -> tuple[str, str]:
    """The first fault in words: (its field, "" for the whole; the fault and what to do, without a full stop).

    kinds: the possible values of the discriminator.
    """
    first = error.errors(include_url=False)[0]
    where, wrong, ctx = [str(part)[:80] for part in first["loc"]], first["type"], first.get("ctx", {})
    if where and where[0] in kinds:
        where = where[1:]
    if wrong == "union_tag_invalid":
        where.append(ctx["discriminator"].strip("'"))
        line = f"{ctx['tag'][:40]!r} is not known. Choose one of: {ctx['expected_tags'].replace(chr(39), '')}"
    elif wrong == "union_tag_not_found":
        line = f"it is missing. Choose one of: {', '.join(protocol.EDIT_KINDS if where else kinds)}"
        where.append(ctx["discriminator"].strip("'"))
    elif wrong in ("string_too_long", "too_long"):
        what = "characters" if isinstance(first["input"], str) else "entries"
        line = f"it has {len(first['input']):,} {what}, more than {ctx['max_length']:,}. Shorten it"
    else:
        line = _WORDS.get(wrong) or first["msg"].removeprefix("Value error, ").rstrip(".")
    return one_line(".".join(where)), one_line(line)


# --- checking against the shown content
# ---------------------------------------------------------------------------------


def _outline(_shown: Json, change: protocol.OutlineChange, _changed: Sequence[str]) -> Json:
    return {"outline": change.outline}


def _whole(shown: Json, change: protocol.DraftChange, changed: Sequence[str]) -> Json:
    """The changes to an article's text, by edits or retyping."""
    if change.edits is not None:
        if more := [name for name in changed if name != "edits"]:
            raise _wrong(more[0], "edits are sent alone. Leave out one of the two.")
        return {"edits": _edits(shown, change.edits)}
    if "language" in changed:
        raise _wrong("language", 'ask for a translation with a "response" instead, or send edits.')
    if "text" in changed and "blocks" in changed:
        raise _wrong("blocks", "text and blocks are the same text twice. Change one of them.")
    made: Json = {name: getattr(change, name) for name in ("title", "text") if name in changed}
    if "blocks" in changed and change.blocks is not None:
        made["blocks"] = [{"id": row.id or "", "text": row.text} for row in change.blocks]
        _known([row.id for row in change.blocks if row.id], shown["blocks"], "blocks")
    if "images" in changed and isinstance(change, protocol.FinalChange) and change.images is not None:
        made["images"] = _figures(shown, change.images)
    return made


def _figures(shown: Json, rows: Sequence[protocol.NewFigure]) -> list[Json]:
    """The images and their places: captions, alternative texts, credits and places may change; omitted rows are
    removed."""
    before = {row["id"]: row for row in shown["images"]}
    made = []
    for row in rows:
        old = before.get(row.id)
        if old is None:
            raise _wrong("images", f"there is no image {row.id[:40]!r}. Place new ones with edits.")
        fixed = row.model_dump(include={"image_id", "library", "licence"}, exclude_unset=True)
        if any(value != old[name] for name, value in fixed.items()):
            raise _wrong("images", "use the edit swap_image to place another image; image_id cannot change.")
        given = row.model_dump(include={"after", "caption", "alt", "credit"}, exclude_none=True)
        made.append({"id": row.id, **{n: given.get(n, old[n]) for n in ("after", "caption", "alt", "credit")}})
    _known([row["id"] for row in made], shown["images"], "images")
    _places([row["after"] for row in made], [b["id"] for b in shown["blocks"] if b["kind"] == "paragraph"], "images")
    return made


def _spots(shown: Json, change: protocol.SpotsChange, _changed: Sequence[str]) -> Json:
    before = {row["id"]: row for row in shown["spots"]}
    _known([row.id for row in change.spots if row.id], shown["spots"], "spots")
    made = [_spot(row, before.get(row.id, {})) for row in change.spots]
    _places([row["after"] for row in made], [p["id"] for p in shown["paragraphs"]], "spots")
    if len({row["after"] for row in made}) < len(made):
        raise _wrong("spots", "two stand after the same paragraph. Leave one of them.")
    return {"spots": made}


def _spot(row: protocol.NewSpot, old: Mapping[str, Any]) -> Json:
    caption = row.caption if row.caption is not None else old.get("caption")
    if caption is None:
        raise _wrong("spots.caption", "it is empty. Say what the image should show.")
    search = row.search if row.search is not None else old.get("search")
    if search == old.get("search") and caption != old.get("caption"):
        search = caption  # the old one came from the old caption
    after = row.after if row.after is not None else str(old.get("after"))
    return {"id": row.id or "", "after": after, "caption": caption, "search": search or caption}


def _images(shown: Json, change: protocol.ImagesChange, _changed: Sequence[str]) -> Json:
    """The chosen image for each spot; omitted spots keep theirs."""
    if change.edits is not None:
        return {"edits": _edits(shown, change.edits)}
    if change.images is None:
        raise _wrong("images", "it is missing. Send back what was shown, with your changes.")
    rows = {row.spot: row for row in change.images}
    before = {row["spot"]: row for row in shown["images"]}
    if unknown := [spot for spot in rows if spot not in before]:
        raise _wrong("images", f"unknown spot {unknown[0][:40]!r}. Choose one of: {', '.join(before)}.")
    made, taken = [], {}
    for spot, old in before.items():
        row = rows.get(spot)
        chosen = row.chosen if row is not None and "chosen" in row.model_fields_set else old["chosen"]
        if chosen not in {old["chosen"], None, *(c["image_id"] for c in old["candidates"])}:
            raise _wrong("images", f"{str(chosen)[:40]!r} is no candidate of spot {spot}. Choose one of them, or null.")
        if chosen is not None and chosen in taken:
            raise _wrong("images", f"spots {taken[chosen]} and {spot} have the same image. Choose another for one.")
        taken[chosen] = spot
        if chosen != old["chosen"]:
            made.append({"spot": spot, "chosen": chosen})
    return {"images": made}


def _proposed(_shown: Json, change: protocol.EditsChange, _changed: Sequence[str]) -> Json:
    return {"edits": _edits({}, change.edits)}


_CHECKS: dict[str, Callable[[Json, Any, Sequence[str]], Json]] = {
    "outline": _outline,
    "draft": _whole,
    "spots": _spots,
    "images": _images,
    "final": _whole,
    "edits": _proposed,
}


def _edits(shown: Json, edits: Sequence[Edit]) -> list[Json]:
    """Edits as JSON; if blocks were shown, each names an existing one."""
    if "blocks" in shown:
        there = {row["id"] for row in (*shown["blocks"], *shown.get("images", ()))}
        for n, edit in enumerate(edits):
            named = [getattr(edit, f) for f in ("block", "after", "image") if getattr(edit, f, None)]
            if missing := [i for i in (*named, *getattr(edit, "ids", ())) if i not in there]:
                raise _wrong(f"edits.{n}", f"there is no block or image {missing[0]!r}. Take an id that was shown.")
    return [edit.model_dump(mode="json") for edit in edits]


def _known(ids: Sequence[str | None], shown: Sequence[Json], name: str) -> None:
    there = {row["id"] for row in shown}
    for n, one in enumerate(ids):
        if one not in there or one in ids[:n]:
            raise _wrong(
                f"{name}", f"the id {str(one)[:40]!r} is unknown or duplicated. Leave the id out of a new one."
            )


def _places(ids: Sequence[str], paragraphs: Sequence[str], name: str) -> None:
    if wrong := [i for i in ids if i not in set(paragraphs)]:
        raise _wrong(f"{name}.after", f"{wrong[0][:40]!r} is not a paragraph's id. An image stands after a paragraph.")
