"""Routes: limner as a model of the OpenAI API, so that any chat client can talk to it.

The first message is a brief; the answer is the article as Markdown, with its progress as the model's "reasoning". Later
messages change the article. Each article is an ordinary job with an owner and limits, and continues when the client
leaves; the same conversation sent again finds it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from limner.document import Article, Point
from limner.errors import JobConflict, LimnerError
from limner.jobs.owners import Owner
from limner.jobs.request import JobRequest
from limner.jobs.uploads import keep
from limner.surfaces.http import signed_urls
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.event_streams import Stream
from limner.surfaces.http.jobs import Trace
from limner.surfaces.http.openai.conversation import ASKS, MARK, MAX_MESSAGES, Meant, Message, chore, meant, picture
from limner.surfaces.http.openai.errors import as_openai, openai_error
from limner.surfaces.http.openai.review import TAKEN, article_of, how, reply
from limner.surfaces.http.problems import Missing, _invalid_line, documented, of_error, problem
from limner.surfaces.http.revision_views import ProposalRequest
from limner.surfaces.http.revisions import image_of, propose_edits, who
from limner.surfaces.http.views import View
from limner.tools.editing.commands import Instruct
from limner.tools.export import to_markdown
from limner.tools.images.images import data_url
from limner.workflows.review import answers, questions

MODEL = "limner"
AGAIN = 20  # repetitions of one conversation before each becomes a new request
PING = 10  # seconds of silence before a keep-alive
_DOING = {
    "write": "Writing.",
    "spot": "Finding places for images.",
    "retrieve": "Searching the library.",
    "select": "Choosing images.",
    "arrange": "Arranging them.",
}


class OpenAIRoute(APIRoute):
    """Errors for clients of the OpenAI API: limner's problem, with an additional `error`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as e:
                return as_openai(problem(422, "invalid", _invalid_line(request, e.errors())))
            except LimnerError as e:
                return as_openai(of_error(e))

        return handled


routes = APIRouter(prefix="/v1", tags=["chat"], route_class=OpenAIRoute)


class Wishes(BaseModel):
    """limner's own options; the openai SDK sends them as `extra_body={"limner": {...}}`."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[int, Field(ge=0, le=100)] | Literal["auto"] = "auto"
    """Number of images in a new article."""
    language: Annotated[str | None, Field(max_length=35)] = None
    links: Literal["signed", "token", "data"] = "signed"
    """Addresses of images: signed ones that any page can show for 30 days, plain ones that need the token, or embedded
    images."""
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    """Token limit of a new article, prompts and completions together."""
    review: Annotated[list[Point], Field(max_length=10)] = []
    """Review points of a new article; the user's next message is the answer."""


class ChatRequest(BaseModel):
    """A conversation. Other fields of the OpenAI API (temperature, tools …) are ignored."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(max_length=100)]
    """"limner", or "limner/LIBRARY" for images of that library."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    limner: Wishes = Wishes()


class ModelView(View):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "limner"


class ModelList(View):
    """Models."""

    object: Literal["list"] = "list"
    data: list[ModelView]


@routes.get("/models", summary="List models", responses=documented())
def list_models(has: Has, asker: Asker) -> ModelList:
    """List limner's models: one with the starter library, and one for each of your libraries."""
    return ModelList(data=[ModelView(id=name) for name in (MODEL, *(f"{MODEL}/{n}" for n in has.shelf.names(asker)))])


COMPLETION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A chat completion; with `stream`, chunks as server-sent events. Progress comes as "
        "`reasoning_content`.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
}


@routes.post(
    "/chat/completions",
    summary="Talk to limner as to a model",
    response_class=Response,
    responses={**documented(404, 409, 429), **COMPLETION},
)
async def complete(has: Has, asker: Asker, request: ChatRequest, http: Request, trace: Trace = None) -> Response:
    """The first message is a brief, later ones change the article; /new, /undo, /redo and /show are commands.

    With `review`, or `/review draft,images BRIEF`, it stops and asks: the next message is the answer, in words, or as
    /accept, /ignore, /edit, /answer.
    """
    library = _library(has, asker, request.model)
    asked = meant(request.messages)
    for n, url in enumerate(asked.images, 1):
        picture(url, n)
    talk = Talk(has, asker, request, asked, library, str(http.base_url).rstrip("/"), trace)
    # Refusals come before the first byte; from here on a job exists.
    talk.job = await anyio.to_thread.run_sync(talk.begin)
    if request.stream:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return Stream(_streamed(talk), media_type="text/event-stream", headers=headers)
    return await _whole(talk)


class Said(NamedTuple):
    """A chunk of an answer."""

    kind: Literal["reasoning", "content", "error", "ping"]
    text: str


class Talk:
    """Handles one request, from its meaning to the answer."""

    def __init__(
        self, has: Parts, asker: Owner, request: ChatRequest, asked: Meant, library: str, base: str, trace: str | None
    ) -> None:
        self.has, self.asker, self.request, self.asked = has, asker, request, asked
        self.library, self.base, self.trace = library, base, trace
        self.job = ""
        self.since = 0
        """The last event of the job that the conversation has seen."""
        self.says = ""

    def begin(self) -> str:
        """The request's job, submitted if it is new. Raises LimnerError."""
        if self.asked.what == "chore":
            return ""
        if self.asked.what == "answer":
            return self._answer()
        if self.asked.what != "compose":
            self.has.jobs.ledger.job(self.asked.job, self.asker.name)
            return self.asked.job
        wishes = self.request.limner
        order = JobRequest(
            brief=self.asked.text,
            images=wishes.images,
            language=wishes.language,
            max_tokens=wishes.max_tokens,
            library=[self.library] if self.library else [],
            review=list(self.asked.review or wishes.review),
            references=self._keep_images(),
        )
        for n in range(AGAIN):
            key = f"chat-{self.asked.key}-{self.library}-{n}"[:150]
            try:
                ((job, new),) = self.has.jobs.submit([order], self.asker, keys=[key], trace=self.trace)
            except JobConflict:  # the same words with other options
                continue
            if new or not job.ended:
                return job.id
        ((job, _),) = self.has.jobs.submit([order], self.asker, trace=self.trace)
        return job.id

    def _answer(self) -> str:
        """Answer the job's question, or notice that it is not the one asked in this conversation. Raises
        LimnerError."""
        ledger, owner = self.has.jobs.ledger, self.asker.name
        job = ledger.job(self.asked.job, owner)
        self.since = ledger.seqs([job.id])[job.id][0]
        question = questions.ours(job.question) if job.state == "waiting" else None
        if question is None or question["version"] != self.asked.asks:
            self.says = TAKEN
            return job.id
        given = reply(self.asked.text, question)
        answers.check(question, given)
        self._keep_images()
        try:
            self.has.jobs.answer(job.id, given, owner)
        except JobConflict:  # somebody else was faster
            self.says = TAKEN
        return job.id

    async def say(self) -> AsyncGenerator[Said]:
        """Stream the answer."""
        what = self.asked.what
        if what == "chore":
            yield Said("content", chore(self.asked.text))
            return
        try:
            if what in ("compose", "answer"):
                async with aclosing(self._watch()) as pieces:
                    async for piece in pieces:
                        yield piece
                        if piece.kind == "error":
                            return
                says = self.says
            else:
                yield Said("reasoning", "Looking at the article.\n" if what == "show" else "Changing the article.\n")
                working = asyncio.ensure_future(anyio.to_thread.run_sync(self._change))
                while not working.done():
                    await asyncio.wait([working], timeout=PING)
                    if not working.done():
                        yield Said("ping", "")
                says = working.result()
            yield Said("content", await anyio.to_thread.run_sync(self._page, says))
        except LimnerError as e:
            yield Said("error", " ".join(str(e).split()))

    async def _watch(self) -> AsyncGenerator[Said]:
        """Stream a job's progress until it has ended or asks; ends with an error if the job failed."""
        if self.says and await anyio.to_thread.run_sync(self._waits):
            return  # no more events
        async with aclosing(self.has.hub.events(self.job, self.since, follow=True)) as stream:  # type: ignore[type-var]
            async for wire in stream:
                for line in wire.decode().splitlines():
                    if line.startswith(":"):
                        yield Said("ping", "")
                    elif line.startswith("data: "):
                        event = json.loads(line[6:])
                        if said := _progress(event):
                            yield said
                        if event["kind"] in ("failed", "cancelled", "set_aside"):
                            why = event["data"].get("why") or "It was cancelled. Send it again to start over."
                            yield Said("error", why)
                            return
                        if event["kind"] == "done":
                            return
                        # After a question that was answered since, tell the later events.
                        if event["kind"] == "waiting" and await anyio.to_thread.run_sync(self._waits):
                            return

    def _waits(self) -> bool:
        return self.has.jobs.ledger.job(self.job, self.asker.name).state == "waiting"

    def _change(self) -> str:
        """Change the article as requested; returns the model's remarks."""
        if self.asked.what == "show":
            return ""
        has, asker, job = self.has, self.asker, self.job
        head = has.revisions.show(job, asker.name).version.number
        if self.asked.what == "undo":
            has.revisions.undo(job, head, who(asker), owner=asker.name)
            return "The last change is undone."
        if self.asked.what == "redo":
            has.revisions.redo(job, head, who(asker), owner=asker.name)
            return "It is done again."
        self._keep_images()
        proposal = propose_edits(has, asker, job, ProposalRequest(version=head, wish=Instruct(text=self.asked.text)))
        if not proposal.edits:
            return proposal.says or "Nothing was changed."
        has.revisions.edit(
            job,
            proposal.edits,
            head,
            who(asker),
            image_of(has, asker),
            owner=asker.name,
            what=self.asked.text[:200],
            by="model",
        )
        return proposal.says

    def _keep_images(self) -> list[str]:
        """Store the attached images in the caller's own library; returns their distinct ids."""
        kept = [
            keep(self.has.shelf.context, self.asker, picture(url, n), "", self.asked.text[:200])[1].id
            for n, url in enumerate(self.asked.images, 1)
        ]
        return list(dict.fromkeys(kept))

    def _page(self, says: str) -> str:
        """The article as Markdown for a chat client, with the mark for the next request."""
        job = self.has.jobs.ledger.job(self.job, self.asker.name)
        before = f"{_quoted(says)}\n\n" if says else ""
        if job.state != "waiting":
            article = self.has.jobs.article(self.job, self.asker.name)
            return f"{before}{self._markdown(article, done=True)}\n\n{MARK.format(self.job)}\n"
        question = questions.ours(job.question)
        if question is None:  # from a user's own graph
            line = f"limner asks something. Answer it in limner's page, or with `limner jobs answer {job.id}`."
            return f"{before}{line}\n\n{MARK.format(self.job)}\n"
        asks = f"**Review of the {question['point']}.** {_quoted(question['description'])[2:]}"
        shown = self._markdown(article_of(question), done=False)
        mark = ASKS.format(self.job, question["version"])
        return f"{before}{asks}\n\n---\n\n{shown}\n\n---\n\n{how(question)}\n\n{mark}\n"

    def _markdown(self, article: Article, *, done: bool) -> str:
        # `to_markdown` writes only file names, which no text contains by chance.
        names = {i.image_id: f"limner-image-{i.image_id}" for i in article.illustrations}
        text = to_markdown(article, names)
        for illustration in article.illustrations:
            text = text.replace(
                f"]({names[illustration.image_id]})", f"]({self._address(article, illustration, done)})"
            )
        return text.strip()

    def _address(self, article: Article, illustration: Any, done: bool) -> str:
        links = self.request.limner.links
        if links == "signed":
            return signed_urls.address(self.has.settings.home, self.job, illustration, self.base)
        if links == "token":
            library = quote(illustration.library, safe="")
            place = f"jobs/{self.job}" if done else f"libraries/{library}"  # a waiting job has no article yet
            return f"{self.base}/v1/{place}/images/{illustration.image_id}?side=1024"
        image, _ = self.has.shelf.images_of(article).image(illustration.image_id)
        return data_url(image, 1024, max_pixels=self.has.settings.max_pixels)

    def usage(self) -> dict[str, int]:
        """The job's tokens so far."""
        roles = self.has.jobs.ledger.usage(self.job).values() if self.job else []
        prompt, completion = sum(u.prompt for u in roles), sum(u.completion for u in roles)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _library(has: Parts, asker: Owner, model: str) -> str:
    """The library of a model's name, "" for the starter. Raises Missing."""
    name, _, library = model.partition("/")
    if name == MODEL and (not library or library in has.shelf.names(asker)):
        return library
    known = ", ".join((MODEL, *(f"{MODEL}/{n}" for n in has.shelf.names(asker)[:5])))
    raise Missing(f"There is no model {model[:80]!r} for you. The models are: {known}.")


def _progress(event: dict[str, Any]) -> Said | None:
    kind, step, data = event["kind"], event["step"], event["data"]
    if kind == "text":
        return Said("reasoning", data["text"])
    if kind == "step":
        of = f" {data['done']} of {data['of']}." if data.get("of") else ""
        return Said("reasoning", f"\n{_DOING.get(step, step)}{of}\n")
    if kind in ("parked", "note"):
        return Said("reasoning", f"\n{data.get('why') or data.get('text') or ''}\n")
    if kind == "again":
        return Said("reasoning", f"\nOnce more:\n{data['text']}")
    return None


def _quoted(text: str) -> str:
    """A model's remarks on its change, as a quotation with Markdown escaped, because they are not limner's words."""
    return "> " + " ".join(text.split()).replace("<", "&lt;").replace("![", "\\![").replace("](", "]\\(")[:1000]


# --- the wire ------------------------------------------------------------------------------------------------------


def _head(talk: Talk, kind: str) -> dict[str, Any]:
    made = int(time.time())
    name = f"chatcmpl-{talk.job or 'chore'}"
    return {"id": name, "object": kind, "created": made, "model": talk.request.model}


async def _streamed(talk: Talk) -> AsyncIterator[bytes]:
    head = _head(talk, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(talk.say()) as pieces:
        async for piece in pieces:
            if piece.kind == "error":
                yield _event({"error": openai_error(piece.text, "limner_error")})
                return
            if piece.kind == "ping":
                yield b": still there\n\n"
            else:
                yield chunk({"reasoning_content" if piece.kind == "reasoning" else "content": piece.text})
    yield chunk({}, "stop")
    if (talk.request.stream_options or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": await anyio.to_thread.run_sync(talk.usage)})
    yield b"data: [DONE]\n\n"


async def _whole(talk: Talk) -> Response:
    said = {"reasoning": "", "content": ""}
    async with aclosing(talk.say()) as pieces:
        async for piece in pieces:
            if piece.kind == "error":
                return as_openai(of_error(JobConflict(piece.text)))
            if piece.kind != "ping":
                said[piece.kind] += piece.text
    message = {"role": "assistant", "content": said["content"], "reasoning_content": said["reasoning"]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = await anyio.to_thread.run_sync(talk.usage)
    return JSONResponse({**_head(talk, "chat.completion"), "choices": [choice], "usage": usage})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
