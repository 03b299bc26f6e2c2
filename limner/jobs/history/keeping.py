"""Store articles of the toolbox and the chat as finished jobs, so that all articles share one history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limner.agents.meter import Usage
from limner.document import Article, Brief
from limner.errors import JobConflict, JobUnknown
from limner.jobs.history.revisions import Revisions
from limner.jobs.history.versions import By, Head, Moved
from limner.jobs.request import JobRequest, read_request, start_of
from limner.jobs.service import Jobs
from limner.notes import note
from limner.tools.editing.apply import ImageOf
from limner.tools.editing.commands import Edit


class Keeping:
    """The articles of one installation, as a `limner.workflows.keeper.Keeper`."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.revisions = jobs, Revisions(jobs.ledger)

    def has(self, owner: str, name: str) -> bool:
        """Whether an article is a job of this owner."""
        try:
            self.jobs.ledger.job(name, owner)
        except JobUnknown:
            return False
        return True

    def begin(
        self,
        owner: str,
        brief: Brief,
        article: Article,
        libraries: Sequence[str] = (),
        spent: Mapping[str, Usage] | None = None,
        name: str = "",
    ) -> str:
        """Store a new article; returns its id. spent: its tokens by role. name: the reserved id."""
        request = JobRequest(
            brief=brief.text,
            images=brief.images,
            language=brief.language or None,
            review=list(brief.review),
            library=list(libraries),
        )
        return self.jobs.adopt(request, article, self.jobs.owners.get(owner), name=name, spent=spent).id

    def head(self, owner: str, name: str) -> Head:
        """The current article, including changes from elsewhere. Raises JobUnknown, JobConflict."""
        return self.revisions.show(name, owner)

    def brief(self, name: str) -> Brief:
        """The brief of an article. Raises JobUnknown."""
        return start_of(read_request(self.jobs.ledger.request(name)))["brief"]

    def replace(self, owner: str, name: str, head: int, article: Article) -> None:
        """Store an article that was illustrated again from version `head`. Raises JobConflict if it has moved on."""
        try:
            self.revisions.versions.add(name, head, article, [], owner, "model", note("illustrated"))
        except Moved:
            raise JobConflict(note("changed-by-others", job=name)) from None

    def now(self, owner: str, name: str) -> Article:
        """The current article. Raises JobUnknown, JobConflict."""
        return self.head(owner, name).article

    def change(self, owner: str, name: str, edits: Sequence[Edit], image_of: ImageOf, what: str, by: By) -> Article:
        """Apply edits to the current article. Raises like `Revisions.edit`."""
        number = self.head(owner, name).version.number
        return self.revisions.edit(name, edits, number, owner, image_of, owner=owner, what=what, by=by).article

    def undo(self, owner: str, name: str) -> Article:
        """Go back one version. Raises JobConflict at the first."""
        return self.revisions.undo(name, self.head(owner, name).version.number, owner, owner=owner).article
