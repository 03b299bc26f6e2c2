"""The doorbell: Celery over Redis. A message says which job to look at and nothing else.

Losing every message costs some seconds, doubling them costs nothing: the ledger knows what is to be done, `sweeper.py`
rings again, and only one worker gets the lease. So Celery's own promises (visibility timeout, redelivery, results) are
not relied upon; they are set so that they do no harm.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from celery import Celery
from kombu.entity import Queue as Route
from kombu.exceptions import OperationalError

from limner.errors import BadInput
from limner.jobs.ledger import QUEUES, route
from limner.settings import Settings

log = logging.getLogger("limner.queue")

WORK = "limner.work"  # the one task
ROUTES = tuple(route(queue, begun) for queue in QUEUES for begun in (True, False))  # in the order listened to
REACH = 3  # seconds to reach the broker; the sweeper rings for a job whose bell could not be rung
ANSWER = 10  # seconds until the broker answers; a worker's own blocking reads last one second
PENDING = 10_000  # rings that wait for the broker; the sweeper rings for those beyond


def socket_path(settings: Settings) -> Path:
    """Where the bundled broker of this home listens. Unix sockets allow for about 100 bytes, homes may be longer."""
    mark = hashlib.sha256(str(settings.home.absolute()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"limner-{os.getuid()}" / f"{mark}.sock"


def broker_url(settings: Settings) -> str:
    """Where the messages go. Raises BadInput for an address that is not Redis's."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return f"redis+socket://{socket_path(settings)}"
    if not url.startswith(("redis://", "rediss://", "redis+socket://", "valkey://")):
        raise BadInput("REDIS_URL is not an address of Redis. Write redis://HOST:6379/0.")
    return "redis://" + url.removeprefix("valkey://") if url.startswith("valkey://") else url


def make_app(settings: Settings) -> Celery:
    """The Celery application. The reason stands at each setting."""
    app = Celery("limner", broker=broker_url(settings), set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],  # a pickle in the queue is refused, not run
        result_backend=None,
        task_ignore_result=True,  # what came of a job stands in the ledger
        task_acks_late=True,
        worker_prefetch_multiplier=1,  # a long job must not hold others behind it
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease is in the database, not in Redis
        worker_soft_shutdown_timeout=0,  # an order to stop is passed on to the jobs: see worker.py
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # one message to the broker could stop every worker for good
        task_queues=[Route(name) for name in ROUTES],
        task_default_queue="interactive",
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker outlives its broker
        broker_transport_options={
            "queue_order_strategy": "priority",  # as listed: batch waits for interactive, either for what was begun
            "visibility_timeout": 3600,
            "socket_connect_timeout": REACH,
            "socket_timeout": ANSWER,  # a broker that hangs is a broker that is gone
            "max_retries": 0,  # of a connection for one message; kombu would sleep for 6 s between its tries
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


class Bell:
    """Rings for jobs. Safe to use from threads and after a fork."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ring(self, job: str, route: str) -> bool:
        """Tell a worker that a job waits; whether it was told. If not, a sweeper will."""
        try:
            self.app.send_task(WORK, args=[job], queue=route, retry=False, ignore_result=True)
        except (OperationalError, OSError) as e:
            log.warning("the broker cannot be reached (%s); the sweeper will ring for %s", e, job)
            return False
        return True

    def ring_all(self, jobs: Iterable[tuple[str, str]]) -> int:
        """Ring for several until the broker is gone; how many it took."""
        rung = 0
        for job, where in jobs:
            if not self.ring(job, where):
                break
            rung += 1
        return rung

    def depth(self, route: str) -> int | None:
        """Messages that wait on a route; None if the broker cannot be reached."""
        try:
            with self.app.connection_for_read(connect_timeout=REACH) as connection:
                channel = connection.default_channel
                return channel.queue_declare(route, passive=True).message_count
        except (OperationalError, OSError) as e:
            log.warning("the broker cannot be reached (%s)", e)
            return None
        except Exception as e:
            if not _no_queue(e):
                raise
            return 0  # it comes to be with its first message


class Ringer:
    """Rings in the background, so that no caller waits for the broker. Safe to use from threads and after a fork."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._pending: queue.Queue[list[tuple[str, str]] | None] = queue.Queue(PENDING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def ring_all(self, jobs: Iterable[tuple[str, str]]) -> None:
        """Ring for jobs, (id, route) each, soon. If that fails, a sweeper rings for them."""
        if wanted := list(jobs):
            self._start()
            try:
                self._pending.put_nowait(wanted)
            except queue.Full:
                log.warning("the broker is slow; the sweeper will ring for %s jobs", len(wanted))

    def close(self) -> None:
        """Give the broker REACH seconds to take what is pending."""
        if self._thread is not None and self._pid == os.getpid():
            with suppress(queue.Full):
                self._pending.put_nowait(None)
                self._thread.join(REACH)

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._pending, self._thread = os.getpid(), queue.Queue(PENDING), None
            if self._thread is None or not self._thread.is_alive():  # it ends by an error that nobody foresaw
                self._thread = threading.Thread(target=self._run, name="limner-ringer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pending = self._pending
        while (jobs := pending.get()) is not None:
            self._bell.ring_all(jobs)


def _no_queue(error: Exception) -> bool:
    """Whether kombu says that a queue does not exist, as after a FLUSHALL."""
    return type(error).__name__ == "ChannelError" and "no queue" in str(error).lower()
