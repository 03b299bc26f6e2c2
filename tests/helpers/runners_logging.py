"""A service takes over the logging of its process; here that process is the tests' runner, which wants its own back."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from celery.signals import setup_logging

from limner import observe


@contextmanager
def runners_logging() -> Iterator[None]:
    """Undo at the end what `set_up_logging` did meanwhile.

    A handler that stays writes to a stream that the runner has closed: a thread which logs then dies of it, and what it
    leaves on stderr fails whichever test runs at that moment.
    """
    root = logging.getLogger()
    handlers, level, receivers = root.handlers[:], root.level, list(setup_logging.receivers or [])
    names = (*observe._FOREIGN, *observe._CHATTY)
    loggers = {n: (logging.getLogger(n).handlers[:], logging.getLogger(n).level) for n in names}
    hooks, show = (sys.excepthook, threading.excepthook), warnings.showwarning
    try:
        yield
    finally:
        logging.captureWarnings(False)
        warnings.showwarning = show
        root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
        root.setLevel(level)
        setup_logging.receivers = receivers
        for name, (there, its_level) in loggers.items():
            logging.getLogger(name).handlers[:] = there
            logging.getLogger(name).setLevel(its_level)
        observe.close_tracing()
        observe._endpoint = ""
