"""Import what every process of the worker needs before the fork, so that it costs memory and seconds once."""

from __future__ import annotations

import gc
import logging
from importlib import import_module

from limner.settings import Settings
from limner.tools.encoders import Encoders, default_encoders

log = logging.getLogger("limner.worker")

PRELOADED = (  # modules that each process would otherwise import for itself; a test checks the list
    "billiard.pool", "celery.app.amqp", "celery.app.control", "celery.app.log", "celery.app.trace",
    "celery.apps.worker", "celery.worker.autoscale", "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy", "kombu.pidbox", "kombu.transport.redis", "filelock", "highspy", "html.parser",
    "httpcore2", "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.tracers.run_collector",
    "langchain_core.tracers.stdout", "langchain_openai.chat_models.base", "langgraph.graph", "markdown_it",
    "mdit_py_plugins.deflist", "mdit_py_plugins.footnote", "nh3",
    "openai.resources.chat.completions.completions", "opentelemetry.sdk.metrics", "opentelemetry.sdk.trace",
    "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.ImageOps", "PIL.JpegImagePlugin", "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin", "py3langid", "qdrant_edge", "snowballstemmer", "truststore", "limner.tools.arrange",
    "limner.exports.shown",
    "limner.tools.generate", "limner.tools.library", "limner.tools.retrieve", "limner.workflows.compose",
    "limner.workflows.context", "limner.workflows.run",
)  # fmt: skip


def preload(settings: Settings) -> Encoders:
    """Import the modules, load the encoder of captions, and keep both from the garbage collector."""
    for name in PRELOADED:
        try:
            import_module(name)
        except ImportError as error:  # not installed, or not in this version: each process reports it itself
            log.debug("%s is not loaded before the fork: %s", name, error)
    s = settings
    encoders = default_encoders(caption=s.encoder, clip_model=s.clip_model, threads=1, home=s.home)
    if callable(load := getattr(encoders.caption, "load", None)):
        load()
    gc.collect()
    gc.freeze()  # a garbage collection in a child would touch, and so copy, every page
    return encoders
