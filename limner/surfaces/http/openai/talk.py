"""Handle one request of a chat client, from its meaning to the answer."""

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
from limner.exports import to_markdown
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
from limner.surfaces.http.revisions import image_of, proposed, who
from limner.tools.documents import MAX_TEXT, document_text
from limner.tools.editing.commands import Instruct
from limner.tools.images.images import data_url
from limner.workflows.review import answers, questions

AGAIN = 20  # repetitions of one conversation before each becomes a new request
PING = 10  # seconds of silence before a keep-alive
MAX_SOURCES = 20  # of a job
_DOING = {
    "write": "Writing.",
    "spot": "Finding places for images.",
    "retrieve": "Searching the library.",
    "select": "Choosing images.",
    "arrange": "Arranging them.",
}


class Chunk(NamedTuple):
    """A chunk of an answer."""

    kind: Literal["reasoning", "content", "error", "ping"]
    text: str


class Talk:
    """Handles one request, from its meaning to the answer."""

    def __init__(
        self, has: Parts, asker: Owner, request: ChatRequest, meant: Meant, library: str, base: str, trace: str | None
    ) -> None:
        self.has, self.asker, self.request, self.meant = has, asker, request, meant
        self.library, self.base, self.trace = library, base, trace
        self.job = ""
        self.since = 0
        """The last event of the job that the conversation has seen."""
        self.says = ""
        self.unused: list[str] = [f"“{name}”" for name in meant.unread]
        """Unused attachments of the message, with their reason if they have one."""

    def begin(self) -> str:
        """The request's job, submitted if it is new. Raises LimnerError."""
        if self.meant.what == "chore":
            return ""
        if self.meant.what == "answer":
            return self._answer()
        if self.meant.what != "compose":
            self.has.jobs.ledger.job(self.meant.job, self.asker.name)
            return self.meant.job
        options = self.request.limner
        order = JobRequest(
            brief=self.meant.text,
            images=options.images,
            language=options.language,
            max_tokens=options.max_tokens,
            library=[self.library] if self.library else [],
            review=list(self.meant.review or options.review),
            references=self._keep_images(),
            sources=self._sources(),
        )
        for n in range(AGAIN):
            key = f"chat-{self.meant.key}-{self.library}-{n}"[:150]
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
        job = ledger.job(self.meant.job, owner)
        self.since = ledger.seqs([job.id])[job.id][0]
        question = questions.ours(job.question) if job.state == "waiting" else None
        if question is None or question["version"] != self.meant.asks:
            self.says = TAKEN
            return job.id
        given = reply(self.meant.text, question)
        answers.check(question, given)
        self._keep_images()
        try:
            self.has.jobs.answer(job.id, given, owner)
        except JobConflict:  # somebody else was faster
            self.says = TAKEN
        return job.id

    async def say(self) -> AsyncGenerator[Chunk]:
        """Stream the answer."""
        what = self.meant.what
        if what == "chore":
            yield Chunk("content", await anyio.to_thread.run_sync(self._chore))
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
                yield Chunk("reasoning", "Looking at the article.\n" if what == "show" else "Changing the article.\n")
                working = asyncio.ensure_future(self.has.pools["models"].run(self.asker.name, self._change))
                while not working.done():
                    await asyncio.wait([working], timeout=PING)
                    if not working.done():
                        yield Chunk("ping", "")
                says = working.result()
            yield Chunk("content", await self.has.pools["texts"].run(self.asker.name, lambda: self._page(says)))
        except LimnerError as e:
            yield Chunk("error", " ".join(e.afar.split()))

    async def _watch(self) -> AsyncGenerator[Chunk]:
        """Stream a job's progress until it has ended or asks; ends with an error if the job failed."""
        if self.says and await anyio.to_thread.run_sync(self._waits):
            return  # no more events
        events = self.has.hub.events(self.job, self.since, follow=True, key=self.asker.key)
        async with aclosing(events) as stream:  # type: ignore[type-var]
            async for wire in stream:
                for line in wire.decode().splitlines():
                    if line.startswith(":"):
                        yield Chunk("ping", "")
                    elif line.startswith("data: "):
                        event = json.loads(line[6:])
                        if chunk := _progress(event):
                            yield chunk
                        if event["kind"] in ("failed", "cancelled", "set_aside"):
                            why = event["data"].get("why") or "It was cancelled. Send it again to start over."
                            yield Chunk("error", why)
                            return
                        if event["kind"] == "done":
                            return
                        # After a question that was answered since, continue with the later events.
                        if event["kind"] == "waiting" and await anyio.to_thread.run_sync(self._waits):
                            return

    def _waits(self) -> bool:
        return self.has.jobs.ledger.job(self.job, self.asker.name).state == "waiting"

    def _change(self) -> str:
        """Change the article as requested; returns the model's remarks."""
        if self.meant.what == "show":
            return ""
        has, asker, job = self.has, self.asker, self.job
        head = has.revisions.show(job, asker.name).version.number
        if self.meant.what == "undo":
            has.revisions.undo(job, head, who(asker), owner=asker.name)
            return "The last change is undone."
        if self.meant.what == "redo":
            has.revisions.redo(job, head, who(asker), owner=asker.name)
            return "It is done again."
        self._keep_images()
        request = ProposalRequest(version=head, instruction=Instruct(text=self.meant.text))
        proposal = proposed(has, asker, job, request)
        if not proposal.edits:
            return proposal.summary or "Nothing was changed."
        has.revisions.edit(
            job,
            proposal.edits,
            head,
            who(asker),
            image_of(has, asker),
            owner=asker.name,
            what=self.meant.text[:200],
            by="model",
        )
        return proposal.summary

    def _keep_images(self) -> list[str]:
        """Store the attached images in the caller's own library; returns their distinct ids."""
        kept = [
            keep(self.has.shelf.context, self.asker, picture(url, n), "", self.meant.text[:200])[1].id
            for n, url in enumerate(self.meant.images, 1)
        ]
        return list(dict.fromkeys(kept))

    def _sources(self) -> list[Material]:
        """The writer's material: the client's retrieved texts, and the text of the files; notes unreadable ones."""
        made = [Material(name=s.name, text=s.text[:MAX_TEXT]) for s in self.meant.material]
        for n, file in enumerate(self.meant.files, 1):
            name = file.name or f"file {n}"
            try:
                made.append(Material(name=name, text=document_text(file_bytes(file), file.name, file.media)))
            except BadInput as e:
                self.unused.append(f"“{name}” {e}")
        self.unused += [f"“{m.name}” is one too many, after {MAX_SOURCES}" for m in made[MAX_SOURCES:]]
        return made[:MAX_SOURCES]

    def _chore(self) -> str:
        """Answer a chore: with the title of its article, or with other requested values."""
        meant = self.meant.chore
        assert meant is not None
        title = ""
        if job := marked(meant.about):
            try:
                title = self.has.jobs.ledger.job(job, self.asker.name).title
                title = self.has.jobs.article(job, self.asker.name).title or title
            except (JobUnknown, JobConflict):  # another owner's, or not done yet
                title = title or ""
        return chores.answer(meant, title or chores.heading(meant.about), self.request.response_format)

    def _page(self, says: str) -> str:
        """The article as Markdown for a chat client, with the mark for the next request."""
        job = self.has.jobs.ledger.job(self.job, self.asker.name)
        before = "".join(f"{_quoted(line)}\n\n" for line in (says, self._not_used()) if line)
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

    def _not_used(self) -> str:
        """One line that names unused attachments; "" if all are used."""
        meant = self.meant
        if meant.what in ("revise", "answer"):
            names = [f.name for f in meant.files] + [s.name for s in meant.material]
            return not_used([*self.unused, *(f"“{name or 'a file'}”" for name in names)], changing=bool(names))
        return not_used(self.unused)

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


def _progress(event: dict[str, Any]) -> Chunk | None:
    kind, step, data = event["kind"], event["step"], event["data"]
    if kind == "text":
        return Chunk("reasoning", data["text"])
    if kind == "step":
        of = f" {data['done']} of {data['of']}." if data.get("of") else ""
        return Chunk("reasoning", f"\n{_DOING.get(step, step)}{of}\n")
    if kind in ("parked", "note"):
        return Chunk("reasoning", f"\n{data.get('why') or data.get('text') or ''}\n")
    if kind == "again":
        return Chunk("reasoning", f"\nOnce more:\n{data['text']}")
    return None


def _quoted(text: str) -> str:
    """A model's remarks on its change, as a quotation with Markdown escaped, because they are not limner's words."""
    return "> " + " ".join(text.split()).replace("<", "&lt;").replace("![", "\\![").replace("](", "]\\(")[:1000]
