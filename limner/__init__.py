"""Compose illustrated articles: text and your own images interleaved, every image chosen for its place.

    import limner
    article = limner.compose("How bees make honey", library="photos", images=4)
    limner.export(article, "honey")

`compose` writes and illustrates, `illustrate` adds images to a finished text, `search` finds images, `build_graph`
returns the LangGraph behind the first two, `toolbox` gives tools to other agents, `Jobs` submits to workers. Importing
limner starts nothing and reads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from limner.version import __version__

if TYPE_CHECKING:
    from limner.document import Article, Brief, Candidate, Illustration, Selection, Spot
    from limner.errors import LimnerError
    from limner.jobs.request import JobRequest
    from limner.jobs.service import Jobs
    from limner.settings import Settings
    from limner.surfaces.python import (
        ask,
        build_graph,
        build_revise_graph,
        compose,
        evaluate,
        export,
        illustrate,
        revise,
        search,
    )
    from limner.surfaces.toolbox import toolbox
    from limner.workflows.ask import Answer
    from limner.workflows.chat import build_chat_graph
    from limner.workflows.context import Context, build_context
    from limner.workflows.tenants import Tenant

_HOMES = {
    "limner.document": ("Article", "Brief", "Candidate", "Illustration", "Selection", "Spot"),
    "limner.errors": ("LimnerError",),
    "limner.settings": ("Settings",),
    "limner.workflows.ask": ("Answer",),
    "limner.workflows.chat": ("build_chat_graph",),
    "limner.workflows.context": ("Context", "build_context"),
    "limner.jobs.request": ("JobRequest",),
    "limner.jobs.service": ("Jobs",),
    "limner.surfaces.python": (
        "ask",
        "build_graph",
        "build_revise_graph",
        "compose",
        "evaluate",
        "export",
        "illustrate",
        "revise",
        "search",
    ),
    "limner.workflows.tenants": ("Tenant",),
    "limner.surfaces.toolbox": ("toolbox",),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    "compose",
    "illustrate",
    "revise",
    "ask",
    "search",
    "export",
    "evaluate",
    "build_graph",
    "build_revise_graph",
    "build_context",
    "toolbox",
    "build_chat_graph",
    "Answer",
    "Article",
    "Brief",
    "Candidate",
    "Context",
    "Illustration",
    "JobRequest",
    "Jobs",
    "LimnerError",
    "Selection",
    "Settings",
    "Spot",
    "Tenant",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load a part on first use (PEP 562), so that importing limner costs next to nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
