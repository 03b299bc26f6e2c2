"""Captions for bare pictures, with a model server over HTTP: what is asked how often, kept, left out, and said."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scripted import (
    Answer,
    Script,
    ScriptedServer,
    Status,
    asking,
    by_colour,
    colour_of,
    images_of,
    in_turn,
    text_of,
    too_long,
)

from limner.errors import BadInput, BudgetReached, LibraryBusy, ModelRefused, ModelUnreachable
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index, suggesting
from limner.tools.library.records import RECORDS
from limner.workflows import captioning
from limner.workflows.context import Context, build_context

PICTURES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs without words, each in a shade of its own."""
    made = tmp_path / "photos"
    made.mkdir()
    for n in range(PICTURES):
        Image.new("RGB", (800, 600), (40 * n, 0, 0)).save(made / f"DSC_{n:04}.png")
    return made


@pytest.fixture
def library(folder: Path, home: Path) -> Library:
    return index(home, "photos", [folder], default_encoders(threads=1))[0]


def caption_of(body: dict[str, Any]) -> str:
    red = round(colour_of(images_of(body)[0])[0] / 40)
    return json.dumps(
        {"caption": f"A plain field in the red number {red}. It fills the picture.", "alt": f"Red {red}."}
    )


def seeing(script: Script = caption_of) -> Script:
    return lambda body: by_colour(body) if asking(body) == "probe" else script(body)


def wired(server: ScriptedServer, **settings: Any) -> Context:
    return build_context(Settings(model_url=server.url, retries=0, **settings), library=[])


def ran(context: Context, library: Library, **options: Any) -> captioning.Outcome:
    """As the shell does it."""
    plan = captioning.plan(context, library, **options)
    captioning.check(context, plan.language)
    return captioning.run(context, library, plan)


def asked_about(server: ScriptedServer) -> list[int]:
    """The numbers of the pictures in the questions, in order."""
    about = [body for body in server.requests if asking(body) == "chat"]
    return [round(colour_of(images_of(body)[0])[0] / 40) for body in about]


def captions(library: Library) -> list[str]:
    return [record.caption for record in library.records()]


def test_each_bare_picture_is_asked_about_once(library: Library) -> None:
    with ScriptedServer(seeing()) as server:
        context = wired(server, model="seer")
        outcome = ran(context, library)
        assert sorted(asked_about(server)) == list(range(PICTURES))
        assert ran(context, library).written == []
        assert len(asked_about(server)) == PICTURES
    assert len(outcome.written) == PICTURES
    assert captions(library)[3] == "A plain field in the red number 3. It fills the picture."
    assert {(s.model, s.language) for s in suggesting.suggested(library).values()} == {("seer", "en")}
    assert library.freshen(), "their vectors are up to date"
    assert context.meter.roles["captioner"].calls == PICTURES


def test_pictures_go_small_and_without_metadata(library: Library) -> None:
    with ScriptedServer(seeing()) as server:
        ran(wired(server), library, limit=1)
        url = images_of(server.requests[-1])[0]
    assert url.startswith("data:image/jpeg;base64,")
    assert len(url) < 60_000


def test_the_estimate_is_near_what_is_asked_and_asks_nothing(library: Library) -> None:
    with ScriptedServer(seeing()) as server:
        context = wired(server, model="seer")
        plan = captioning.plan(context, library)
        assert server.listed == len(server.requests) == 0
        line = plan.line(captioning.model_of(context), captioning.several(context))
        assert line == f"6 pictures: about 6 calls to seer, {plan.tokens:,} tokens, 4 at a time; captions in 'en'"
        assert 6 * 900 < plan.tokens < 6 * 2000
        assert len(captioning.plan(context, library, limit=2).lacking.images) == 2


def test_a_second_run_beside_the_first_is_refused_and_an_old_plan_asks_nothing_twice(library: Library) -> None:
    here, go_on = threading.Event(), threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        here.set()
        assert go_on.wait(60)
        return caption_of(body)

    with ScriptedServer(seeing(answer)) as server:
        context = wired(server)
        plan = captioning.plan(context, library)
        captioning.check(context, plan.language)
        first = threading.Thread(target=captioning.run, args=(context, library, plan))
        first.start()
        assert here.wait(60)
        with pytest.raises(LibraryBusy):
            captioning.run(wired(server), library, plan)
        go_on.set()
        first.join(60)
        assert captioning.run(context, library, plan).written == []
        assert sorted(asked_about(server)) == list(range(PICTURES))


def test_as_many_at_once_as_the_settings_say(library: Library) -> None:
    together = threading.Barrier(3)
    most, now, lock = [0], [0], threading.Lock()

    def answer(body: dict[str, Any]) -> Answer:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(60)  # three are there at once, else this breaks and the test fails
        with lock:
            now[0] -= 1
        return caption_of(body)

    with ScriptedServer(seeing(answer)) as server:
        ran(wired(server, workers=3), library)
    assert most == [3]


def test_what_is_no_caption_is_left_out_and_not_asked_about_again(library: Library) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        number = round(colour_of(images_of(body)[0])[0] / 40)
        return "I'm sorry, I can't help with that." if number in (1, 4) else caption_of(body)

    with ScriptedServer(seeing(answer)) as server:
        outcome = ran(wired(server), library)
        assert len(outcome.written) == PICTURES - 2
        assert outcome.reasons == {"the model refused to describe it": 2}
        assert len(asked_about(server)) == PICTURES + 2, "once more, with the reason"
        again = ran(wired(server), library)
        assert (again.written, again.left_out) == ([], [])
        assert len(asked_about(server)) == PICTURES + 2
        context = wired(server)
        assert (again.vain, captioning.plan(context, library).lacking.vain) == (2, 0)
        captioning.check(context, "en")
        assert captioning.plan(context, library).lacking.vain == 2, "now the server has told its model's name"
        assert len(captioning.plan(context, library, language="pl").lacking.images) == 2, "in vain in English only"
        server.answer = seeing()
        outcome = ran(wired(server), library, limit=1, again=True)
        assert (len(outcome.written), outcome.vain) == (1, 0)
    assert captions(library)[4] == "DSC 0004"
    with ScriptedServer(seeing(), models=["better"]) as server:
        assert len(ran(wired(server, model="better"), library).written) == 1, "another model is asked again"


def test_a_server_whose_model_was_replaced_is_asked_again(library: Library) -> None:
    refusing: Script = lambda _body: "I cannot describe this."  # noqa: E731
    with ScriptedServer(seeing(refusing)) as server:
        ran(wired(server), library)
    with ScriptedServer(seeing(), models=["better"]) as server:
        assert captioning.plan(wired(server, model="better"), library).lacking.vain == 0
        assert len(captioning.plan(wired(server), library).lacking.images) == PICTURES
        assert len(ran(wired(server), library).written) == PICTURES


def test_an_answer_in_vain_leaves_the_words_of_an_earlier_run(library: Library) -> None:
    with ScriptedServer(seeing()) as server:
        ran(wired(server), library, without="alt")
    assert library.records()[1].machine_made == ("caption", "alt")
    image = library.records()[1].id
    with closing(sqlite3.connect(library.path / RECORDS)) as records, records:
        records.execute("UPDATE machine SET caption = '' WHERE image = ?", (image,))
    with ScriptedServer(seeing(lambda _body: "I cannot describe this.")) as server:
        assert len(ran(wired(server), library, without="caption").left_out) == 1
    assert library.records()[1].alt == "Red 1."
    with ScriptedServer(seeing(lambda body: caption_of(body).replace("Red", "Dark red"))) as server:
        assert ran(wired(server, model="better"), library, without="caption").written == [image]
    record = library.records()[1]
    assert (record.caption[:13], record.alt) == ("A plain field", "Red 1.")


def test_only_refusals_in_a_row_end_a_run_and_the_next_one_gets_on(library: Library) -> None:
    refused = Status(400, {"error": {"message": "content_filter"}})

    def refusing(*numbers: int) -> Script:
        return seeing(lambda body: refused if asked_about(server)[-1] in numbers else caption_of(body))

    with ScriptedServer(seeing()) as server:
        server.answer = refusing(0, 2, 4)
        outcome = ran(wired(server, workers=1), library)
        assert (len(outcome.written), len(outcome.left_out)) == (3, 3)
        suggesting.withdraw(library)
        server.answer = refusing(1, 2, 3)
        with pytest.raises(ModelRefused):
            ran(wired(server, workers=1), library)
        outcome = ran(wired(server, workers=1), library)
        assert (len(outcome.written), len(outcome.left_out), outcome.vain) == (2, 1, 2)


def test_neither_a_plan_nor_a_run_reads_the_whole_library(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    every = Library.records
    monkeypatch.setattr(Library, "records", lambda self: reads.append(self.name) or every(self))
    with ScriptedServer(seeing()) as server:
        assert len(ran(wired(server), library, limit=2).written) == 2
    assert reads == []


def test_files_that_are_gone_or_broken_are_left_out(library: Library, folder: Path) -> None:
    (folder / "DSC_0002.png").unlink()
    with ScriptedServer(seeing()) as server:
        outcome = ran(wired(server), library)
        assert 2 not in asked_about(server)
    assert len(outcome.written) == PICTURES - 1
    [left] = outcome.left_out
    assert left.record.path.endswith("DSC_0002.png")
    assert "is gone or has changed" in left.why
    assert str(folder) in left.why
    assert str(folder) not in left.afar


def test_a_picture_that_the_server_refuses_is_left_out_but_not_all_of_them(library: Library) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        number = round(colour_of(images_of(body)[0])[0] / 40)
        return Status(400, {"error": {"message": "content_filter"}}) if number == 5 else caption_of(body)

    with ScriptedServer(seeing(answer)) as server:
        outcome = ran(wired(server, workers=1), library)
    assert (len(outcome.written), len(outcome.left_out)) == (5, 1)
    assert "content_filter" in outcome.left_out[0].why
    suggesting.withdraw(library)
    with ScriptedServer(seeing(lambda _body: too_long())) as server, pytest.raises(ModelRefused):
        ran(wired(server, workers=1), library)
    assert len(asked_about(server)) <= 2 * captioning.REFUSALS, "with and without a schema"


def test_what_is_done_is_kept_when_the_server_goes_away(library: Library) -> None:
    script = in_turn(*['{"caption": "A plain field in red. It fills the picture.", "alt": "Red."}'] * 2)
    gone = Status(503, {"error": "gone"})
    left = [2]

    def answer(body: dict[str, Any]) -> Answer:
        left[0] -= 1
        return script(body) if left[0] >= 0 else gone

    with ScriptedServer(seeing(answer)) as server, pytest.raises((ModelRefused, ModelUnreachable)):
        ran(wired(server, workers=1), library)
    assert len(suggesting.suggested(library)) == 2
    with ScriptedServer(seeing()) as server:
        ran(wired(server, workers=1), library)
        assert asked_about(server) == [2, 3, 4, 5]


def test_the_budget_ends_a_run(library: Library) -> None:
    with ScriptedServer(seeing()) as server:
        context = wired(server, workers=1)
        context.meter.budget = 3_000
        with pytest.raises(BudgetReached):
            ran(context, library)
    assert 0 < len(suggesting.suggested(library)) < PICTURES
    assert context.meter.total <= 3_000


@pytest.mark.parametrize("settings", [{}, {"vision": False}])
def test_a_model_that_sees_nothing_is_named_and_not_asked(library: Library, settings: dict[str, Any]) -> None:
    with ScriptedServer(lambda _body: '{"image": 1}') as server:
        with pytest.raises(BadInput, match=r"scripted-7b does not see pictures \(.+\)\. Set LIMNER_MODEL or"):
            ran(wired(server, **settings), library)
        assert asked_about(server) == []
    with pytest.raises(BadInput, match=r"embedded model does not see pictures\. Get one that sees: limner setup"):
        captioning.plan(build_context(Settings(), library=[]), library)


def test_a_local_model_that_may_see_is_not_refused_and_asked_one_by_one(library: Library, tmp_path: Path) -> None:
    (tmp_path / "seer.gguf").write_bytes(b"GGUF")
    context = build_context(Settings(model=str(tmp_path / "seer.gguf")), library=[])
    assert len(captioning.plan(context, library).lacking.images) == PICTURES
    assert captioning.several(context) == 1


def test_xcomposer_writes_chinese_and_english_only(library: Library) -> None:
    with ScriptedServer(lambda body: json.loads(caption_of(body))["caption"]) as server:
        context = wired(server, model="internlm-xcomposer2-vl-7b")
        with pytest.raises(BadInput, match="describes pictures in en, zh only, not in 'pl'"):
            ran(context, library, language="pl")
        assert len(ran(context, library).written) == PICTURES
        assert text_of(server.requests[-1]) == "Please describe this image in detail."


def test_the_language_is_asked_for_or_the_librarys_or_the_settings(library: Library, folder: Path) -> None:
    with ScriptedServer(seeing()) as server:
        assert captioning.plan(wired(server, language="pl"), library).language == "pl"
        for n, words in enumerate(("Der Aufstieg beginnt am frühen Morgen", "Blick vom Gipfel über das Wolkenmeer")):
            (folder / f"DSC_{n:04}.txt").write_text(words)
        index(library.home, "photos", [folder], library.encoders)
        assert captioning.plan(wired(server, language="pl"), library).language == "de"
        assert captioning.plan(wired(server), library, language="fr").language == "fr"
        with pytest.raises(BadInput, match="is not a language code"):
            captioning.plan(wired(server), library, language="klingonisch")


def test_only_what_is_lacking_is_written(library: Library, folder: Path) -> None:
    (folder / "DSC_0000.txt").write_text("A field in the colour of coal")
    index(library.home, "photos", [folder], library.encoders)
    with ScriptedServer(seeing()) as server:
        ran(wired(server), library, without="alt")
        text = next(text_of(b) for b in server.requests if "its caption" in text_of(b))
    assert '- its caption: "A field in the colour of coal"' in text
    first = library.records()[0]
    assert (first.caption, first.alt, first.machine_made) == ("A field in the colour of coal", "Red 0.", ("alt",))
    (folder / "DSC_0000.txt").unlink()
    index(library.home, "photos", [folder], library.encoders)
    assert library.records()[0].caption == "DSC 0000", "a caption was not asked for"
