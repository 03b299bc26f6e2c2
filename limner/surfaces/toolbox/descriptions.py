"""Describe the tools to a model: name, purpose, arguments; one table for LangChain tools and MCP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.document import Point
from limner.surfaces.toolbox.asking import ask
from limner.surfaces.toolbox.searching import search
from limner.surfaces.toolbox.texts import LONGEST_WAIT, ToolResult
from limner.surfaces.toolbox.tools import Tools
from limner.tools.library.filters import LONGEST, MOST
from limner.tools.look import MOST as MOST_EXAMPLES
from limner.workflows.ask import LONGEST as LONGEST_QUESTION
from limner.workflows.ask import PICTURES
from limner.workflows.inputs import MAX_BRIEF, MAX_IMAGES
from limner.workflows.review.protocol import AnswerType

Images = Annotated[
    Annotated[int, Field(ge=0, le=MAX_IMAGES)] | Literal["auto"],
    Field(description='How many pictures the article should have, or "auto" for as many as fit.'),
]
ArticleId = Annotated[str, Field(max_length=80, description="Id of the article, as another tool gave it.")]
Language = Annotated[
    str | None, Field(max_length=35, description='Language code such as "en" or "de"; leave out to follow the brief.')
]
Only = Annotated[
    list[Annotated[str, Field(max_length=LONGEST)]],
    Field(
        max_length=MOST,
        description="Filters that the pictures must pass, all of them: a field, a sign and a value, such as "
        '"licence=CC BY", "date>=2020", "tag=harvest", "person=Ada*", "place=Lisbon", "folder=2023", '
        '"orientation=landscape", "width>=1600", "rating>=3", or "unused=10" for none that the last ten articles show. '
        "Leave out unless the user limits the pictures.",
    ),
]
BriefText = Annotated[
    str,
    Field(
        max_length=MAX_BRIEF,
        description="What the article is about, in the user's words: a topic, an outline, or source text to draw on.",
    ),
]


class Arguments(BaseModel):
    """Arguments of a tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class ComposeArguments(Arguments):
    brief: BriefText
    images: Images = "auto"
    language: Language = None
    review: Annotated[
        list[Point],
        Field(
            max_length=5,
            description="Where it stops and asks the user before it goes on. Leave out unless the user wants to look "
            "at it on the way. What it asks comes back with an id, for answer_review.",
        ),
    ] = []
    only: Only = []
    check: Annotated[
        bool | None,
        Field(
            description="Whether a model that sees checks each chosen image against its caption; what misses is noted. "
            "Leave out unless the user asks for it, or wants none."
        ),
    ] = None


class Waiting(Arguments):
    wait_seconds: Annotated[
        int, Field(ge=0, le=LONGEST_WAIT, description="How long to wait for it; 0 comes back at once.")
    ] = 0


class ComposeLater(ComposeArguments, Waiting):
    pass


class AnswerArguments(Arguments):
    article: ArticleId
    type: Annotated[
        AnswerType,
        Field(
            description="accept, or ignore: it goes on as it is. edit: it goes on as changed in args. response: it is "
            "done again as args says, and asked about again."
        ),
    ]
    version: Annotated[str, Field(max_length=80, description="The version of the question, as it was shown.")]
    args: Annotated[
        str | dict[str, Any] | None,
        Field(
            description='With response: what to change, in the user\'s words. With edit: {"action": …, '
            '"args": …} as the question says. Leave it out otherwise.'
        ),
    ] = None


class AnswerLater(AnswerArguments, Waiting):
    pass


class ReviseArguments(Arguments):
    article: ArticleId
    instruction: Annotated[
        str,
        Field(
            min_length=1,
            max_length=10_000,
            description="What to change, in the user's words; name blocks and pictures by the ids or numbers shown.",
        ),
    ]


class AskArguments(Arguments):
    article: ArticleId
    question: Annotated[
        str, Field(min_length=1, max_length=LONGEST_QUESTION, description="The question, in the user's words.")
    ]
    pictures: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_IMAGES)]],
        Field(
            max_length=PICTURES,
            description="Numbers of the article's pictures that it is about, as get_article shows them; leave out for "
            "a question about all of them or about the text.",
        ),
    ] = []


class GetArguments(Arguments):
    article: ArticleId
    start: Annotated[int, Field(ge=1, description="Number of the first block to show, for long articles.")] = 1


class GetLater(GetArguments):
    wait_seconds: Annotated[
        int, Field(ge=0, le=LONGEST_WAIT, description="How long to wait for an article that is not done.")
    ] = 0


class ExportArguments(Arguments):
    article: ArticleId
    format: Annotated[
        Literal["html", "md", "json", "docx", "epub", "pdf"],
        Field(
            description="html: one page with its pictures inside. md: Markdown and a folder of pictures. json: data. "
            "docx, epub, pdf: documents with their pictures."
        ),
    ] = "html"


class WriteArguments(Arguments):
    brief: BriefText
    language: Language = None


class SpotArguments(Arguments):
    article: ArticleId
    images: Images = "auto"
    only: Only = []


class StepArguments(Arguments):
    article: ArticleId


ImageIds = list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]]


class SearchArguments(Arguments):
    query: Annotated[
        str, Field(max_length=500, description="What the image should show, in English. Needed unless like is given.")
    ] = ""
    count: Annotated[int, Field(ge=1, le=24, description="How many images to list.")] = 6
    only: Only = []
    like: Annotated[
        ImageIds, Field(max_length=MOST_EXAMPLES, description="Ids of found images that the others should resemble.")
    ] = []
    unlike: Annotated[
        ImageIds, Field(max_length=MOST_EXAMPLES, description="Ids of found images that they should not resemble.")
    ] = []
    diverse: Annotated[bool, Field(description="Whether to leave out pictures that look alike.")] = False


class Description(NamedTuple):
    """A tool, for LangChain and MCP alike."""

    name: str
    text: str
    takes: type[Arguments]
    does: Callable[..., ToolResult]
    """Called with `Tools` and the arguments by name."""
    reads: bool
    """Whether it is read-only."""


_DESCRIPTIONS = (
    Description(
        "compose_article",
        "Write a new article and illustrate it with pictures of the user's image library. Use it once the topic "
        "is clear; do not use it to change an article that is there.",
        ComposeArguments,
        Tools.compose,
        False,
    ),
    Description(
        "revise_article",
        "Change an article that is there: rewrite, shorten, move or translate text, swap, move or remove pictures. "
        "Parts that are locked stay as they are.",
        ReviseArguments,
        Tools.revise,
        False,
    ),
    Description(
        "answer_review",
        "Answer the question of an article that waits for a review. The answer is the user's: show them what is "
        "asked, and pass on what they say. An article asks only where compose_article was given review.",
        AnswerArguments,
        Tools.answer,
        False,
    ),
    Description(
        "get_article",
        "Show an article block by block with the ids of its paragraphs and the numbers of its pictures.",
        GetArguments,
        Tools.get,
        True,
    ),
    Description(
        "ask_article",
        "Ask a model that looks at an article's pictures: what a picture shows, which of two is older, where the text "
        "says something. It changes nothing.",
        AskArguments,
        ask,
        True,
    ),
    Description(
        "export_article",
        "Save an article as a file for the user. Where it goes is set by the program.",
        ExportArguments,
        Tools.export,
        False,
    ),
    Description(
        "search_images",
        "Find pictures in the image library by what they show, or like ones it found. It finds no picture "
        "elsewhere and makes none.",
        SearchArguments,
        search,
        True,
    ),
    Description(
        "write",
        "First of four single steps, for those who want to look at each: write the text of an article without "
        "pictures. compose_article does all four at once.",
        WriteArguments,
        Tools.write,
        False,
    ),
    Description(
        "spot",
        "Second step: find the paragraphs after which a picture belongs, and what each picture should show.",
        SpotArguments,
        Tools.spot,
        False,
    ),
    Description(
        "retrieve",
        "Third step: find candidates in the image library for every place that spot found.",
        StepArguments,
        Tools.retrieve,
        False,
    ),
    Description(
        "select",
        "Fourth step: choose one of the candidates, or none, for every place, and put them into the article.",
        StepArguments,
        Tools.select,
        False,
    ),
)


_AT_ONCE = " It comes back at once with an id; get_article shows how far it is."
_LATER: dict[str, tuple[type[Arguments], str]] = {
    "compose_article": (ComposeLater, _AT_ONCE),
    "answer_review": (AnswerLater, _AT_ONCE),
    "get_article": (GetLater, ""),
}
"""Where composing goes on after the call: the arguments that a tool then takes, and what its text then adds."""


def descriptions(*, later: bool) -> list[Description]:
    """All tools. later: composing goes on after the call, which comes back with an id."""
    changed = _LATER if later else {}
    return [
        tool._replace(takes=changed[tool.name][0], text=tool.text + changed[tool.name][1])
        if tool.name in changed
        else tool
        for tool in _DESCRIPTIONS
    ]


# pydantic's names for the branches of a union, which are no part of a fault's location.
_BRANCHES = ("function-wrap", "int", "constrained-int", "literal['auto']", "str", "dict[str,any]")


def mistaken(error: ValidationError, name: str) -> str:
    """The faults of a tool's arguments, for the model."""
    lines = []
    for e in error.errors(include_url=False)[:5]:
        where = ".".join(str(part) for part in e["loc"] if part not in _BRANCHES)
        lines.append(f"{where or 'arguments'}: {e['msg']}")
    return f"{name} was not called: {'; '.join(dict.fromkeys(lines))}. Correct the arguments and call it again."


def filled(tool: Description, given: dict[str, Any] | None) -> dict[str, Any]:
    """The arguments, checked. Raises ValidationError."""
    return dict(tool.takes.model_validate(given or {}))
