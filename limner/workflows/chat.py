"""The conversational composer: a graph that talks, composes, shows and revises, one move for each message.

    graph = limner.build_chat_graph(library="photos", model=model, checkpointer=InMemorySaver())
    graph.invoke({"messages": [("user", "An article on bees, please")]}, {"configurable": {"thread_id": "1"}})

Its state is a conversation and an article; the article is in `state["article"]`, whatever the messages say about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.agents import chat
from limner.document import Article, Brief, Point
from limner.errors import BadInput, JobConflict, JobUnknown, LimnerError, UnreadableReply
from limner.text import printable
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Edit, Instruct, RemoveImage, SwapImage
from limner.tools.editing.commands import Lock as LockParts
from limner.tools.editing.commands import Unlock as UnlockParts
from limner.workflows.ask import Answer, ask
from limner.workflows.compose import build_graph
from limner.workflows.context import build_context
from limner.workflows.inputs import make_brief
from limner.workflows.listing import found, numbered, outline, quoted
from limner.workflows.revise.graph import propose
from limner.workflows.roles import models_for
from limner.workflows.tenants import Scope, TenantOf, Tenants, tenant_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from limner.settings import Settings
    from limner.workflows.context import Context
    from limner.workflows.keeper import Keeper

KEPT = 200  # messages; older ones are dropped, but not the article
PAST = 20  # versions kept for undo, where no keeper has them


class ChatState(TypedDict, total=False):
    """The state of a chat thread."""

    messages: Required[Annotated[list[AnyMessage], add_messages]]
    article: Article | None
    past: list[Article]
    """Earlier versions, oldest first, where no keeper has them."""
    jobs: list[str]
    """Ids that a keeper gave the articles of this chat, the current one last."""
    brief: Brief | None
    since: int | None
    """Index, from 0, of the user's message that begins a brief about which the chat asked a question."""
    asked: bool
    """Whether the chat has used its one question about this article."""
    move: Required[dict[str, Any]]
    pending: dict[str, Any] | None
    """A move that waits for the user's confirmation."""


def build_chat_graph(
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    selector_model: BaseChatModel | None = None,
    talker: BaseChatModel | None = None,
    tools: bool | None = None,
    settings: Settings | None = None,
    context: Context | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
    tenant: TenantOf = tenant_of,
    review: Sequence[Point] = (),
    keeper: Keeper | None = None,
) -> Any:
    """The chat graph, compiled. Input {"messages": [...]}; give it a thread_id and a checkpointer.

    talker: the chat model that interprets messages; None takes `model`. tools: whether it can call tools; None: yes for
    a passed model, while the settings' models work by commands. review: default points at which a composition
    interrupts, unless `/review` names others: docs/review.md. keeper: keeps the articles and their versions; None keeps
    the last versions in the chat's state. Other arguments are those of `build_graph` and `toolbox`.
    """
    if context is None:
        context = build_context(settings, library=library, models=models_for(model, selector_model))
    tenants = Tenants(context)
    talker = talker or model
    calls = talker is not None if tools is None else tools
    if calls and talker is None:
        raise BadInput("A chat by tool calls needs a chat model. Give model= or talker=.")
    return chat_graph(lambda: tenants, talker if calls else None, checkpointer, tenant, review, keeper)


def chat_graph(
    tenants: Callable[[], Tenants],
    talker: BaseChatModel | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
    tenant: TenantOf = tenant_of,
    review: Sequence[Point] = (),
    keeper: Keeper | None = None,
) -> Any:
    """Like `build_chat_graph`, with parts that are made at the first message. talker: None means commands only."""
    nodes = _Nodes(tenants, talker, tenant, review, keeper)
    graph = StateGraph(ChatState)
    graph.add_node("decide", nodes.decide)
    graph.add_node("compose", nodes.compose)
    graph.add_node("revise", nodes.revise)
    graph.add_node("answer", nodes.answer)
    graph.add_node("act", nodes.act)
    graph.add_node("trim", _trim)
    graph.add_edge(START, "decide")
    graph.add_conditional_edges("decide", _next, ["compose", "revise", "answer", "act"])
    for node in ("compose", "revise", "answer", "act"):
        graph.add_edge(node, "trim")
    graph.add_edge("trim", END)
    return graph.compile(checkpointer=checkpointer, name="chat")


@dataclass(frozen=True)
class _Nodes:
    """The nodes of the chat graph, with the parts that they share."""

    tenants: Callable[[], Tenants]
    talker: BaseChatModel | None
    tenant: TenantOf
    review: Sequence[Point]
    keeper: Keeper | None

    def _scope_of(self, config: RunnableConfig) -> Scope:
        return self.tenants().scope(self.tenant(config.get("configurable") or {}))

    def _opened(self, state: ChatState, config: RunnableConfig) -> ChatState:
        """The state, with the article as others have left it."""
        state, jobs = _typed(state), state.get("jobs", [])
        if self.keeper is None or not jobs:
            return state
        try:
            return {**state, "article": self.keeper.now(self.tenant(config.get("configurable") or {}).owner, jobs[-1])}
        except JobUnknown:  # somebody deleted it: what the chat remembers is left
            return {**state, "jobs": []}

    def decide(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        state = self._opened(state, config)
        text = _last(state)
        may_ask = not state.get("asked")
        article = state.get("article")
        try:
            if not text:
                move: Any = chat.Reply(text=chat.HELP)
            elif self.talker is not None and not text.startswith("/"):
                if (pending := state.get("pending")) and chat.confirmed(text):
                    return {"move": pending, "pending": None}
                move = chat.decide(state["messages"], article, self.talker, may_ask=may_ask)
                move = chat.doubted(move, text, article)
            else:
                follows = article is None or self.tenants().context.follows("writer")
                move = chat.read_command(text, article, may_ask=may_ask, follows=follows)
        except UnreadableReply:  # the model called an unknown tool twice: read the message without it
            move = chat.read_command(text, article, may_ask=may_ask, follows=True)
        update = {
            "move": move.model_dump(mode="json"),
            "pending": None,
            "since": state.get("since") if not may_ask else None,
        }
        if move.do == "confirm":
            update |= {"pending": move.meant, "since": len(_users(state)) - 1}
        return update

    def compose(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        state = _typed(state)
        move = state["move"]
        users, since = _users(state), state.get("since")
        words = move["brief"] or chat.brief_of(users, len(users) - 1 if since is None else since)
        try:
            points = move.get("review") or self.review
            brief = make_brief(words, images=move["images"], language=move["language"], review=points)
            scope = self._scope_of(config)
            done = build_graph(scope.context).invoke({"brief": brief})  # type: ignore[typeddict-item]
        except LimnerError as e:
            return _reply(str(e))
        article, before = done["article"], state.get("article")
        return {
            **_reply(_shown(article)),
            "article": article,
            **self._kept_anew(state, scope, brief, article, before),
            "brief": brief,
            "since": None,
            "asked": False,
        }

    def _kept_anew(
        self, state: ChatState, scope: Scope, brief: Brief, article: Article, before: Article | None
    ) -> dict[str, Any]:
        if self.keeper is None:
            return {"past": [*state.get("past", []), *([before] if before else [])][-PAST:]}
        libraries = [library.name for library in scope.context.libraries]
        job = self.keeper.begin(scope.tenant.owner, brief, article, libraries, scope.context.meter.roles)
        return {"jobs": [*state.get("jobs", []), job]}

    def revise(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        state = self._opened(state, config)
        scope = self._scope_of(config)
        return _changing(state, scope, lambda article: _instructed(scope, article, state), self.keeper, "model")

    def answer(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        state = self._opened(state, config)
        article, move = state.get("article"), state["move"]
        if article is None:
            return _reply(f"There is no article yet. {chat.HELP}")
        try:
            scope = self._scope_of(config)
            return _reply(
                _answered(ask(scope.holding(article), move["words"] or _last(state), article, move["pictures"]))
            )
        except LimnerError as e:
            return _reply(str(e))

    def act(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        state = self._opened(state, config)
        move, article = state["move"], state.get("article")
        scope = self._scope_of(config)
        match move["do"]:
            case "ask":
                return {**_reply(chat.harmless(move["question"])), "asked": True, "since": len(_users(state)) - 1}
            case "confirm":
                return _reply(move["question"])
            case "reply":
                return _reply(move["text"])
            case "search":
                return _search(scope, move["query"])
        if article is None:
            return _reply(f"There is no article yet. {chat.HELP}")
        match move["do"]:
            case "show":
                return _reply(_shown(article))
            case "undo":
                before = _before(state, scope, self.keeper)
                if before is None:
                    return _reply("There is nothing to undo.")
                return {**_reply("The last change is undone.\n\n" + _shown(before["article"])), **before}
        return _changing(state, scope, lambda article: _moved(article, move), self.keeper, "person")


def _typed(state: ChatState) -> ChatState:
    """The state with limner's types, which a LangGraph server's checkpoints return as JSON."""
    article, brief = state.get("article"), state.get("brief")
    return {
        **state,
        "article": Article.model_validate(article) if article else None,
        "brief": Brief.model_validate(brief) if brief else None,
        "past": [Article.model_validate(a) for a in state.get("past", [])],
    }


def _next(state: ChatState) -> str:
    do = state["move"]["do"]
    return {"compose": "compose", "revise": "revise", "question": "answer"}.get(do, "act")


def _trim(state: ChatState) -> dict[str, Any]:
    """Drop old messages."""
    old = state["messages"][:-KEPT]
    gone = sum(isinstance(m, HumanMessage) for m in old)
    removed = [RemoveMessage(id=m.id) for m in old if m.id]
    since = state.get("since")
    return {"messages": removed, "since": since if since is None else max(0, since - gone)} if removed else {}


def _before(state: ChatState, scope: Scope, keeper: Keeper | None) -> dict[str, Any] | None:
    """The state one version back, or with the article before; None where there is neither."""
    if keeper is None:
        past = state.get("past", [])
        return {"article": past[-1], "past": past[:-1]} if past else None
    jobs, owner = state.get("jobs", []), scope.tenant.owner
    try:
        return {"article": keeper.undo(owner, jobs[-1])} if jobs else None
    except JobConflict:  # at its first version
        return {"article": keeper.now(owner, jobs[-2]), "jobs": jobs[:-1]} if len(jobs) > 1 else None


def _changing(
    state: ChatState, scope: Scope, change: Any, keeper: Keeper | None, by: Literal["model", "person"]
) -> dict[str, Any]:
    """The state after a change to its article; a message says what cannot be done."""
    article, jobs = state.get("article"), state.get("jobs", [])
    if article is None:
        return _reply(f"There is no article yet. {chat.HELP}")
    try:
        edits, says = change(article)
        new = edited(article, edits, scope.record_of(article)) if edits else article
        if keeper is not None and jobs and new != article:
            what = _last(state)[:200] if by == "model" else ""
            new = keeper.change(scope.tenant.owner, jobs[-1], edits, scope.record_of(article), what, by)
    except LimnerError as e:
        return _reply(str(e))
    if new == article:
        return _reply(quoted(says, 500) if says else "Nothing was changed.")
    reply_text = f"{quoted(says, 500)}\n\n{_shown(new)}" if says else _shown(new)
    past = {"past": [*state.get("past", []), article][-PAST:]} if keeper is None else {}
    return {**_reply(reply_text), "article": new, **past}


def _instructed(scope: Scope, article: Article, state: ChatState) -> tuple[tuple[Edit, ...], str]:
    """The user's last message as edits: their words, not the model's."""
    made = propose(scope.holding(article), article, Instruct(text=_last(state)[:10_000]), state.get("brief"))
    return made.edits, made.summary


def _moved(article: Article, move: dict[str, Any]) -> tuple[list[Edit], str]:
    """A move that needs no model, as edits. Raises BadInput for an unknown part."""
    if move["do"] in ("lock", "unlock"):
        ids = tuple(dict.fromkeys(_part(article, part) for part in move["parts"]))
        return [LockParts(ids=ids) if move["do"] == "lock" else UnlockParts(ids=ids)], ""
    image = _picture(article, move["picture"])
    if move["do"] == "remove":
        return [RemoveImage(image=image.id)], ""
    used = {i.image_id for i in article.illustrations}
    spot = next((s for s in article.selections if image.id == f"f-{s.spot.id}"), None)
    other = next((c for c in (spot.candidates if spot else ()) if not used & c.ids), None)
    if other is None:
        raise BadInput("Nothing else was found for that place. Take the picture out, or /search for another.")
    return [SwapImage(image=image.id, image_id=other.image_id, library=other.library)], ""


def _part(article: Article, part: str) -> str:
    words = part.lower().split()
    if words[0].startswith("picture"):
        digits = "".join(c for c in part if c.isdigit())
        return _picture(article, int(digits or 0)).id
    known = {b.id for b in article.blocks()}
    if part not in known:
        raise BadInput(f"There is no part {part[:40]!r}. /show gives the numbers: b1, b2 … and picture 1, 2 …")
    return part


def _picture(article: Article, number: int) -> Any:
    if not 1 <= number <= len(article.illustrations):
        raise BadInput(f"There is no picture {number}: the article has {len(article.illustrations)}.")
    return article.illustrations[number - 1]


def _search(scope: Scope, query: str) -> dict[str, Any]:
    try:
        images, notes = scope.search(query), scope.remarks()
    except LimnerError as e:
        return _reply(str(e))
    return _reply("\n".join(["Found:", *(f"- {line}" for line in found(images)), *notes]))


def _users(state: ChatState) -> list[HumanMessage]:
    return [m for m in state["messages"] if isinstance(m, HumanMessage)]


def _last(state: ChatState) -> str:
    last = next((m for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), None)
    return printable(last.text).strip() if last else ""


def _reply(text: str) -> dict[str, Any]:
    return {"messages": [AIMessage(text)]}


def _answered(answer: Answer) -> str:
    """An answer, the blocks that it rests on, and what the model was not shown."""
    rests = "; ".join(f"{c.block} {quoted(c.quote, 120)}" if c.quote else c.block for c in answer.blocks)
    lines = [answer.text, f"It rests on {rests}." if rests else "", *(f"Note: {quoted(n, 400)}" for n in answer.notes)]
    return "\n\n".join(filter(None, lines))


def _shown(article: Article) -> str:
    notes = "".join(f"\n\nNote: {quoted(note, 400)}" for note in article.notes)
    return f"{outline(article)}\n\n{numbered(article)}{notes}"
