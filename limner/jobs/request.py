"""The request of a job: one shape for HTTP, Python and the shell."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limner.document import Point, Source
from limner.errors import BadInput
from limner.jobs.ledger import Order, Queue
from limner.notes import note
from limner.tools.library.filters import LONGEST, MOST
from limner.workflows.inputs import MAX_BRIEF, MAX_GENERATED, MAX_IMAGES, Start, draft_state, make_brief

ImageId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,64}$")]


class Material(BaseModel):
    """A text that the writer may draw on."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=4 * MAX_BRIEF)]


Tokens = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]


class Limits(BaseModel):
    """New limits for a job that is retried, in place of its own; null keeps the job's."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    max_tokens: Tokens | None = None
    """Limit of the job's tokens, those already spent included."""
    max_cost: Dollars | None = None
    """Limit of its cost in US dollars, what is already spent included."""


class Webhook(BaseModel):
    """The receiver of a signed POST when the job has ended (https://www.standardwebhooks.com)."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s]+$")]
    secret: Annotated[str, Field(min_length=16, max_length=200)]
    """Key that signs the message, so that the receiver knows the sender; never shown again."""


class JobRequest(BaseModel):
    """An article to compose, or a draft to illustrate."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"brief": "How bees make honey", "images": 3},
                {"draft": "# Honey\n\nBees gather nectar.\n", "library": ["garden"], "queue": "batch"},
            ]
        },
    )

    brief: Annotated[str | None, Field(max_length=MAX_BRIEF)] = None
    """A title, keywords, an outline or long text. This or `draft`."""
    draft: Annotated[str | None, Field(max_length=4 * MAX_BRIEF)] = None
    """A finished text, Markdown or plain; limner adds images and leaves the text as it is."""
    library: Annotated[list[Name], Field(max_length=20)] = []
    """Names of image libraries; empty uses the starter."""
    images: Annotated[int, Field(ge=0, le=MAX_IMAGES)] | Literal["auto"] = "auto"
    language: Annotated[str | None, Field(max_length=35)] = None
    """Language code, e.g. "en"; null takes the brief's language, or a draft's from its front matter or its text."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    sources: Annotated[list[Material], Field(max_length=20)] = []
    references: Annotated[list[ImageId], Field(max_length=10)] = []
    """Ids of images uploaded with POST /v1/images; the article should use them, and a writer that sees looks at
    them."""
    review: Annotated[list[Point], Field(max_length=10)] = []
    """Points at which the job waits for a person, who answers its `question` with POST …/answer. A draft has no outline
    to review."""
    generate: Annotated[str, Field(max_length=100)] = ""
    """Name of an allowed image generator (LIMNER_GENERATORS), which makes a labelled image where nothing fits. Empty
    generates none."""
    max_generated: Annotated[int, Field(ge=0, le=MAX_IMAGES)] = MAX_GENERATED
    """Limit of generated images."""
    check: bool | None = None
    """Whether a model that sees says of each chosen picture whether it shows what its place wants, as notes; null asks
    it about those that it chose by sight, false about none."""
    max_tokens: Tokens | None = None
    """Limit of the job's tokens, prompts and completions together."""
    max_cost: Dollars | None = None
    """Limit of what the job's model costs, in US dollars. A job whose model has no known price fails."""
    only: Annotated[list[Annotated[str, Field(max_length=LONGEST)]], Field(max_length=MOST)] = []
    """Filters that the images must pass, all of them, such as "licence=CC BY", "date>=2020" or "unused=10"."""
    queue: Queue = "interactive"
    """Jobs of "batch" wait until no interactive one does."""
    webhook: Webhook | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.brief is None) == (self.draft is None):
            raise ValueError("Give a brief or a draft, one of them.")
        return self

    def order(self, *, idempotency_key: str | None = None, trace: str | None = None) -> Order:
        """The request, checked, as an order for the ledger. Raises BadInput for an empty brief or draft."""
        start = start_of(self)
        # A field that an older worker does not know is there only if it says something.
        left_out = {"queue", "webhook", *(name for name in ("max_cost", "check") if getattr(self, name) is None)}
        title = start["article"].title if self.draft is not None else start["brief"].text
        first_line = " ".join((title or "Illustrated draft").split("\n", 1)[0].split())
        return Order(
            title=first_line.lstrip("# ")[:200] or "Untitled",
            request=self.model_dump(mode="json", exclude=left_out),
            queue=self.queue,
            webhook=self.webhook.model_dump() if self.webhook else None,
            idempotency_key=idempotency_key,
            trace=trace,
        )


def read_request(request: Any) -> JobRequest:
    """The request of a job, from the ledger."""
    return JobRequest.model_validate(request)


def start_of(request: JobRequest) -> Start:
    """The state of the graph that a request begins with. Raises BadInput."""
    shared = ("images", "seed", "review", "generate", "max_generated", "check", "only")
    about: dict[str, Any] = {name: getattr(request, name) for name in shared}
    if request.draft is not None:
        if request.sources or request.references:
            raise BadInput(note("draft-alone"))
        return draft_state(request.draft, language=request.language, **about)
    sources = [Source(name=s.name, text=s.text) for s in request.sources]
    return {"brief": make_brief(request.brief or "", language=request.language, sources=sources, **about)}
