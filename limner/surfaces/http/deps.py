"""Dependencies of the endpoints: the parts of the installation, and the owner who asks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from limner.jobs.history.revisions import Revisions
from limner.jobs.owners import Owner
from limner.jobs.queue import Bell
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.guard import owner_of
from limner.surfaces.http.hub import Hub
from limner.surfaces.http.images import Shelf

FRESH = 5  # seconds for which the broker's answer is cached, so that /health cannot keep it busy


class Broker:
    """Checks at intervals whether the broker answers."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self._lock = threading.Lock()
        self._asked, self._there = float("-inf"), False

    def there(self) -> bool:
        """Whether the broker answered at the last check."""
        with self._lock:
            if time.monotonic() - self._asked > FRESH:
                self._there = self.bell.depth("interactive") is not None
                self._asked = time.monotonic()
            return self._there


@dataclass
class Parts:
    """The parts that endpoints share, made once per application in `app.create_app`."""

    settings: Settings
    jobs: Jobs
    hub: Hub
    """Watchers of jobs."""
    shelf: Shelf
    """Libraries and the images of articles."""
    broker: Broker

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
