"""The articles of the tools: jobs with a history where there is a ledger, files on the desk where there is none.

The desk keeps the working material of the four single steps in both cases, under the article's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.document import Brief
from limner.errors import JobConflict, JobUnknown
from limner.notes import note
from limner.surfaces.toolbox.desk import Desk, Version, Work

if TYPE_CHECKING:
    from limner.agents.meter import Usage
    from limner.jobs.history.revisions import Revisions
    from limner.jobs.service import Jobs


@dataclass(frozen=True)
class Articles:
    """The articles of one owner. jobs: None without a ledger."""

    desk: Desk
    owner: str
    jobs: Jobs | None = None

    def is_job(self, name: str) -> bool:
        """Whether the article is a job of this owner."""
        if self.jobs is None:
            return False
        try:
            self.jobs.ledger.job(name, self.owner)
        except JobUnknown:
            return False
        return True

    def begin(
        self,
        work: Work,
        name: str = "",
        *,
        libraries: Sequence[str] = (),
        spent: Mapping[str, Usage] | None = None,
    ) -> str:
        """Keep a new article; its id. name: the id that it was promised. spent: tokens that it cost, by role."""
        if self.jobs is None:
            return self.desk.begin(work, name).name
        from limner.jobs.request import JobRequest

        brief = work.brief
        request = JobRequest(
            brief=brief.text,
            images=brief.images,
            language=brief.language or None,
            review=list(brief.review),
            library=list(libraries),
        )
        return self.jobs.adopt(request, work.article, self.jobs.owners.get(self.owner), name=name, spent=spent).id

    def latest(self, name: str) -> Version:
        """An article as it is now, with its working material. Raises JobUnknown; JobConflict while there is none."""
        if not self.is_job(name):
            return self.desk.latest(name, self._latest_jobs())
        head = self._revisions().show(name, self.owner)
        if not self.desk.has(name):
            return self.desk.begin(Work(brief=self._brief(name), article=head.article), name, head.version.number)
        kept = self.desk.latest(name)
        work = kept.work.model_copy(update={"article": head.article.noted(*kept.work.article.notes)})
        return Version(name, kept.number, work, head.version.number)

    def go_on(self, version: Version, **changes: Any) -> Version:
        """The next state of an article. Raises JobConflict if somebody else changed it meanwhile."""
        after = self.desk.go_on(version, **changes)
        if version.head is not None and "selections" in changes and changes["selections"] is not None:
            from limner.jobs.history.versions import Moved

            made = (after.work.article, [], self.owner, "model", note("illustrated"))
            try:
                self._revisions().versions.add(version.name, version.head, *made)
            except Moved:
                raise JobConflict(note("changed-by-others", job=version.name)) from None
        return after

    def names(self, limit: int) -> list[tuple[str, str]]:
        """(id, title) of the latest articles; an article on the desk has its id for a title."""
        done = self.jobs.ledger.list(self.owner, states=["done"], limit=limit) if self.jobs else []
        jobs = {job.id: job.title for job in done}
        mine = [(name, name) for name in self.desk.names() if name not in jobs]
        return [*jobs.items(), *mine][:limit]

    def _revisions(self) -> Revisions:
        from limner.jobs.history.revisions import Revisions

        assert self.jobs
        return Revisions(self.jobs.ledger)

    def _brief(self, job: str) -> Brief:
        from limner.jobs.request import read_request, start_of

        assert self.jobs
        return start_of(read_request(self.jobs.ledger.request(job)))["brief"]

    def _latest_jobs(self) -> list[str]:
        return [job.id for job in self.jobs.ledger.list(self.owner, limit=5)] if self.jobs else []
