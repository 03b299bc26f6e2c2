"""The compose graph: write -> spot -> retrieve (all spots in one query) -> select (one spot a turn) -> arrange.

The model that chose by sight is then asked about each picture: `check`, several at a time.

If the brief names a generator, `generate` follows, one spot a turn, for places that stayed empty.

If the brief asks for review, the graph stops for a person: review_outline (before writing), review_draft, review_spots,
review_images, review_final. `outline`, `spot` or `revise` then follow an instruction.

Each node reads the state, makes one call and returns the changes, so that a checkpoint follows each call and an
interrupted job resumes with the first unfinished step. `illustrate` enters with an article.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from limner.document import POINTS, Article, Point
from limner.errors import BadInput, UnreadableReply
from limner.notes import Note, coded, note
from limner.tools.arrange import unfit
from limner.tools.generate import lacking
from limner.workflows import steps
from limner.workflows.checking import check, to_check
from limner.workflows.context import Context
from limner.workflows.review import edges
from limner.workflows.state import ComposeState, Event, typed

Graph = CompiledStateGraph[ComposeState, Any, ComposeState, ComposeState]

Update = dict[str, Any]  # the keys of ComposeState that a node replaces

# A turn of the graph per spot; LangGraph's default of 25 turns would end an article of 25 spots.
TURNS = 2000


class Nodes:
    """The nodes of the compose graph over one context."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def outline(self, state: ComposeState) -> Update:
        """Make the writer's outline, for a person to change."""
        made = self.context.outline(state["brief"], state.get("outline", ""), state.get("wanted", ""))
        return {"outline": made, "wanted": ""}

    def write(self, state: ComposeState) -> Update:
        """Write the text, streaming it."""
        send, context = get_stream_writer(), self.context
        outline, brief = state.get("outline"), state["brief"]

        streamed: list[str] = []

        def emit(text: str) -> None:
            context.check()
            streamed.append(text)
            send(Event(kind="text", step="write", text=text))

        article = context.write(context.outlined(brief, outline) if outline else brief, emit)
        if streamed and "".join(streamed).strip() != article.source.strip():  # half a sentence at its end was cut off
            send(Event(kind="again", step="write", text=article.source))
        stopped = next((n for n in article.notes if n.code in ("token-budget", "cost-budget")), "")
        skipped = "outline" in brief.review and outline == "" and not context.outlines()
        return {"article": article.noted(note("no-outline")) if skipped else article, "stopped": stopped}

    def spot(self, state: ComposeState) -> Update:
        """Propose places for images."""
        article, brief = state["article"], state["brief"]
        spots, fallback = steps.spot(self.context, article, brief, state.get("wanted", ""))
        if brief.images != 0 and article.paragraphs:
            _send("spot", len(spots), len(spots), fallback)
        return {"spots": spots, "article": article.noted(fallback), **({"wanted": ""} if state.get("wanted") else {})}

    def retrieve(self, state: ComposeState) -> Update:
        """Find candidates for all spots."""
        candidates = steps.retrieve(self.context, state["article"], state["spots"], state["brief"])
        _send("retrieve", len(candidates), len(state["spots"]))
        return {"candidates": candidates}

    def select(self, state: ComposeState) -> Update:
        """Select an image for the next spot."""
        done, spots = state.get("selections", []), state["spots"]
        selections = steps.select(self.context, state["article"], spots, state["candidates"], done, state["brief"])
        _send("select", len(selections), len(spots))
        return {"selections": selections}

    def arrange(self, state: ComposeState) -> Update:
        """Arrange the images, and list the spots that need a generated one."""
        brief, selections = state["brief"], state.get("selections", [])
        article, _new, kept, wanted = steps.arrange(self.context, state["article"], selections, brief)
        _send("arrange", len(article.illustrations), len(article.illustrations))
        made: Update = {"article": article, "unchecked": to_check(self.context, article, brief), "checked": []}
        if brief.generate and selections:
            unfitting = unfit(selections) if wanted == "auto" else frozenset()
            made["lacking"] = lacking(article, selections, list(kept), wanted, unfitting, brief.max_generated)
        return made

    def check(self, state: ComposeState) -> Update:
        """Check the next pictures, as many as are asked about at once, so that a job resumes after those."""
        article, notes, left = check(self.context, state["article"], state["unchecked"], state["brief"])
        placed = len(article.illustrations)
        _send("check", placed - len(left), placed)
        for one in notes:
            get_stream_writer()(_noted("check", one))
        return {"article": article, "unchecked": left, "checked": [placed - len(left), placed]}

    def generate(self, state: ComposeState) -> Update:
        """Generate an image for the first spot that lacks one."""
        article, brief, (spot_id, *rest) = state["article"], state["brief"], state["lacking"]
        article, go_on = self.context.generate(article, spot_id, brief)
        made_with = {**article.made_with, **self.context.provenance(brief)}
        made = sum(1 for i in article.illustrations if i.digital_source_type)
        _send("generate", made, made + (len(rest) if go_on else 0))
        return {"article": article.model_copy(update={"made_with": made_with}), "lacking": rest if go_on else []}

    def revise(self, state: ComposeState) -> Update:
        """Revise the article by a reviewer's instruction."""
        from limner.tools.editing.commands import Instruct
        from limner.workflows.review import points
        from limner.workflows.revise.graph import propose

        article, said = state["article"], ""
        try:
            proposal = propose(self.context, article, Instruct(text=state.get("wanted", "")), state["brief"])
            said, article = proposal.summary, points.applied(self.context, article, proposal.edits)
        except (BadInput, UnreadableReply) as e:
            said = note("nothing-changed", line=e.note)
        if "limner" in article.made_with:  # arrange has already recorded the costs
            made_with = {**article.made_with, **self.context.provenance(state["brief"])}
            article = article.model_copy(update={"made_with": made_with})
        _send_changes(state, article, state.get("answered", 0))
        return {"article": article, "wanted": "", "said": said}


def build_graph(context: Context, checkpointer: BaseCheckpointSaver | None = None) -> Graph:
    """The compose graph over the parts in `context`, compiled.

    Input: {"brief": Brief}, or {"brief": Brief, "article": Article} to illustrate a finished text. Output: ComposeState
    with the illustrated article. Custom stream events are `Event`s.
    """
    graph, nodes = StateGraph(ComposeState), Nodes(context)
    for node in (
        nodes.outline,
        nodes.write,
        nodes.spot,
        nodes.retrieve,
        nodes.select,
        nodes.arrange,
        nodes.check,
        nodes.generate,
        nodes.revise,
    ):
        graph.add_node(node.__name__, _entered(context, node))
    for point in POINTS:
        graph.add_node(f"review_{point}", _review(context, point))
    graph.add_conditional_edges(START, _first, ["outline", "write", "review_draft", "spot"])
    graph.add_conditional_edges("outline", _after_outlining, ["review_outline", "write"])
    graph.add_conditional_edges("review_outline", edges.after_outline, ["outline", "write"])
    graph.add_conditional_edges("write", _after_write, ["review_draft", "spot", "arrange"])
    graph.add_conditional_edges("review_draft", edges.after_draft, ["revise", "spot"])
    graph.add_conditional_edges("spot", edges.after_spot, ["review_spots", "retrieve"])
    graph.add_conditional_edges("review_spots", edges.after_spots, ["spot", "retrieve"])
    graph.add_conditional_edges("retrieve", _more_to_select)
    graph.add_conditional_edges("select", _more_to_select)
    after_arrange = ["generate", "review_images", "review_final", END]
    graph.add_conditional_edges("arrange", _more_to_check, ["check", *after_arrange])
    graph.add_conditional_edges("check", _more_to_check, ["check", *after_arrange])
    graph.add_conditional_edges("generate", _more_to_generate, after_arrange)
    graph.add_conditional_edges("review_images", edges.after_images, ["revise", "review_final", END])
    graph.add_conditional_edges("review_final", edges.after_final, ["revise", END])
    graph.add_conditional_edges("revise", edges.after_revise, ["review_draft", "review_images", "review_final"])
    return graph.compile(checkpointer=checkpointer, name="compose").with_config(recursion_limit=TURNS)  # type: ignore[return-value]


def _entered(context: Context, node: Callable[[ComposeState], Update]) -> Any:
    """The node, announced by its name; select with the number of the spot, check and generate with the number left."""

    def run(state: ComposeState) -> Update:
        state, restored = typed(state)
        part = ""
        if node.__name__ == "select":
            part = f"/{len(state.get('selections', []))}"
        elif node.__name__ == "check":
            part = f"/{len(state.get('unchecked', []))}"
        elif node.__name__ == "generate":
            part = f"/{len(state.get('lacking', []))}"
        elif state.get("wanted"):  # repeated for a person: do not reuse the model's stored answers
            part = f"/{state.get('answered', 0)}"
        context.enter(f"{node.__name__}{part}")
        known = state.get("spent") or {}
        context.meter.resume(known)
        before = context.meter.spent()  # a graph may serve several articles, whose tokens its meter adds up
        return {**restored, **node(state), "spent": context.meter.spent_since(before, known)}

    return run


def _review(context: Context, point: Point) -> Any:
    """The node that waits at a point. It sends the person's changes after the answer, and so once."""

    def run(state: ComposeState) -> Update:
        from limner.workflows.review import points

        state, restored = typed(state)
        context.enter(f"review_{point}")
        update = points.reviewed(point, context, state)
        if point in ("images", "final"):  # days may have passed
            was = update.get("article", state["article"])
            now = steps.outside_noted(context, was, state["brief"])
            update |= {"article": now} if now.notes != was.notes else {}
        if "article" in update:
            _send_changes(state, update["article"], update["answered"])
        return {**restored, **update}

    return run


def _send_changes(state: ComposeState, article: Article, answered: int) -> None:
    """Send the differences of a changed article."""
    before, send = state["article"], get_stream_writer()
    if article.source != before.source:
        send(Event(kind="again", step="write", text=article.source, done=answered))
    if article.illustrations != before.illustrations:
        send(Event(kind="step", step="arrange", done=len(article.illustrations), of=len(article.illustrations)))


def _first(state: ComposeState) -> Literal["outline", "write", "review_draft", "spot"]:
    if "article" in state:
        return "review_draft" if edges.wants(state, "draft") else "spot"
    return "outline" if edges.wants(state, "outline") else "write"


def _after_outlining(state: ComposeState) -> Literal["review_outline", "write"]:
    return "review_outline" if state.get("outline") else "write"


def _after_write(state: ComposeState) -> Literal["review_draft", "spot", "arrange"]:
    if state.get("stopped"):
        return "arrange"
    return "review_draft" if edges.wants(state, "draft") else "spot"


def _more_to_select(state: ComposeState) -> Literal["select", "arrange"]:
    return "select" if len(state.get("selections", [])) < len(state["spots"]) else "arrange"


def _more_to_check(state: ComposeState) -> str:
    return "check" if state.get("unchecked") else _more_to_generate(state)


def _more_to_generate(state: ComposeState) -> str:
    return "generate" if state.get("lacking") else edges.after_arrange(state)


def last_events(state: dict[str, Any]) -> list[Event]:
    """The events of the last finished step in a state, maybe with those of steps before it.

    A process may die after it saved a step and before it sent the events; its successor sends them instead.
    """
    article, spots = state.get("article"), state.get("spots")
    if article is None:
        return []
    if "limner" in article.made_with:  # added by arrange
        placed = len(article.illustrations)
        events = [Event(kind="step", step="arrange", done=placed, of=placed)]
        if checked := state.get("checked"):
            said = (n for n in article.notes if n.code in ("picture-contradicts", "pictures-unchecked"))
            events.append(Event(kind="step", step="check", done=checked[0], of=checked[1]))
            events += [_noted("check", n) for n in said]
        if made := sum(1 for i in article.illustrations if i.digital_source_type):
            events.append(Event(kind="step", step="generate", done=made, of=made + len(state.get("lacking", []))))
        return events
    if spots is None:
        return [] if article.made_with.get("draft") else [Event(kind="text", step="write", text=article.source)]
    if done := state.get("selections"):
        return [Event(kind="step", step="select", done=len(done), of=len(spots))]
    if (found := state.get("candidates")) is not None:
        return [Event(kind="step", step="retrieve", done=len(found), of=len(spots))]
    if state["brief"].images == 0 or not article.paragraphs:
        return []
    notes = [_noted("spot", n) for n in article.notes if n.code == "spots-from-text"]
    return [Event(kind="step", step="spot", done=len(spots), of=len(spots)), *notes]


def _noted(step: str, said: Note) -> Event:
    return Event(kind="note", step=step, text=str(said), **coded(said))


def _send(step: str, done: int, of: int, fallback: Note | None = None) -> None:
    send = get_stream_writer()
    send(Event(kind="step", step=step, done=done, of=of))
    if fallback:
        send(_noted(step, fallback))
