"""The edges of the compose graph around its review points.

They are separate from points.py, which imports the edits, so that building a graph does not load them.
"""

from __future__ import annotations

from langgraph.graph import END

from limner.document import Point
from limner.workflows.state import ComposeState


def wants(state: ComposeState, point: Point) -> bool:
    """Whether the composition stops at a point."""
    return point in state["brief"].review


def after_outline(state: ComposeState) -> str:
    """The edge after review_outline."""
    return "outline" if state.get("wanted") else "write"


def after_draft(state: ComposeState) -> str:
    """The edge after review_draft."""
    return "revise" if state.get("wanted") else "spot"


def after_spot(state: ComposeState) -> str:
    """The edge after spot: a review needs a paragraph that an image could follow."""
    some = state["brief"].images != 0 and bool(state["article"].paragraphs)
    return "review_spots" if some and wants(state, "spots") else "retrieve"


def after_spots(state: ComposeState) -> str:
    """The edge after review_spots."""
    return "spot" if state.get("wanted") else "retrieve"


def after_arrange(state: ComposeState) -> str:
    """The edge after arrange."""
    if wants(state, "images") and state["article"].selections:
        return "review_images"
    return "review_final" if wants(state, "final") else END


def after_images(state: ComposeState) -> str:
    """The edge after review_images."""
    if state.get("wanted"):
        return "revise"
    return "review_final" if wants(state, "final") else END


def after_final(state: ComposeState) -> str:
    """The edge after review_final."""
    return "revise" if state.get("wanted") else END


def after_revise(state: ComposeState) -> str:
    """The edge after revise: back to the review point of the instruction."""
    return f"review_{state['reviewing']}"
