"""Chat clients as they are: what each sends beside the conversation, and what it adds to it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from chatting import Place, ask
from clients import (
    ANSWER,
    CONTEXT,
    N8N,
    OPEN_WEBUI,
    PARTS,
    RETRIEVED,
    SCHEMA,
    TITLES,
    UNREADABLE,
    assistant,
    system,
    user,
)

import limner
from limner.surfaces.http.openai import chores
from limner.surfaces.http.openai.conversation import MARK, Meant, meant
from limner.surfaces.http.openai.request import ChatRequest

MARKED = f"# Honey\n\nBees.\n\n{MARK.format('honey-1')}\n"


def read(messages: list[dict[str, Any]]) -> Meant:
    return meant(ChatRequest(model="limner", messages=messages).messages)  # type: ignore[arg-type]


def said_to(messages: list[dict[str, Any]], title: str = "Honey", wanted: Any = None) -> str:
    asked = read(messages)
    assert asked.chore, asked
    return chores.answer(asked.chore, title, wanted)


# --- chores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("title", {"title": "Honey"}),
        ("tags", {"tags": []}),
        ("follow_ups", {"follow_ups": []}),
        ("queries", {"queries": []}),
        ("prompt", {"prompt": "Honey"}),
        ("text", {"text": ""}),
        ("tool_calls", {"tool_calls": []}),
    ],
)
def test_open_webui_gets_what_it_asks_beside_the_conversation(name: str, answer: Any) -> None:
    assert json.loads(said_to(OPEN_WEBUI[name])) == answer


def test_open_webui_gets_a_face_for_a_message() -> None:
    assert said_to(OPEN_WEBUI["emoji"]) == "🖼️"


@pytest.mark.parametrize("client", TITLES)
def test_a_title_is_a_title(client: str) -> None:
    asked = read(TITLES[client])
    assert asked.chore
    assert (asked.chore.kind, chores.answer(asked.chore, "Honey")) == ("title", "Honey")
    assert chores.heading(asked.chore.about) == "How Bees Make Honey"
    assert "limner:job=honey-1" in asked.chore.about


def test_a_title_comes_in_the_form_that_is_asked_for() -> None:
    assert json.loads(said_to(TITLES["LobeChat, tagged"], "Honig", SCHEMA)) == {"title": "Honig", "description": ""}
    assert json.loads(said_to(TITLES["LibreChat"], "Honig", {"type": "json_object"})) == {"title": "Honig"}
    assert said_to(TITLES["LibreChat"], "Honig", {"type": "text"}) == "Honig"
    assert said_to(TITLES["LibreChat"], "Honig", "text") == "Honig"


def test_nextchat_gets_a_summary_of_the_conversation() -> None:
    wish = system("Summarize the discussion briefly in 200 words or less to use as a prompt for future context.")
    assert said_to([user("Honey"), assistant(MARKED), wish]) == "Honey"


def test_without_an_article_a_title_is_made_of_the_first_words() -> None:
    assert chores.heading("User: How do bees make honey in winter?\nAI: I do not know.") == "How do bees make honey in"
    assert chores.heading("") == "limner"


@pytest.mark.parametrize(
    "text",
    [
        "### Task:\nWrite about bees.",
        '### Task:\nWrite about JSON, with { "title": "x" } as an example.\n\n### Output:\nAn article.',
        "Write an article with the title “A conversation in five words”.",
        "User: the honey\nAI: the bee\n\nWrite about these two only.",
        "Tell how a chat between two bees goes on, in 500 words.\n\nUser: is a bee.\nAI: is another.",
        "How to find a title for a conversation: an article of only 300 words",
        f"{CONTEXT}\nWrite a title of at most five words for our conversation.",
        'Explain <chat_history> and </chat_history> in {"title": 1}, please.',
        "Available Tools: hive tool, smoker.\n\nQuery: History: of beekeeping",
    ],
)
def test_one_mark_of_a_chore_alone_is_a_brief(text: str) -> None:
    assert read(ask(text)).what == "compose"


@pytest.mark.parametrize(
    "text", ["Make the title five words long.", "Give it a title about our conversation.", "Summarize it."]
)
def test_a_wish_for_a_title_is_a_change(text: str) -> None:
    assert read([user("Honey"), assistant(MARKED), user(text)]).what == "revise"


def test_a_conversation_that_ends_with_an_answer_is_not_composed_again() -> None:
    with pytest.raises(limner.LimnerError, match="ends with limner's own answer"):
        read([user("Honey"), assistant(MARKED)])


# --- retrieval -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", RETRIEVED)
def test_a_retrieved_context_is_material_and_the_query_is_the_brief(client: str) -> None:
    asked = read(RETRIEVED[client])
    assert (asked.what, asked.text) == ("compose", "How bees make wax")
    assert [(s.name, s.text) for s in asked.material] == [
        ("wax.md", "Wax comes from glands.\n\nEight of them."),
        ("hive.pdf", "A hive hums."),
    ]


def test_an_order_within_a_context_is_no_order() -> None:
    asked = read([user("Honey"), assistant(MARKED), user("<context>\n/undo\n</context>\nCall it Sweet.")])
    assert (asked.what, asked.text, asked.job) == ("revise", "Call it Sweet.", "honey-1")


def test_files_of_which_only_the_name_came_are_named() -> None:
    block = '<files_info><file id="1" name="a &amp; b.pdf" type="application/pdf" url="https://x.example/a"></file>'
    text = f"Honey\n<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->{block}</files_info><!-- END SYSTEM CONTEXT -->"
    asked = read(ask(text))
    assert (asked.text, asked.material, asked.unread) == ("Honey", (), ("a & b.pdf",))


def test_a_context_without_a_word_is_a_brief_by_its_name() -> None:
    assert read(ask('<context><source name="bees_and-wax.md">Wax.</source></context>')).text == "bees and wax"


# --- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool", "critic"])
def test_no_part_locks_a_conversation(kind: str, role: str) -> None:
    talk = [user("Honey"), {"role": role, "content": [UNREADABLE[kind]]}, assistant(MARKED), user("Call it Sweet.")]
    assert read(talk)[:3] == ("revise", "Call it Sweet.", "honey-1")


@pytest.mark.parametrize("content", [None, "", [], {}, {"type": "text", "text": "x"}, 7, [None], ["x"], [[]]])
def test_no_content_locks_a_conversation(content: Any) -> None:
    talk = [{"role": "user", "content": content}, assistant(MARKED), user("Call it Sweet.")]
    assert read(talk).what == "revise"


@pytest.mark.parametrize("kind", PARTS)
def test_a_file_is_found_in_every_spelling(kind: str) -> None:
    asked = read([user([{"type": "text", "text": "Honey"}, PARTS[kind]])])
    (file,) = asked.files
    assert file.name.startswith("wax.")
    assert asked.unread == ()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
        {"type": "file", "file": {"filename": "a.png", "file_data": "data:image/png;base64,aGk="}},
        {"type": "file", "data": "aGk=", "mediaType": "image/png"},
    ],
)
def test_a_picture_is_found_in_every_spelling(part: dict[str, Any]) -> None:
    asked = read([user([{"type": "text", "text": "Honey"}, part])])
    assert (asked.images, asked.files) == (("data:image/png;base64,aGk=",), ())


def test_a_file_without_a_word_is_a_brief_by_its_name() -> None:
    assert read([user([PARTS["file"]])]).text == "wax"
    with pytest.raises(limner.LimnerError, match="The last message is empty"):
        read([user("Honey"), assistant(MARKED), user([PARTS["file"]])])


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        (ask("x" * 300_000), "300,000 characters, more than 200,000. Attach long material as a file"),
        ([user("Honey"), assistant(MARKED), user("x" * 11_000)], "11,000 characters, more than 10,000"),
    ],
)
def test_words_beyond_what_is_taken_are_refused_with_a_line(talk: list[Any], says: str) -> None:
    with pytest.raises(limner.LimnerError, match=says):
        read(talk)


# --- over the wire -------------------------------------------------------------------------------------------------


def test_a_title_costs_no_article_and_is_the_article_s_own(place: Place) -> None:
    wishes: dict[str, Any] = {"model": "limner/bees", "extra_body": {"limner": {"images": 0}}}
    with place.client() as client:
        done = client.chat.completions.create(messages=ask("Tell me of honey"), **wishes).choices[0].message.content
        client.chat.completions.create(
            messages=[*ask("Tell me of honey"), assistant(done), *ask("Call it Sweet.")], **wishes
        )
        asked = [*ask("Tell me of honey"), assistant(done)]
        title = TITLES["NextChat"][-1]
        got = client.chat.completions.create(messages=[*asked, title], **wishes).choices[0].message.content
        assert got == "Sweet"
        transcript = f"Write a title of at most five words for the conversation.\n\nUser: Honey\nAI: {done}"
        chunks = client.chat.completions.create(messages=ask(transcript), stream=True, **wishes)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Sweet"
    with place.client("bob") as client:  # another's article has no title for him
        got = client.chat.completions.create(messages=[*asked, title], **wishes).choices[0].message.content
        assert got == "How Bees Make Honey"
    assert len(place.jobs.ledger.list("alice")) == 1
    assert place.jobs.ledger.list("bob") == []


@pytest.mark.parametrize("client", ["Open WebUI", "LibreChat"])
def test_the_writer_gets_the_context_as_material(place: Place, client: str) -> None:
    with place.client() as api:
        done = api.chat.completions.create(
            model="limner/bees",
            messages=RETRIEVED[client],
            extra_body={"limner": {"images": 0}},  # type: ignore[arg-type]
        )
    assert (done.choices[0].message.content or "").startswith("# How Bees Make Honey")
    (job,) = place.jobs.ledger.list("alice")
    assert job.title == "How bees make wax"
    asked = json.dumps(place.model.requests)
    assert "Material (wax.md)" in asked
    assert "A hive hums." in asked
    assert "Respond to the user query" not in asked


def test_files_are_material_and_what_cannot_be_read_is_named(place: Place) -> None:
    parts = [{"type": "text", "text": "Wax"}, PARTS["file"], UNREADABLE["film in a file"], UNREADABLE["film"]]
    parts += [UNREADABLE["address"], UNREADABLE["no PDF"]]
    talk: list[Any] = [user(parts)]
    wishes: dict[str, Any] = {"model": "limner/bees", "extra_body": {"limner": {"images": 0}}}
    with place.client() as client:
        done = client.chat.completions.create(messages=talk, **wishes).choices[0].message.content or ""
        first, article = done.split("\n\n", 1)
        assert article.startswith("# How Bees Make Honey")
        assert first.startswith("> Not used: “video_url”; “a.mp4” is of a type that limner does not read")
        assert "“a.pdf” came as an address" in first
        assert "“a.pdf” is no PDF" in first
        assert "\n" not in first
        talk += [assistant(done), user([{"type": "text", "text": "Call it Sweet."}, PARTS["file"]])]
        again = client.chat.completions.create(messages=talk, **wishes).choices[0].message.content or ""
        assert "> Not used: “wax.md”. A change uses no files: begin a new article with /new." in again
        assert "# Sweet" in again
        talk += [assistant(again), user("/undo")]
        assert "# How Bees" in (
            client.chat.completions.create(messages=talk, **wishes).choices[0].message.content or ""
        )
    asked = json.dumps(place.model.requests)
    assert "Material (wax.md)" in asked
    assert "Wax melts." in asked


def test_n8n_gets_its_article(place: Place) -> None:
    with place.client() as client:
        done = client.chat.completions.create(**N8N)
    assert done.choices[0].finish_reason == "stop"
    assert (done.choices[0].message.content or "").startswith("# How Bees")


def test_the_marks_of_the_recorded_answers_are_limner_s() -> None:
    assert MARK.format("honey-1") in ANSWER
    assert base64.b64decode("V2F4IG1lbHRzLg==") == b"Wax melts."
