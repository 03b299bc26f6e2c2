"""Turn an instruction about an article into edits: proposed first, shown to a person, then applied.

    graph = limner.build_revise_graph(library="photos", checkpointer=InMemorySaver())
    graph.invoke({"article": article, "instruction": "Make the introduction shorter"}, config)   # waits, with the edits
    graph.invoke(Command(resume={"type": "accept"}), config)["article"]

`limner.revise` does the same without waiting. Locked parts never change, whatever a model answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Required, get_args

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.document import Article, Brief
from limner.errors import BadInput, LimnerError
from limner.notes import Note, note
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Instruction, Proposal
from limner.workflows.context import Context
from limner.workflows.review import answers, questions
from limner.workflows.revise.revision import tried
from limner.workflows.revise.wish import Wish

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

INSTRUCTIONS: TypeAdapter[Instruction] = TypeAdapter(Instruction)


def propose(context: Context, article: Article, instruction: Instruction, brief: Brief | None = None) -> Proposal:
    """Propose edits that fulfil an instruction, without applying them.

    brief: the article's brief, if known. `summary` names what could not be done. Raises BadInput if the instruction
    concerns an unknown or locked part, or is beyond the model; UnreadableReply, BudgetReached, ModelError,
    LibraryError.
    """
    before = context.meter.total
    work = Wish(context, article, brief or Brief(text=article.title or "An article", only=article.only))
    edits, says = work.fulfilled(instruction)
    kept, refused = tried(context, article, edits)
    lines = [line for line in dict.fromkeys([*says, *refused]) if line]
    return Proposal(edits=tuple(kept), summary=" ".join(lines)[:2000], spent=context.meter.total - before)


def read_instruction(instruction: Instruction | dict[str, Any] | str) -> Instruction:
    """Read a caller's instruction; a text is a free instruction. Raises BadInput."""
    try:
        return INSTRUCTIONS.validate_python(
            {"do": "instruct", "text": instruction} if isinstance(instruction, str) else instruction
        )
    except ValidationError as error:
        kinds = [kind.model_fields["do"] for kind in get_args(get_args(Instruction)[0])]
        where, line = answers.worded(error, [str(name) for field in kinds for name in get_args(field.annotation)])
        raise BadInput(note("answer-field", field=where or "instruction", line=line)) from error


# --- the graph -----------------------------------------------------------------------------------------------------


class ReviseState(TypedDict, total=False):
    """The state of a revision's graph."""

    article: Required[Article]
    instruction: Required[Any]
    """A text, or an instruction as JSON or as one of limner.tools.editing.commands."""
    brief: Brief
    proposal: Required[dict[str, Any]]
    """A Proposal, as JSON."""
    answered: int
    said: str


def build_revise_graph(context: Context, checkpointer: BaseCheckpointSaver | None = None) -> Any:
    """The graph of one revision, compiled: propose -> wait for a person -> apply.

    Input: {"article": Article, "instruction": text or Instruction} and, if known, {"brief": Brief}. It interrupts with
    a question in the shape of the review points (docs/review.md), its args {"edits", "summary"}; accept applies them,
    edit applies others, response states another instruction, ignore leaves the article unchanged.
    Output: {"article": Article}.
    """

    def propose_(state: ReviseState) -> dict[str, Any]:
        made = propose(context, state["article"], read_instruction(state["instruction"]), state.get("brief"))
        return {"proposal": made.model_dump(mode="json")}

    def apply(state: ReviseState) -> dict[str, Any]:
        edits = questions.EDITS.validate_python(state["proposal"]["edits"])
        return {"article": edited(state["article"], edits, context.record)}

    graph = StateGraph(ReviseState)
    graph.add_node("propose", _entered(context, propose_, "revise"))
    graph.add_node("review_edits", _entered(context, partial(_reviewed, context), "review_edits"))
    graph.add_node("apply", _entered(context, apply, "apply"))
    graph.add_edge(START, "propose")
    graph.add_edge("propose", "review_edits")
    graph.add_conditional_edges(
        "review_edits", lambda state: "apply" if state["proposal"] else "propose", ["apply", "propose"]
    )
    graph.add_edge("apply", END)
    return graph.compile(checkpointer=checkpointer, name="revise")


def _reviewed(context: Context, state: ReviseState) -> dict[str, Any]:
    proposal, answered = state["proposal"], state.get("answered", 0)
    args = {"edits": proposal["edits"], "summary": proposal["summary"]}
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
            return {"answered": answered + 1, **_answered(context, state, answer)}
        except LimnerError as refused:
            said = note("not-taken", line=refused.note)
    raise AssertionError("unreachable")


def _answered(context: Context, state: ReviseState, answer: dict[str, Any]) -> dict[str, Any]:
    match answer["type"]:
        case "response":
            return {"instruction": answer["args"], "proposal": {}}
        case "ignore":
            return {"proposal": {**state["proposal"], "edits": []}}
        case "edit":
            edits = questions.EDITS.validate_python(answer["args"]["edits"])
            edited(state["article"], edits, context.record)  # edits that cannot be applied lead to another question
            return {"proposal": {**state["proposal"], "edits": answer["args"]["edits"]}}
    return {}


def _entered(context: Context, node: Callable[[ReviseState], dict[str, Any]], name: str) -> Any:
    """The node, announced by its name and the number of answers before it."""

    def run(state: ReviseState) -> dict[str, Any]:
        context.enter(f"{name}/{state.get('answered', 0)}")
        return node(state)

    return run


def revise(
    context: Context, article: Article, instruction: Instruction | dict[str, Any] | str, brief: Brief | None = None
) -> Article:
    """The article after an instruction, applied without asking; the model's remarks go into its notes.

    Raises like `propose`.
    """
    proposal = propose(context, article, read_instruction(instruction), brief)
    after = edited(article, proposal.edits, context.record) if proposal.edits else article
    return after.noted(proposal.summary)
