"""A worker as limner starts it, but for what the environment says.

CHAOS_HEARD: a file that gets a line for each message heard: its job, and whether the broker took the message back
before. CHAOS_VISIBILITY: seconds after which the broker gives a message that was not acknowledged to another process.
CHAOS_ASKING: work with the graph that asks a person. CHAOS_HANGS: the mark of a job whose writer never ends; then the
seconds after its time are few. CHAOS_IMPORTED: a file that gets, after each job, the modules that its process had to
import itself.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import current_task

from limner.document import Article, Brief
from limner.jobs.worker import keeper
from limner.jobs.worker.runner import Runner
from limner.jobs.worker.worker import Worker
from limner.settings import Settings
from limner.workflows.context import Context


class OddWorker(Worker):
    def _load_before_the_fork(self) -> None:
        super()._load_before_the_fork()
        self.loaded = {*sys.modules}

    def work(self, job: str) -> None:
        if heard := os.environ.get("CHAOS_HEARD"):
            with Path(heard).open("a") as out:
                again = (current_task.request.delivery_info or {}).get("redelivered")
                out.write(f"{job} {'again' if again else 'once'}\n")
        super().work(job)
        if imported := os.environ.get("CHAOS_IMPORTED"):
            with Path(imported).open("a") as out:
                out.writelines(f"{name}\n" for name in {*sys.modules} - self.loaded)

    def _my_runner(self) -> Runner:
        made = super()._my_runner()
        if os.environ.get("CHAOS_ASKING"):
            from nursery import asking_graph

            made.graph = asking_graph
        return made


if hangs := os.environ.get("CHAOS_HANGS"):
    write = Context.write

    def hanging(self: Context, brief: Brief, emit: Callable[[str], None]) -> Article:
        while hangs in brief.text:
            time.sleep(1)
        return write(self, brief, emit)

    Context.write, keeper.OVERRUN = hanging, 1


worker = OddWorker(Settings())
if seconds := os.environ.get("CHAOS_VISIBILITY"):
    worker.app.conf.broker_transport_options |= {
        "visibility_timeout": float(seconds),
        "unacked_restore_interval": 0.5,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 2,  # kombu's 300 s last if a busy machine cuts the answer to its lock off
    }
raise SystemExit(worker.run())
