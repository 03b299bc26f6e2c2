"""The queue: Celery over Redis. A message contains a job's id and nothing else.

Lost messages cost some seconds, doubled ones nothing: the ledger knows the work to do, `worker/sweeper.py` sends
messages again, and only one worker gets the lease. So limner does not rely on Celery's own promises (visibility
timeout, redelivery, results); they are set so that they do no harm.
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
ROUTES = tuple(route(queue, begun) for queue in QUEUES for begun in (True, False))  # in order of priority
REACH = 3  # seconds to reach the broker; the sweeper sends messages that failed
ANSWER = 10  # seconds until the broker answers; a worker's own blocking reads last one second
PENDING = 10_000  # messages that wait for the broker; the sweeper sends any beyond


def socket_path(settings: Settings) -> Path:
    """The socket of this home's bundled broker. Paths of Unix sockets are limited to about 100 bytes; homes may be
    longer."""
    mark = hashlib.sha256(str(settings.home.absolute()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"limner-{os.getuid()}" / f"{mark}.sock"


def broker_url(settings: Settings) -> str:
    """The broker's address. Raises BadInput unless it is a Redis address."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return f"redis+socket://{socket_path(settings)}"
    if not url.startswith(("redis://", "rediss://", "redis+socket://", "valkey://")):
        raise BadInput("REDIS_URL is not an address of Redis. Write redis://HOST:6379/0.")
    return "redis://" + url.removeprefix("valkey://") if url.startswith("valkey://") else url


def make_app(settings: Settings) -> Celery:
    """The Celery application; each setting has its reason beside it."""
    app = Celery("limner", broker=broker_url(settings), set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],  # a pickle in the queue is refused, not run
        result_backend=None,
        task_ignore_result=True,  # the ledger stores results
        task_acks_late=True,
        worker_prefetch_multiplier=1,  # a long job must not delay others behind it
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease is in the database, not in Redis
        worker_soft_shutdown_timeout=0,  # a stop signal is passed on to the jobs: see worker.py
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # one message to the broker could stop every worker for good
        task_queues=[Route(name) for name in ROUTES],
        task_default_queue="interactive",
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker outlives its broker
        broker_transport_options={
            "queue_order_strategy": "priority",  # as listed: interactive before batch, in each the begun jobs first
            "visibility_timeout": 3600,
            "socket_connect_timeout": REACH,
            "socket_timeout": ANSWER,  # a hanging broker counts as gone
            "max_retries": 0,  # tries to connect for one message; kombu would sleep for 6 s between them
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


class Bell:
    """Sends a message for each job. Safe to use from threads and after a fork."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ring(self, job: str, route: str) -> bool:
        """Send a message for a job; returns whether it was sent. If not, a sweeper will send it."""
        try:
            self.app.send_task(WORK, args=[job], queue=route, retry=False, ignore_result=True)
        except (OperationalError, OSError) as e:
            log.warning("the broker cannot be reached (%s); the sweeper will send the message of %s", e, job)
            return False
        return True

    def ring_all(self, jobs: Iterable[tuple[str, str]]) -> int:
        """Send messages for several jobs until the broker fails; returns how many it took."""
        rung = 0
        for job, where in jobs:
            if not self.ring(job, where):
                break
            rung += 1
        return rung

    def depth(self, route: str) -> int | None:
        """Number of messages on a route; None if the broker cannot be reached."""
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
            return 0  # the queue is created by its first message


class Ringer:
    """Sends messages in the background, so that no caller waits for the broker. Safe to use from threads and after a
    fork."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._pending: queue.Queue[list[tuple[str, str]] | None] = queue.Queue(PENDING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def ring_all(self, jobs: Iterable[tuple[str, str]]) -> None:
        """Send messages for jobs, (id, route) each, soon. If that fails, a sweeper sends them."""
        if wanted := list(jobs):
            self._start()
            try:
                self._pending.put_nowait(wanted)
            except queue.Full:
                log.warning("the broker is slow; the sweeper will send the messages of %s jobs", len(wanted))

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
