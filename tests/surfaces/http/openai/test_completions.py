"""limner as a model of the OpenAI API, met with the openai SDK over real HTTP, with a worker behind it."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from chatting import LINK, Place, Talk, ask
from PIL import Image
from scripted import asking, last_text
from servers import until

import limner
from limner.document import markdown, read_markdown
from limner.exports import to_markdown
from limner.notes import Note
from limner.surfaces.http.openai.conversation import ASKS, MARK, meant
from limner.surfaces.http.openai.parts import ImagePart, ImageUrl, Message, TextPart
from limner.surfaces.http.openai.review import article_of, reply
from limner.workflows.review import questions


def test_an_article_is_streamed_with_its_progress(place: Place) -> None:
    with place.client() as client:
        assert [m.id for m in client.models.list()] == ["limner", "limner/bees"]
        stream = client.chat.completions.create(
            model="limner/bees",
            messages=ask("How bees make honey"),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"limner": {"images": 2}},
        )
        chunks = list(stream)
    reasoning = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks if c.choices)
    content = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "A worker bee leaves the hive" in reasoning
    assert "Choosing images" in reasoning
    assert content.startswith("# How Bees Make Honey")
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 100
    links = LINK.findall(content)
    assert len(links) == 2
    for link in links:  # as a browser fetches them: without a token
        answer = httpx.get(link)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert Image.open(io.BytesIO(answer.content)).format == "WEBP"
        assert httpx.get(link[:-1] + ("1" if link[-1] == "0" else "0")).status_code == 401
        assert httpx.get(re.sub(r"expires=\d+", "expires=1", link)).status_code == 401
    job = content.rpartition("limner:job=")[2].partition(" ")[0]
    place.jobs.delete(job, "alice")
    assert httpx.get(links[0]).status_code == 404


@pytest.mark.parametrize("links", ["token", "data"])
def test_images_come_as_is_asked(place: Place, links: str) -> None:
    with place.client() as client:
        done = client.chat.completions.create(
            model="limner/bees", messages=ask("Honey"), extra_body={"limner": {"images": 1, "links": links}}
        )
    (link,) = LINK.findall(done.choices[0].message.content or "")
    if links == "data":
        assert link.startswith("data:image/jpeg;base64,")
        return
    assert httpx.get(link).status_code == 401
    assert httpx.get(link, headers={"Authorization": f"Bearer {place.tokens['alice']}"}).status_code == 200
    assert httpx.get(link, headers={"Authorization": f"Bearer {place.tokens['bob']}"}).status_code == 404


def test_an_article_of_somebody_else_is_not_there(place: Place) -> None:
    with place.client() as client:
        done = client.chat.completions.create(
            model="limner/bees", messages=ask("Honey"), extra_body={"limner": {"images": 0}}
        )
    talk = [*ask("Honey"), {"role": "assistant", "content": done.choices[0].message.content}, *ask("/show")]
    with place.client("bob") as client, pytest.raises(openai.NotFoundError, match="There is no job"):
        client.chat.completions.create(model="limner/bees", messages=talk)  # type: ignore[arg-type]
    with place.client("alice") as client:
        shown = client.chat.completions.create(model="limner/bees", messages=talk)  # type: ignore[arg-type]
    assert (shown.choices[0].message.content or "").startswith("# How Bees")


def test_what_is_said_next_changes_the_article_and_is_undone(place: Place) -> None:
    talk: list[Any] = []

    def say(text: str) -> str:
        talk.append({"role": "user", "content": text})
        with place.client() as client:
            done = client.chat.completions.create(
                model="limner/bees", messages=talk, extra_body={"limner": {"images": 2}}
            )
        talk.append({"role": "assistant", "content": done.choices[0].message.content})
        return done.choices[0].message.content or ""

    first = say("How bees make honey")
    second = say("Take the second picture out.")
    assert LINK.findall(second) == LINK.findall(first)[:1]
    assert say("Sing it to me.").startswith("> I cannot do that.")
    third = say("Call it Sweet.")
    assert third.startswith("# Sweet")
    assert say("/undo").startswith("> The last change is undone.")
    assert "# How Bees Make Honey" in say("/show")
    assert len(LINK.findall(say("/undo"))) == 2
    assert [job.title for job in place.jobs.ledger.list("alice")] == ["How bees make honey"]


# --- review points -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_review_is_asked_in_the_talk_and_the_next_message_answers(place: Place, stream: bool) -> None:
    talk = Talk(place, stream, review=["draft", "images", "final"])
    draft = talk.say("How bees make honey")
    assert draft.startswith("**Review of the draft.** The text.")
    assert "\n# How Bees Make Honey\n" in draft
    assert "A worker bee leaves the hive" in talk.reasoning
    again = talk.say("Call it Sweet.")  # words are a wish
    assert "\n# Sweet\n" in again
    assert talk.reasoning.count("A worker bee leaves the hive") == 1
    images = talk.say("Yes, please")
    assert images.startswith("**Review of the images.**")
    assert "A worker bee leaves the hive" not in talk.reasoning
    assert "Choosing images" in talk.reasoning
    (link,) = LINK.findall(images)
    assert httpx.get(link).headers["content-type"] == "image/webp"
    spots = dict.fromkeys(re.findall(r"\*\*(s\d+)\*\*", images))
    assert talk.say("/show").startswith("**Review of the images.**")
    none = [{"spot": spot, "chosen": None} for spot in spots]
    final = talk.say("/edit " + json.dumps({"images": none}))
    assert final.startswith("**Review of the final.**")
    assert LINK.findall(final) == []
    done = talk.say("/edit # Wax\n\nBees keep honey in wax.\n")
    assert done.startswith("# Wax\n\nBees keep honey in wax.")
    assert [job.state for job in place.jobs.ledger.list("alice")] == ["done"]
    assert sum(asking(body) == "writer" for body in place.model.requests) == 1
    assert talk.say("Call it Sweet.").startswith("# Sweet")  # from here on, a wish about the article


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_that_comes_late_or_twice_is_told_so_and_how_it_stands(place: Place, stream: bool) -> None:
    talk = Talk(place, stream)
    talk.say("/review outline,draft How bees make honey")
    before = list(talk.messages)
    draft = talk.say("/accept")
    assert draft.startswith("**Review of the draft.**")
    talk.messages = before  # another window of the same conversation
    late = talk.say("Make it longer.")
    assert late.startswith("> That question was answered already")
    assert "**Review of the draft.**" in late
    done = talk.say("/accept")
    assert done.startswith("# How Bees Make Honey")
    talk.messages = before
    twice = talk.say("/accept")
    assert twice.startswith("> That question was answered already")
    assert "# How Bees Make Honey" in twice
    assert sum(asking(body) == "writer" for body in place.model.requests) == 1


def test_who_answers_twice_at_once_sees_the_rest_and_is_taken_once(place: Place, slow: threading.Event) -> None:
    """A client that went away after its answer says it again: the job is at work on it."""
    talk = Talk(place, True, review=["outline"])
    talk.say("How bees make honey")
    slow.clear()
    (job,) = place.jobs.ledger.list("alice")
    messages = [*talk.messages, {"role": "user", "content": "/accept"}]
    with place.client() as client:
        wanted: dict[str, Any] = {"model": "limner/bees", "messages": messages, "stream": True}
        stream = client.chat.completions.create(**wanted)
        next(iter(stream))
        stream.close()
    until(lambda: place.jobs.ledger.job(job.id).state == "running", "the answer to be taken")
    slow.set()
    again = talk.say("/accept")
    assert again.startswith("> That question was answered already")
    assert "# How Bees Make Honey" in again
    kinds = [event.kind for event in place.jobs.ledger.events(job.id)]
    assert kinds.count("answered") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/perhaps", "/perhaps is no answer. Send /accept, /ignore, /edit, /answer"),
        ("/edit", "text: it is empty"),
        ("/edit {]", "That is not JSON"),
        ('/answer {"type": "edit", "args": {"args": {"pictures": []}}}', "unknown field 'pictures'"),
        ('/answer {"type": "accept", "version": "0"}', "an earlier version"),
        ("/undo", "there is nothing to revise yet"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused_and_the_question_stays(place: Place, text: str, says: str) -> None:
    talk = Talk(place, False, review=["draft"], images=0)
    talk.say("How bees make honey")
    with pytest.raises(openai.APIStatusError, match=re.escape(says)) as refused:
        talk.say(text)
    assert refused.value.status_code in (409, 422)
    assert talk.say("/ignore").startswith("# How Bees Make Honey")


def test_a_question_of_somebody_else_is_not_there(place: Place) -> None:
    talk = Talk(place, False, review=["draft"], images=0)
    talk.say("How bees make honey")
    talk.owner = "bob"
    with pytest.raises(openai.NotFoundError, match="There is no job"):
        talk.say("/accept")
    (job,) = place.jobs.ledger.list("alice")
    assert job.state == "waiting"


@pytest.mark.parametrize("links", ["token", "data"])
def test_images_of_a_question_come_as_is_asked(place: Place, links: str) -> None:
    talk = Talk(place, False, review=["spots", "images"], links=links)
    assert "> - **s" in talk.say("How bees make honey")
    (link,) = LINK.findall(talk.say("/accept"))
    if links == "data":
        assert link.startswith("data:image/jpeg;base64,")
        return
    assert httpx.get(link).status_code == 401
    assert httpx.get(link, headers={"Authorization": f"Bearer {place.tokens['alice']}"}).status_code == 200


def test_words_of_others_are_no_markdown_in_a_question() -> None:
    evil = "A bee](http://e.example/x) ![p](http://e.example/y) <img src=z>"
    rows = [
        {
            "image_id": "a" * 32,
            "library": "bees",
            "caption": evil,
            "credit": evil,
            "licence": "",
            "width": 1,
            "height": 1,
        }
    ]
    about = {"why": "", "code": "", "params": {}}
    args = {"images": [{"spot": "s1", "after": "b1", "caption": evil, "chosen": None, **about, "candidates": rows}]}
    shown = to_markdown(article_of(questions.question("images", args, Note(""))), {})
    assert markdown().render(shown).count("href=") == markdown().render(shown).count("<img") == 0
    draft = questions.question("draft", questions.text_args(read_markdown(f"# Honey\n\n{evil}\n")), "")
    assert "<img" not in markdown().render(to_markdown(article_of(draft), {}))


@pytest.mark.parametrize(
    ("text", "kind", "args"),
    [
        ("yes", "accept", None),
        ("Looks good!", "accept", None),
        ("Yes, go on, please.", "accept", None),
        ("Good, but shorter", "response", "Good, but shorter"),
        ("please", "response", "please"),
        ("/accept", "accept", None),
        ("/ignore", "ignore", None),
        ("no, shorter", "response", "no, shorter"),
        ("/answer shorter", "response", "shorter"),
        ("/edit # Wax", "edit", {"args": {"text": "# Wax"}}),
        ('/answer {"type": "accept"}', "accept", None),
    ],
)
def test_what_is_typed_is_an_answer(text: str, kind: str, args: Any) -> None:
    question = questions.question("draft", questions.text_args(read_markdown("# Honey\n\nBees make it.\n")), "")
    given = reply(text, question)
    assert (given["type"], given.get("args"), given["version"]) == (kind, args, question["version"])


def test_a_picture_that_comes_with_the_message_can_be_chosen(place: Place) -> None:
    file = io.BytesIO()
    Image.new("RGB", (320, 200), (10, 200, 30)).save(file, "PNG")
    data = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    message = {"role": "user", "content": [{"type": "text", "text": "Honey"}, picture_part(data)]}
    with place.client("bob") as client:
        client.chat.completions.create(model="limner/bees", messages=[message])  # type: ignore[list-item]
    (job,) = place.jobs.ledger.list("bob")
    article = place.jobs.article(job.id, "bob")
    own = place.jobs.owners.get("bob").own_library
    assert any(c.library == own for selection in article.selections for c in selection.candidates)
    assert not place.jobs.owners.get("alice").may_use(own)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://169.254.169.254/latest", "limner fetches none"),
        ("file:///etc/passwd", "limner fetches none"),
        ("data:image/png;base64,###", "is not base64"),
        ("data:image/png;base64,aGVsbG8=", "cannot be used"),
    ],
)
def test_a_picture_that_is_none_is_refused(place: Place, url: str, says: str) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Honey"}, picture_part(url)]}
    with place.client() as client, pytest.raises(openai.UnprocessableEntityError, match=says):
        client.chat.completions.create(model="limner/bees", messages=[message])  # type: ignore[list-item]
    assert place.jobs.ledger.list("alice") == []


def test_more_pictures_than_a_message_may_have_are_refused() -> None:
    part = ImagePart(type="image_url", image_url=ImageUrl(url="data:image/png;base64,aGVsbG8="))
    message = Message(role="user", content=[TextPart(type="text", text="Honey"), *[part] * 11])
    with pytest.raises(limner.LimnerError, match="11 pictures, more than 10"):
        meant([message])


def picture_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_client_that_goes_away_finds_its_article_when_it_asks_again(place: Place, slow: threading.Event) -> None:
    slow.clear()
    wishes: dict[str, Any] = {"model": "limner/bees", "messages": ask("Honey"), "stream": True}
    with place.client() as client:
        stream = client.chat.completions.create(**wishes)
        next(iter(stream))
        stream.close()
        until(lambda: len(place.jobs.ledger.list("alice")) == 1, "the job")
        again = client.chat.completions.create(**wishes)
        slow.set()
        content = "".join(c.choices[0].delta.content or "" for c in again if c.choices)
        assert content.startswith("# How Bees")
        assert len(place.jobs.ledger.list("alice")) == 1
        list(client.chat.completions.create(**wishes))  # once it is done, the same words are a new wish
    assert len(place.jobs.ledger.list("alice")) == 2


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({"model": "gpt-9", "messages": ask("Honey")}, openai.NotFoundError, "There is no model 'gpt-9'.*limner/bees"),
        ({"model": "limner/secret", "messages": ask("Honey")}, openai.NotFoundError, "There is no model"),
        ({"model": "limner", "messages": []}, openai.UnprocessableEntityError, "messages: .*at least 1"),
        (
            {"model": "limner", "messages": [{"role": "system", "content": "Be brief."}]},
            openai.UnprocessableEntityError,
            "no message of a user",
        ),
        ({"model": "limner", "messages": ask("  ")}, openai.UnprocessableEntityError, "The last message is empty"),
        ({"model": "limner", "messages": ask("!?")}, openai.UnprocessableEntityError, "The brief is empty"),
        ({"model": "limner", "messages": ask("/undo")}, openai.UnprocessableEntityError, "has none yet"),
        (
            {"model": "limner", "messages": ask("Honey"), "extra_body": {"limner": {"images": 1000}}},
            openai.UnprocessableEntityError,
            "limner.images",
        ),
        (
            {"model": "limner", "messages": ask("Honey"), "extra_body": {"limner": {"pictures": 1}}},
            openai.UnprocessableEntityError,
            "limner.pictures: Extra inputs are not permitted",
        ),
        (
            {"model": "limner", "messages": ask("x" * 9_000_000)},
            openai.APIStatusError,
            "larger than the 8,000,000 bytes",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_line(
    place: Place, body: dict[str, Any], error: type[openai.APIStatusError], says: str
) -> None:
    with place.client() as client, pytest.raises(error, match=says) as refused:
        client.chat.completions.create(**body)
    assert "\n" not in refused.value.body["message"]  # type: ignore[index]
    assert refused.value.response.json()["detail"] == refused.value.body["message"]  # type: ignore[index]
    assert place.jobs.ledger.list("alice") == []


def test_more_images_than_an_article_has_are_refused(place: Place) -> None:
    wishes = {"limner": {"images": 101}}
    with place.client() as client, pytest.raises(openai.UnprocessableEntityError, match="images"):
        client.chat.completions.create(model="limner", messages=ask("Honey"), extra_body=wishes)
    assert place.jobs.ledger.list("alice") == []


def test_a_picture_of_more_pixels_than_are_opened_is_refused(place: Place) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")  # 50 kB that would be 400 MB
    data = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    message = {"role": "user", "content": [{"type": "text", "text": "Honey"}, picture_part(data)]}
    with place.client() as client, pytest.raises(openai.UnprocessableEntityError, match="pixels"):
        client.chat.completions.create(model="limner/bees", messages=[message])  # type: ignore[list-item]
    assert place.jobs.ledger.list("alice") == []


def test_two_clients_who_change_one_article_do_not_overwrite_each_other(place: Place, slow: threading.Event) -> None:
    talk, other = Talk(place, False, images=2), Talk(place, False, images=2)
    talk.say("How bees make honey")
    other.messages = list(talk.messages)
    (job,) = place.jobs.ledger.list("alice")
    slow.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(talk.say, "Call it Sweet.")
        try:
            until(lambda: "Call it Sweet." in last_text(place.model.requests[-1]), "the first one's wish")
            assert len(LINK.findall(other.say("Take the second picture out."))) == 1
        finally:
            slow.set()
        with pytest.raises(openai.ConflictError, match="version"):
            first.result()
    kept = place.jobs.article(job.id, "alice")
    assert (kept.title, len(kept.illustrations)) == ("How Bees Make Honey", 1)


def test_no_token_no_model(place: Place) -> None:
    with (
        openai.OpenAI(base_url=f"{place.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="token"),
    ):
        client.chat.completions.create(model="limner", messages=ask("Honey"))


def test_limits_of_the_owner_hold_here_too(place: Place) -> None:
    place.jobs.owners.limit("alice", jobs_a_minute=1)
    with place.client() as client:
        client.chat.completions.create(model="limner/bees", messages=ask("Honey"))
        with pytest.raises(openai.RateLimitError, match="1 jobs a minute") as refused:
            client.chat.completions.create(model="limner/bees", messages=ask("Wax"))
    assert int(refused.value.response.headers["retry-after"]) > 0


def test_a_job_that_fails_is_an_error_of_the_stream(place: Place) -> None:
    with place.client() as client, pytest.raises(openai.APIError, match="budget of 5"):
        list(
            client.chat.completions.create(
                model="limner/bees",
                messages=ask("Honey"),
                stream=True,
                extra_body={"limner": {"max_tokens": 5}},
            )
        )


# --- reading conversations, with no server --------------------------------------------------------------------------


def said(role: Any, text: str) -> Message:
    return Message(role=role, content=text)


def test_of_ten_thousand_messages_the_article_is_kept() -> None:
    talk = [said("user", "Honey"), said("assistant", "# Honey\n\n" + MARK.format("honey-1"))]
    for n in range(5_000):
        talk += [said("user", f"Word {n}"), said("assistant", f"Changed {n}.\n\n{MARK.format('honey-2')}")]
    found = meant([*talk, said("user", "Shorter, please.")])
    assert (found.what, found.job, found.text) == ("revise", "honey-2", "Shorter, please.")


def test_a_mark_that_the_user_wrote_names_no_article() -> None:
    found = meant([said("user", f"Honey {MARK.format('theirs-1')}"), said("user", "Go on")])
    assert (found.what, found.job) == ("compose", "")


def test_the_question_that_was_asked_last_is_answered() -> None:
    talk = [said("user", "Honey"), said("assistant", ASKS.format("honey-1", "0a1b")), said("user", "/accept")]
    found = meant(talk)
    assert (found.what, found.job, found.asks, found.text) == ("answer", "honey-1", "0a1b", "/accept")
    later = [*talk, said("assistant", MARK.format("honey-1")), said("user", "Shorter.")]
    assert meant(later).what == "revise"
    with pytest.raises(limner.LimnerError, match="has asked none here"):
        meant([*later[:-1], said("user", "/accept")])


def test_review_points_are_named_in_the_message() -> None:
    found = meant([said("user", "/review images,draft\nHow bees make honey")])
    assert (found.what, found.text, found.review) == ("compose", "How bees make honey", ("draft", "images"))
    with pytest.raises(limner.LimnerError, match=r"/review wants points and a brief: .*outline, draft"):
        meant([said("user", "/review draft")])
    with pytest.raises(limner.LimnerError, match="Unknown review point 'middle'"):
        meant([said("user", "/review middle Honey")])


def test_new_begins_another_article_in_the_same_conversation() -> None:
    talk = [said("user", "Honey"), said("assistant", MARK.format("honey-1")), said("user", "/new Wax and candles")]
    assert meant(talk)[:3] == ("compose", "Wax and candles", "")
    with pytest.raises(limner.LimnerError, match="/new wants a brief"):
        meant([said("user", "/new")])


def test_the_same_conversation_has_the_same_key_and_another_has_not() -> None:
    first = [said("user", "Honey")]
    assert meant(first).key == meant([said("system", "Be kind."), *first]).key
    assert meant(first).key != meant([*first, said("assistant", "…"), said("user", "Honey")]).key
