"""Turn a wish about an article into edits: proposed first, shown to a person, then applied.

    graph = limner.build_revise_graph(library="photos", checkpointer=InMemorySaver())
    graph.invoke({"article": article, "wish": "Make the introduction shorter"}, config)   # waits, with the edits
    graph.invoke(Command(resume={"type": "accept"}), config)["article"]

`limner.revise` does the same without waiting. Locked parts never change, whatever a model answers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Required

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.document import Article, Brief
from limner.errors import BadInput, LimnerError
from limner.notes import Note, note
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Proposal, Wish
from limner.workflows.context import Context
from limner.workflows.review import answers, questions
from limner.workflows.revise.revision import Revision, tried

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

WISHES: TypeAdapter[Wish] = TypeAdapter(Wish)


def propose(context: Context, article: Article, wish: Wish, brief: Brief | None = None) -> Proposal:
    """Propose edits that fulfil a wish, without applying them.

    brief: the article's brief, if known. `says` names what could not be done. Raises BadInput if the wish concerns an
    unknown or locked part, or is beyond the model; UnreadableReply, BudgetReached, ModelError, LibraryError.
    """
    before = context.meter.total
    work = Revision(context, article, brief or Brief(text=article.title or "An article"))
    edits, says = work.fulfilled(wish)
    kept, refused = tried(context, article, edits)
    lines = [line for line in dict.fromkeys([*says, *refused]) if line]
    return Proposal(edits=tuple(kept), says=" ".join(lines)[:2000], spent=context.meter.total - before)


def read_wish(wish: Wish | dict[str, Any] | str) -> Wish:
    """Read a caller's wish; a text is a free instruction. Raises BadInput."""
    try:
        return WISHES.validate_python({"wish": "instruct", "text": wish} if isinstance(wish, str) else wish)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "wish"
        raise BadInput(
            f"{where}: {first['msg']}. Say what you wish as text, or as one of limner.tools.editing.commands."
        ) from error


# --- the graph -----------------------------------------------------------------------------------------------------


class ReviseState(TypedDict, total=False):
    """The state of a revision's graph."""

    article: Required[Article]
    wish: Required[Any]
    """A text, or a wish as JSON or as one of limner.tools.editing.commands."""
    brief: Brief
    proposal: Required[dict[str, Any]]
    """A Proposal, as JSON."""
    answered: int
    said: str


def build_revise_graph(context: Context, checkpointer: BaseCheckpointSaver | None = None) -> Any:
    """The graph of one revision, compiled: propose -> wait for a person -> apply.

    Input: {"article": Article, "wish": text or Wish} and, if known, {"brief": Brief}. It interrupts with a question in
    the shape of the review points (docs/review.md), its args {"edits", "says"}; accept applies them, edit applies
    others, response states another wish, ignore leaves the article unchanged. Output: {"article": Article}.
    """

    def propose_(state: ReviseState) -> dict[str, Any]:
        made = propose(context, state["article"], read_wish(state["wish"]), state.get("brief"))
        return {"proposal": made.model_dump(mode="json")}

    def wait(state: ReviseState) -> dict[str, Any]:
        proposal, answered = state["proposal"], state.get("answered", 0)
        args = {"edits": proposal["edits"], "says": proposal["says"]}
        about, said = note("review-edits", n=len(proposal["edits"])), Note("")
        for refused_before in count():
            respond = context.follows("writer")
            asked = questions.question(
                "edits",
                args,
                about,
                answered=(answered, refused_before),
                respond=respond,
                said=said,
                action="apply_edits",
            )
            given = interrupt(questions.interrupting(asked, context.decisions))
            try:
                answer = answers.check(asked, given, strict=False)
                return {"answered": answered + 1, **taken(state, answer)}
            except LimnerError as refused:
                said = note("not-taken", line=refused.note)
        raise AssertionError("unreachable")

    def taken(state: ReviseState, answer: dict[str, Any]) -> dict[str, Any]:
        match answer["type"]:
            case "response":
                return {"wish": answer["args"], "proposal": {}}
            case "ignore":
                return {"proposal": {**state["proposal"], "edits": []}}
            case "edit":
                edits = questions.EDITS.validate_python(answer["args"]["edits"])
                edited(state["article"], edits, context.record)  # edits that cannot be applied lead to another question
                return {"proposal": {**state["proposal"], "edits": answer["args"]["edits"]}}
        return {}

    def apply(state: ReviseState) -> dict[str, Any]:
        edits = questions.EDITS.validate_python(state["proposal"]["edits"])
        return {"article": edited(state["article"], edits, context.record)}

    graph = StateGraph(ReviseState)
    graph.add_node("propose", _entered(context, propose_, "revise"))
    graph.add_node("review_edits", _entered(context, wait, "review_edits"))
    graph.add_node("apply", _entered(context, apply, "apply"))
    graph.add_edge(START, "propose")
    graph.add_edge("propose", "review_edits")
    graph.add_conditional_edges(
        "review_edits", lambda state: "apply" if state["proposal"] else "propose", ["apply", "propose"]
    )
    graph.add_edge("apply", END)
    return graph.compile(checkpointer=checkpointer, name="revise")


def _entered(context: Context, node: Callable[[ReviseState], dict[str, Any]], name: str) -> Any:
    """The node, announced by its name and the number of answers before it."""

    def run(state: ReviseState) -> dict[str, Any]:
        context.enter(f"{name}/{state.get('answered', 0)}")
        return node(state)

    return run


def revise(
    context: Context, article: Article, wish: Wish | dict[str, Any] | str, brief: Brief | None = None
) -> Article:
    """The article after a wish, applied without asking; the model's remarks go into its notes.

    Raises like `propose`.
    """
    proposal = propose(context, article, read_wish(wish), brief)
    after = edited(article, proposal.edits, context.record) if proposal.edits else article
    return after.noted(proposal.says)
