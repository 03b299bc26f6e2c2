"""Dependencies of the endpoints: the parts of the installation, and the owner who asks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from limner.jobs.history.revisions import Revisions
from limner.jobs.owners import Owner
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.guard import owner_of
from limner.surfaces.http.hub import Hub
from limner.surfaces.http.images import Shelf
from limner.surfaces.http.shares import Kind, Pool
from limner.surfaces.http.vitals import Vitals


@dataclass
class Parts:
    """The parts that endpoints share, made once per application in `app.create_app`."""

    settings: Settings
    jobs: Jobs
    hub: Hub
    """Watchers of jobs."""
    shelf: Shelf
    """Libraries and the images of articles."""
    pools: dict[Kind, Pool]
    """Threads for what takes long."""
    vitals: Vitals
    """Whether database and broker answer."""

    @cached_property
    def revisions(self) -> Revisions:
        """Reads and changes finished articles."""
        return Revisions(self.jobs.ledger)


# Asynchronous, because a plain function would run in another thread.


async def _parts(request: Request) -> Parts:
    return request.app.state.parts


async def _asker(request: Request) -> Owner:
    return owner_of(request.scope)


Has = Annotated[Parts, Depends(_parts)]
Asker = Annotated[Owner, Depends(_asker)]
