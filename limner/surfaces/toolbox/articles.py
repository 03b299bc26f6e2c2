"""The articles of the tools: jobs with a history if there is a ledger, else files on the desk.

The desk keeps the working material of the four single steps in both cases, under the article's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.surfaces.toolbox.desk import Desk, Version, Work

if TYPE_CHECKING:
    from limner.agents.meter import Usage
    from limner.jobs.history.keeping import Keeping
    from limner.jobs.service import Jobs


@dataclass(frozen=True)
class Articles:
    """The articles of one owner. jobs: None without a ledger."""

    desk: Desk
    owner: str
    jobs: Jobs | None = None

    def is_job(self, name: str) -> bool:
        """Whether the article is a job of this owner."""
        return self.jobs is not None and self._keeping.has(self.owner, name)

    def begin(
        self,
        work: Work,
        name: str = "",
        *,
        libraries: Sequence[str] = (),
        spent: Mapping[str, Usage] | None = None,
    ) -> str:
        """Store a new article; returns its id. name: the reserved id. spent: its tokens by role."""
        if self.jobs is None:
            return self.desk.begin(work, name).name
        return self._keeping.begin(self.owner, work.brief, work.article, libraries, spent, name)

    def latest(self, name: str) -> Version:
        """The current article, with its working material. Raises JobUnknown, and JobConflict before there is an
        article."""
        if not self.is_job(name):
            return self.desk.latest(name, self._latest_jobs())
        head = self._keeping.head(self.owner, name)
        if not self.desk.has(name):
            work = Work(brief=self._keeping.brief(name), article=head.article)
            return self.desk.begin(work, name, head.version.number)
        kept = self.desk.latest(name)
        work = kept.work.model_copy(update={"article": head.article.noted(*kept.work.article.notes)})
        return Version(name, kept.number, work, head.version.number)

    def go_on(self, version: Version, **changes: Any) -> Version:
        """Store the next state of an article. Raises JobConflict if somebody else changed it meanwhile."""
        after = self.desk.go_on(version, **changes)
        if version.head is not None and changes.get("selections") is not None:
            self._keeping.replace(self.owner, version.name, version.head, after.work.article)
        return after

    def names(self, limit: int) -> list[tuple[str, str]]:
        """(id, title) of the latest articles; an article on the desk has its id for a title."""
        done = self.jobs.ledger.list(self.owner, states=["done"], limit=limit) if self.jobs else []
        jobs = {job.id: job.title for job in done}
        mine = [(name, name) for name in self.desk.names() if name not in jobs]
        return [*jobs.items(), *mine][:limit]

    @property
    def _keeping(self) -> Keeping:
        from limner.jobs.history.keeping import Keeping

        assert self.jobs
        return Keeping(self.jobs)

    def _latest_jobs(self) -> list[str]:
        return [job.id for job in self.jobs.ledger.list(self.owner, limit=5)] if self.jobs else []
