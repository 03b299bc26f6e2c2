"""One request of a chat client, from what is meant to what is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import anyio.to_thread

from limner.document import Article
from limner.errors import BadInput, JobConflict, JobUnknown, LimnerError
from limner.jobs.owners import Owner
from limner.jobs.request import JobRequest, Material
from limner.jobs.uploads import keep
from limner.surfaces.http import signed_urls
from limner.surfaces.http.deps import Parts
from limner.surfaces.http.openai import chores
from limner.surfaces.http.openai.attachments import file_bytes, not_used
from limner.surfaces.http.openai.conversation import ASKS, MARK, Meant, marked, picture
from limner.surfaces.http.openai.request import ChatRequest
from limner.surfaces.http.openai.review import TAKEN, article_of, how, reply
from limner.surfaces.http.revision_views import ProposalRequest
from limner.surfaces.http.revisions import image_of, propose_edits, who
from limner.tools.documents import MAX_TEXT, document_text
from limner.tools.editing.commands import Instruct
from limner.tools.export import to_markdown
from limner.tools.images.images import data_url
from limner.workflows.review import answers, questions

AGAIN = 20  # times that one conversation may be composed anew before it is a fresh request each time
PING = 10  # seconds of silence after which a stream says that it is still there
MAX_SOURCES = 20  # of a job
_DOING = {
    "write": "Writing.",
    "spot": "Finding places for images.",
    "retrieve": "Searching the library.",
    "select": "Choosing images.",
    "arrange": "Arranging them.",
}


class Said(NamedTuple):
    """A piece of an answer."""

    kind: Literal["reasoning", "content", "error", "ping"]
    text: str


class Talk:
    """One request, from what is meant to what is said."""

    def __init__(
        self, has: Parts, asker: Owner, request: ChatRequest, asked: Meant, library: str, base: str, trace: str | None
    ) -> None:
        self.has, self.asker, self.request, self.asked = has, asker, request, asked
        self.library, self.base, self.trace = library, base, trace
        self.job = ""
        self.since = 0
        """The last of the job's events that the conversation knows."""
        self.says = ""
        self.unused: list[str] = [f"“{name}”" for name in asked.unread]
        """What came with the message and is not used, with the reason where there is one of its own."""

    def begin(self) -> str:
        """The job that this is about, submitted if it is a new one. Raises LimnerError."""
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
            sources=self._sources(),
        )
        for n in range(AGAIN):
            key = f"chat-{self.asked.key}-{self.library}-{n}"[:150]
            try:
                ((job, new),) = self.has.jobs.submit([order], self.asker, keys=[key], trace=self.trace)
            except JobConflict:  # the same words, asked for otherwise
                continue
            if new or not job.ended:
                return job.id
        ((job, _),) = self.has.jobs.submit([order], self.asker, trace=self.trace)
        return job.id

    def _answer(self) -> str:
        """Answer the job's question, or find that it is not the one that was asked here. Raises LimnerError."""
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
        except JobConflict:  # somebody was quicker
            self.says = TAKEN
        return job.id

    async def say(self) -> AsyncGenerator[Said]:
        """The answer as it comes."""
        what = self.asked.what
        if what == "chore":
            yield Said("content", await anyio.to_thread.run_sync(self._chore))
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
        """A job's progress until it has ended or asks; ends with an error where it did not end well."""
        if self.says and await anyio.to_thread.run_sync(self._waits):
            return  # there is nothing to come
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
                        # Of a question that was answered since, what came after it is still to be told.
                        if event["kind"] == "waiting" and await anyio.to_thread.run_sync(self._waits):
                            return

    def _waits(self) -> bool:
        return self.has.jobs.ledger.job(self.job, self.asker.name).state == "waiting"

    def _change(self) -> str:
        """Do what is meant to the article; what the model says about it."""
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
        """Pictures that came with the message, kept in the asker's own library; their ids, each once."""
        kept = [
            keep(self.has.shelf.context, self.asker, picture(url, n), "", self.asked.text[:200])[1].id
            for n, url in enumerate(self.asked.images, 1)
        ]
        return list(dict.fromkeys(kept))

    def _sources(self) -> list[Material]:
        """What the writer may draw on: what the client found, and the text of the files; notes what cannot be read."""
        made = [Material(name=s.name, text=s.text[:MAX_TEXT]) for s in self.asked.material]
        for n, file in enumerate(self.asked.files, 1):
            name = file.name or f"file {n}"
            try:
                made.append(Material(name=name, text=document_text(file_bytes(file), file.name, file.media)))
            except BadInput as e:
                self.unused.append(f"“{name}” {e}")
        self.unused += [f"“{m.name}” is one too many, after {MAX_SOURCES}" for m in made[MAX_SOURCES:]]
        return made[:MAX_SOURCES]

    def _chore(self) -> str:
        """A title of the article that a chore is about, or what else its client asks for."""
        asked = self.asked.chore
        assert asked is not None
        title = ""
        if job := marked(asked.about):
            try:
                title = self.has.jobs.ledger.job(job, self.asker.name).title
                title = self.has.jobs.article(job, self.asker.name).title or title
            except (JobUnknown, JobConflict):  # somebody else's, or not done yet
                title = title or ""
        return chores.answer(asked, title or chores.heading(asked.about), self.request.response_format)

    def _page(self, says: str) -> str:
        """The article as Markdown that a chat client shows, with the mark that the next request is known by."""
        job = self.has.jobs.ledger.job(self.job, self.asker.name)
        before = "".join(f"{_quoted(line)}\n\n" for line in (says, self._not_used()) if line)
        if job.state != "waiting":
            article = self.has.jobs.article(self.job, self.asker.name)
            return f"{before}{self._markdown(article, done=True)}\n\n{MARK.format(self.job)}\n"
        question = questions.ours(job.question)
        if question is None:  # of a graph that somebody brought
            line = f"limner asks something. Answer it in limner's page, or with `limner jobs answer {job.id}`."
            return f"{before}{line}\n\n{MARK.format(self.job)}\n"
        asks = f"**Review of the {question['point']}.** {_quoted(question['description'])[2:]}"
        shown = self._markdown(article_of(question), done=False)
        mark = ASKS.format(self.job, question["version"])
        return f"{before}{asks}\n\n---\n\n{shown}\n\n---\n\n{how(question)}\n\n{mark}\n"

    def _not_used(self) -> str:
        """One line about what came with the message and is not used; "" where all of it is."""
        asked = self.asked
        if asked.what in ("revise", "answer"):
            names = [f.name for f in asked.files] + [s.name for s in asked.material]
            return not_used([*self.unused, *(f"“{name or 'a file'}”" for name in names)], changing=bool(names))
        return not_used(self.unused)

    def _markdown(self, article: Article, *, done: bool) -> str:
        # `to_markdown` writes names of files alone; they are unlike anything that a text holds by chance.
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
            place = f"jobs/{self.job}" if done else f"libraries/{library}"  # a job that asks has no article yet
            return f"{self.base}/v1/{place}/images/{illustration.image_id}?side=1024"
        image, _ = self.has.shelf.images_of(article).image(illustration.image_id)
        return data_url(image, 1024, max_pixels=self.has.settings.max_pixels)

    def usage(self) -> dict[str, int]:
        """What the job cost so far."""
        roles = self.has.jobs.ledger.usage(self.job).values() if self.job else []
        prompt, completion = sum(u.prompt for u in roles), sum(u.completion for u in roles)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


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
    """What a model said about its change, as a quotation: it is not limner's word, and no Markdown of its own."""
    return "> " + " ".join(text.split()).replace("<", "&lt;").replace("![", "\\![").replace("](", "]\\(")[:1000]
