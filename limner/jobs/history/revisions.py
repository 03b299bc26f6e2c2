"""Revising finished articles: edits with a check for other people's, undo and redo, comparing.

A change names the version that it was made for. If the article has moved on, the change is refused with the differences
since; with `merge` it is applied unless it touches one of these differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limner.document import Article, Heading, Illustration, Paragraph, Verbatim
from limner.errors import BadInput, JobConflict, JobUnknown, VersionConflict
from limner.jobs.history.versions import By, Head, Moved, Version, Versions
from limner.jobs.ledger import Ledger
from limner.notes import Note, coded, note
from limner.text import shorten
from limner.tools.editing.apply import ImageOf, edited, touched
from limner.tools.editing.commands import Edit, MergeBlocks, SetTitle
from limner.tools.editing.compare import Comparison, compare

MOST_STEPS = 200  # versions searched for who changed what; older ones are reported as one
ATTEMPTS = 50  # attempts to merge into an article that others keep changing
_OF_IMAGES = ("swap_image", "move_image", "remove_image", "describe_image", "crop_image")
OF_A_PART = frozenset(("set_text", "delete_block", "move_block", "split_block", *_OF_IMAGES))
"""Kinds of edits whose line in the history names the part: `did-…-of` in the catalogue."""


class Revisions:
    """Read and change the finished articles of one installation. owner: None sees all."""

    def __init__(self, ledger: Ledger) -> None:
        self.versions = Versions(ledger)

    # -- looking

    def show(self, job: str, owner: str | None = None) -> Head:
        """The article as it is now. Raises JobUnknown, JobConflict while there is none."""
        return self.versions.head(job, owner)

    def history(self, job: str, owner: str | None = None) -> tuple[int, list[Version]]:
        """(number of the current version, all versions). Raises JobUnknown, JobConflict."""
        return self.versions.list(job, owner)

    def at(self, job: str, number: int, owner: str | None = None) -> tuple[Version, Article]:
        """A version as it was. Raises JobUnknown, JobConflict, BadInput."""
        return self.versions.one(job, number, owner)

    def compare(self, job: str, a: int, b: int, owner: str | None = None) -> Comparison:
        """The differences between two versions. Raises JobUnknown, JobConflict, BadInput."""
        return compare(self.at(job, a, owner)[1], self.at(job, b, owner)[1])

    # -- changing

    def edit(
        self,
        job: str,
        edits: Sequence[Edit],
        version: int,
        who: str,
        image_of: ImageOf,
        *,
        owner: str | None = None,
        merge: bool = False,
        what: str = "",
        by: By = "person",
        typing: bool = False,
        key: str | None = None,
    ) -> Head:
        """Apply edits that were made for a version of the article. An empty list accepts the article as it is.

        typing: somebody is still typing in one block; consecutive saves are then one step of the history (see
        `Versions.add`). key: idempotency key; a change that is sent again under it is made once.

        Raises JobUnknown, JobConflict, VersionConflict, EditRefused, and what `image_of` raises.
        """
        line = Note(" ".join(what.split())) if what.strip() else None
        for _ in range(ATTEMPTS):
            if key and self.versions.made(job, key):
                return self.show(job, owner)
            head = self.fitting(job, version, owner, edits if merge else None)
            after = edited(head.article, edits, image_of)
            if edits and after == head.article:
                return head
            commands, number = [e.model_dump(mode="json") for e in edits], head.version.number
            said = line or describe(edits, head.article)
            try:
                return self.versions.add(job, number, after, commands, who, by, said, typing=typing, key=key)
            except Moved:
                continue
        raise JobConflict(note("changed-by-others", job=job))

    def undo(self, job: str, version: int, who: str, *, owner: str | None = None) -> Head:
        """Go back to the version that this one was made from. Raises like `edit`, and JobConflict at the first
        version."""
        head = self.fitting(job, version, owner)
        if head.version.parent is None:
            raise JobConflict(note("nothing-to-undo", job=job))
        return self._go(job, head, head.version.parent, who, note("undid", line=head.version.done), owner)

    def redo(self, job: str, version: int, who: str, *, owner: str | None = None) -> Head:
        """Go forward to the version that was last undone. Raises like `edit`, and JobConflict if there is none."""
        head = self.fitting(job, version, owner)
        if head.redo is None:
            raise JobConflict(note("nothing-to-redo", job=job))
        what = self.versions.one(job, head.redo, owner)[0].done
        return self._go(job, head, head.redo, who, note("redid", line=what), owner)

    def go(self, job: str, version: int, to: int, who: str, *, owner: str | None = None) -> Head:
        """Go to any version; changes from there on form a branch. Raises like `edit`, and BadInput."""
        head = self.fitting(job, version, owner)
        return self._go(job, head, to, who, note("went-to", n=to), owner)

    def _go(self, job: str, head: Head, to: int, who: str, what: str, owner: str | None) -> Head:
        try:
            self.versions.go(job, head.version.number, to, who, what)
        except Moved:
            self.fitting(job, head.version.number, owner)
            raise JobConflict(note("changed-back", job=job)) from None
        return self.show(job, owner)

    # -- other people's changes

    def fitting(self, job: str, version: int, owner: str | None = None, merging: Sequence[Edit] | None = None) -> Head:
        """The head, if a change made for `version` may be applied to it. Raises VersionConflict, BadInput."""
        head = self.show(job, owner)
        number = head.version.number
        if number == version:
            return head
        then = self._then(job, version, number, owner)
        comparison = compare(then, head.article)
        changed = self._changed(job, version, number, comparison)
        if merging is None:
            raise VersionConflict(
                note("version-behind", head=number, version=version, line=_listed(changed)),
                number,
                changed,
            )
        conflicts = _conflicts(then, head.article, comparison, merging)
        if conflicts:
            listed = [row for row in changed if row["block"] in conflicts]
            raise VersionConflict(
                note("merge-refused", head=number, line=_listed(listed)),
                number,
                changed,
                listed,
            )
        return head

    def _then(self, job: str, version: int, head: int, owner: str | None) -> Article:
        """The article at a version that somebody saw. Raises BadInput, and VersionConflict if that version is no longer
        kept."""
        try:
            return self.at(job, version, owner)[1]
        except BadInput:
            if version > head:
                raise
            raise VersionConflict(
                note("version-forgotten", head=head, version=version),
                head,
                [],
            ) from None

    def _changed(self, job: str, version: int, head: int, comparison: Comparison) -> list[dict[str, Any]]:
        """The differences between two versions, each with the person who made it last."""
        here, there = self.versions.line(job, head), self.versions.line(job, version)
        shared = {v.number for v in here} & {v.number for v in there}
        steps = [v for v in here if v.number not in shared]
        credit: dict[str, Version] = {}
        if not shared:
            raise JobUnknown(note("job-deleted", job=job))
        before = self.at(job, max(shared))[1]
        for step in steps[-MOST_STEPS:]:
            article = self.at(job, step.number)[1]
            credit |= dict.fromkeys(compare(before, article).different, step)
            before = article
        unknown = here[-1]
        rows = []
        for one, kind in comparison.different.items():
            step = credit.get(one, unknown)
            what = step.done if one in credit else note("went-back", line=step.done)
            rows.append({"block": one, "kind": kind, "who": step.who, "what": str(what), **coded(what)})
        return rows


def _conflicts(then: Article, now: Article, comparison: Comparison, edits: Sequence[Edit]) -> set[str]:
    """Ids that the edits touch and somebody else has changed since."""
    different = comparison.different
    there = {b.id for b in now.body} | {i.id for i in now.illustrations}
    order = [b.id for b in then.body]
    moved_only = {b.id for b in comparison.blocks if b.change == "moved"}
    found: set[str] = set()
    for edit in edits:
        named = touched(edit)
        place = getattr(edit, "after", None)
        if isinstance(edit, MergeBlocks) and edit.block in order[:-1]:
            named |= {order[order.index(edit.block) + 1]}
        if isinstance(edit, SetTitle):
            named |= {"title"}
        for one in named:
            # A place after a block needs only that the block exists; its text may change.
            gone = one in different and one not in there and one != "title"
            if gone or (one in different and one != place and not (one in moved_only and edit.do == "set_text")):
                found.add(one)
    return found


def _listed(changed: Sequence[dict[str, Any]]) -> str:
    """Who did what, in a few words."""
    if not changed:
        return "it was changed meanwhile"
    people = list(dict.fromkeys(row["who"] for row in changed))
    parts = list(
        dict.fromkeys(f"{row['kind']} {row['block']}" if row["kind"] != "title" else "the title" for row in changed)
    )
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"{', '.join(people[:3])} changed {', '.join(parts[:3])}{more}"


# --- words for the history -------------------------------------------------------------------------------------------


def describe(edits: Sequence[Edit], before: Article) -> Note:
    """Describe edits in one line. before: the article that they are made to."""
    if not edits:
        return note("accepted")
    made: dict[str, list[Edit]] = {}
    for edit in edits:
        made.setdefault(edit.do, []).append(edit)
    done = [_done(do, those, before) for do, those in made.items()]
    return done[0] if len(done) == 1 else note("edits", done=done)


def _done(do: str, edits: Sequence[Edit], before: Article) -> Note:
    """What all edits of one kind did: to which part, if that is one that was there."""
    code = f"did-{do.replace('_', '-')}"
    [part, *others] = {getattr(edit, "block", None) or getattr(edit, "image", None) for edit in edits}
    named = _part(part, before) if do in OF_A_PART and not others else None
    if named:
        return note(f"{code}-of", part=named)
    return note(code) if len(edits) == 1 else note("times", line=note(code), n=len(edits))


def _part(part: str | None, article: Article) -> Note | None:
    """A block or an image as readers count them, from 1; None if the article has none of that id."""
    before: list[Heading | Paragraph | Verbatim | Illustration] = []
    for block in article.blocks():
        before.append(block)
        if block.id != part:
            continue
        match block:
            case Heading():
                return note("part-heading", title=shorten(block.plain, 40))
            case Paragraph():
                return note("part-paragraph", n=sum(isinstance(b, Paragraph) for b in before))
            case Illustration():
                return note("part-image", n=sum(isinstance(b, Illustration) for b in before))
            case Verbatim():
                return note("part-block", n=sum(not isinstance(b, Illustration) for b in before))
    return None
