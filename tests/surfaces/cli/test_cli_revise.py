"""Revising from the shell, and how often the selector agreed with people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from articles import SOURCE, composed
from scripted import ScriptedServer
from shell import Shell

from limner.document import Article
from limner.jobs.history.agreement import Agreement, picks, report
from limner.jobs.history.revisions import Revisions
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.tools.candidates import Wanted, candidates
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import PlaceImage, RemoveImage, SwapImage
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, Record


@pytest.fixture
def jobs(bees: Path, home: Path) -> Iterator[Jobs]:
    made = Jobs(Settings(home=home))
    yield made
    made.close()


@pytest.fixture
def records(jobs: Jobs) -> list[Record]:
    """Of the library "bees", by path."""
    return Library.open(jobs.settings.home, "bees", default_encoders()).records()


def finished(jobs: Jobs, article: Article, owner: str = "local") -> str:
    [(job, _)] = jobs.submit([JobRequest(brief="How bees make honey", library=["bees"])], jobs.owners.get(LOCAL))
    lease = jobs.ledger.take(job.id, "w")
    assert lease
    jobs.ledger.finish(lease, article)
    return job.id


LOCAL = "local"


@pytest.fixture
def job(jobs: Jobs, records: list[Record]) -> str:
    return finished(jobs, composed(records))


def ok(shell: Shell, *words: str) -> str:
    """What a command says that succeeds."""
    said = shell(*words)
    assert said.code == 0, said.err
    return said.out


def refused(shell: Shell, *words: str) -> str:
    """The line that a command is refused with."""
    said = shell(*words)
    assert said.code == 2, said.out
    assert said.err.count("\n") == 1
    return said.err


# --- the article ---------------------------------------------------------------------------------------------------


def test_the_article_with_its_ids(shell: Shell, job: str) -> None:
    lines = ok(shell, "revise", "show", job).splitlines()
    assert lines[0] == "Honey (version 1, limner: Composed)"
    assert [line.split()[0] for line in lines[1:]] == ["b1", "b2", "f-s1", "b3", "f-s2", "b4"]
    assert json.loads(ok(shell, "revise", "show", job, "--json"))["article"]["title"] == "Honey"


def test_edits_by_options(shell: Shell, jobs: Jobs, job: str, records: list[Record]) -> None:
    said = ok(
        shell, "revise", "edit", job, "--title", "Wax", "--text", "b2=Bees *drink* = nectar.",
        "--insert", "b4=The end.", "--move", "f-s1=b4",
        "--swap", f"f-s2=bees:{records[2].id}", "--caption", "f-s2=A jar",
        "--crop", "f-s2=0,0,0.5,1", "--delete", "f-s1", "--lock", "b2",
    )  # fmt: skip
    assert said.startswith("Version 2: Changed the title, Edited paragraph 1, Inserted text")
    article = jobs.article(job)
    assert article.source == (
        "# Wax\n\nBees *drink* = nectar.\n\nThey carry it home.\n\nIt dries to honey.\n\nThe end.\n"
    )
    assert [(i.id, i.caption, i.crop) for i in article.illustrations] == [("f-s2", "A jar", (0.0, 0.0, 0.5, 1.0))]
    assert article.locked == ("b2",)
    assert "is locked" in refused(shell, "revise", "edit", job, "--text", "b2=No.")
    ok(shell, "revise", "edit", job, "--unlock", "b2", "--text", "b2=Yes.")
    assert ok(shell, "revise", "show", job).splitlines()[2].split() == ["b2", "Yes."]


def test_edits_from_a_file_and_from_the_input(shell: Shell, jobs: Jobs, job: str, tmp_path: Path) -> None:
    edits = [{"do": "set_text", "block": "b3", "text": "Home."}]
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    ok(shell, "revise", "edit", job, str(tmp_path / "edits.json"), "--what", "Shorter")
    edits[0]["text"] = "At home."
    said = shell("revise", "edit", job, "-", stdin=json.dumps({"edits": edits}))
    assert said.code == 0, said.err
    assert jobs.article(job).paragraphs[1].text == "At home."
    assert "Shorter" in ok(shell, "revise", "versions", job)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "There is nothing to change"),
        (["--text", "b2"], "has no ="),
        (["--swap", "f-s1=abc"], "names no library"),
        (["--text", "b9=x"], "no block 'b9'"),
        (["--crop", "f-s1=a,b"], "Edit 1"),
        (["--place", "b2=nowhere:abc"], "No library nowhere"),
        (["nothing.json"], "No such file"),
        (["--text", "b2=x", "--version", "7"], "no version 7"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(shell: Shell, job: str, words: list[str], reason: str) -> None:
    assert reason in refused(shell, "revise", "edit", job, *words)


def test_input_that_is_no_list_of_edits(shell: Shell, job: str, tmp_path: Path) -> None:
    for content, reason in (
        ("{", "is not JSON"),
        ('{"do": "lock"}', "Edits are a JSON list"),
        ('[{"do": "paint"}]', "Edit 1"),
        ('["x"]', "Edit 1"),
    ):
        (tmp_path / "edits.json").write_text(content)
        assert reason in refused(shell, "revise", "edit", job, str(tmp_path / "edits.json"))


def test_the_history(shell: Shell, jobs: Jobs, job: str) -> None:
    ok(shell, "revise", "edit", job, "--text", "b2=Bees drink nectar.")
    ok(shell, "revise", "edit", job, "--delete", "f-s1")
    assert "Version 2:" in ok(shell, "revise", "undo", job)
    assert "Version 3:" in ok(shell, "revise", "redo", job)
    assert "nothing to redo" in refused(shell, "revise", "redo", job)
    assert ok(shell, "revise", "compare", job, "1", "3") == (
        "changed  b2  Bees [-gather-]{+drink+} nectar.\n"
        f"removed  f-s1  image: {jobs.article(job).selections[0].candidates[0].caption}\n"
    )
    assert json.loads(ok(shell, "revise", "compare", job, "1", "3", "--json"))["blocks"][1]["change"] == "changed"
    ok(shell, "revise", "go", job, "1")
    ok(shell, "revise", "edit", job, "--text", "b3=Home.")
    lines = ok(shell, "revise", "versions", job).splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", ">"]
    assert "from 1" in lines[3]
    assert [v["parent"] for v in json.loads(ok(shell, "revise", "versions", job, "--json"))["versions"]] == [
        None, 1, 2, 1,
    ]  # fmt: skip
    assert "at version 4, not 2" in refused(shell, "revise", "edit", job, "--text", "b2=x", "--version", "2")


def test_candidates(shell: Shell, job: str, records: list[Record]) -> None:
    lines = ok(shell, "revise", "candidates", job, "--image", "f-s1").splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"* 1.00 bees:{records[0].id}  ")
    assert "(ship.png)" in ok(shell, "revise", "candidates", job, "--caption", "a container ship").splitlines()[0]
    found = json.loads(ok(shell, "revise", "candidates", job, "--like", records[0].id, "-n", "2", "--json"))
    assert len(found["candidates"]) == 2
    assert "Ask by one of" in refused(shell, "revise", "candidates", job)


def test_a_wish_is_shown_and_with_yes_applied(
    shell: Shell, jobs: Jobs, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instruction = json.dumps({"do": "shorten", "block": "b2"})
    with ScriptedServer(lambda _asked: "Nectar is gathered.") as server:
        monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
        shown = ok(shell, "revise", "ask", job, instruction)
        assert "set_text" in shown
        assert jobs.article(job).source == SOURCE
        said = ok(shell, "revise", "ask", job, instruction, "--yes")
    assert "Version 2:" in said
    assert jobs.article(job).paragraphs[0].text == "Nectar is gathered."
    assert jobs.ledger.job(job).spent > 0
    last = json.loads(ok(shell, "revise", "versions", job, "--json"))["versions"][-1]
    assert last["by"] == "model"
    assert "The instruction is not JSON" in refused(shell, "revise", "ask", job, "{")


# --- agreement -----------------------------------------------------------------------------------------------------


def test_nothing_is_counted_that_nobody_looked_at(shell: Shell, job: str) -> None:
    assert "No article was changed or accepted yet" in ok(shell, "stats", "agreement")


def test_what_is_accepted_agrees(shell: Shell, jobs: Jobs, job: str) -> None:
    ok(shell, "revise", "accept", job)
    found = report(jobs.ledger)
    assert (found.total.n, found.total.kept, found.total.agreement) == (2, 2, 1.0)


def test_what_is_swapped_or_removed_does_not(shell: Shell, jobs: Jobs, job: str, records: list[Record]) -> None:
    ok(shell, "revise", "edit", job, "--swap", f"f-s1=bees:{records[2].id}", "--delete", "f-s2")
    other = finished(jobs, composed(records))
    ok(shell, "revise", "edit", other, "--swap", f"f-s2=bees:{records[6].id}", "--place", f"b4=bees:{records[5].id}")
    found = json.loads(ok(shell, "stats", "agreement", "--json"))
    assert found["total"] == {
        "kept": 1, "swapped": 2, "swapped_to_candidate": 1, "removed": 1, "added": 1, "n": 4, "agreement": 0.25,
    }  # fmt: skip
    assert [row["job"] for row in found["jobs"]] == [other, job]
    assert found["by"]["captions"]["n"] == 4
    lines = ok(shell, "stats", "agreement").splitlines()
    assert lines[-1].split()[:5] == ["all", "25%", "of", "n", "="]
    assert "no pick" not in lines[-1]
    # Taking it back takes it out of the count.
    ok(shell, "revise", "undo", other)
    assert report(jobs.ledger).total.n == 2
    assert report(jobs.ledger, "nobody").jobs == []


def test_what_was_decided_at_the_images_counts(records: list[Record]) -> None:
    article = composed(records, (0, None))
    swapped = article.selections[0].model_copy(
        update={"by": "person", "placed": records[2].id, "choice": records[2].id, "instead_of": records[0].id}
    )
    figure = article.illustrations[0].model_copy(update={"image_id": records[2].id})
    reviewed = article.model_copy(update={"selections": (swapped, article.selections[1]), "illustrations": (figure,)})
    assert picks(reviewed, reviewed) == {"person": Agreement(swapped=1, swapped_to_candidate=1)}


def swapped(article: Article, figure: str, record: Record) -> Article:
    images = [i.model_copy(update={"image_id": record.id}) if i.id == figure else i for i in article.illustrations]
    return article.illustrated(images)


def test_what_a_model_proposed_is_a_pick_of_its_own_and_no_disagreement(records: list[Record]) -> None:
    first = composed(records)
    proposed = swapped(first, "f-s1", records[2])
    kept = picks(first, proposed, [(first, proposed)])
    assert kept == {"captions": Agreement(kept=1), "proposal": Agreement(kept=1)}
    person = swapped(proposed, "f-s1", records[3])  # who did not like that one either
    assert picks(first, person, [(first, proposed)])["proposal"] == Agreement(swapped=1)
    before = swapped(first, "f-s1", records[3])  # a person first, then everything anew: his choice still counts
    anew = swapped(before, "f-s1", records[2])
    assert picks(first, anew, [(before, anew)]) == {
        "captions": Agreement(kept=1, swapped=1, swapped_to_candidate=1), "proposal": Agreement(kept=1),
    }  # fmt: skip
    gone = first.illustrated([i for i in first.illustrations if i.id != "f-s2"])
    assert picks(first, gone, [(first, gone)]) == {"captions": Agreement(kept=1)}


def test_a_proposal_that_is_applied_is_not_counted_against_the_selector(
    shell: Shell, jobs: Jobs, job: str, records: list[Record]
) -> None:
    revisions = Revisions(jobs.ledger)
    swap = SwapImage(image="f-s1", image_id=records[2].id, library="bees")
    library = Library.open(jobs.settings.home, "bees", default_encoders())
    revisions.edit(job, [swap], 1, "ann", lambda _name, image: library.record(image), by="model")
    found = report(jobs.ledger)
    assert (found.total.kept, found.total.swapped, found.by["proposal"].kept) == (2, 0, 1)
    other = SwapImage(image="f-s1", image_id=records[4].id, library="bees")
    revisions.edit(job, [other], 2, "ann", lambda _name, image: library.record(image))
    assert report(jobs.ledger).by["proposal"].swapped == 1


def test_images_chosen_anew_keep_what_they_were_chosen_from(jobs: Jobs, job: str, records: list[Record]) -> None:
    article = jobs.article(job)
    chosen = article.selections[0].model_copy(update={"choice": records[3].id, "why": "Kept as chosen."})
    place = PlaceImage(after="b4", image_id=records[3].id, library="bees", chosen=chosen)
    library = Library.open(jobs.settings.home, "bees", default_encoders())
    after = edited(article, [RemoveImage(image="f-s1"), place], lambda _name, image: library.record(image))
    [image] = [i for i in after.illustrations if i.image_id == records[3].id]
    record = next(s for s in after.selections if f"f-{s.spot.id}" == image.id)
    assert (record.placed, record.spot.after, record.candidates) == (records[3].id, "b4", chosen.candidates)
    found = candidates(after, Wanted(image=image.id), [library])
    assert [c.candidate.image_id for c in found] == [c.image_id for c in chosen.candidates]
    assert next(c for c in found if c.chosen and c.candidate.image_id == records[3].id).why == "Kept as chosen."
    assert picks(article, after, [(article, after)]) == {"captions": Agreement(kept=2)}
