"""Judging with a model server over HTTP: runs, orders, what is kept, what is counted."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scripted import Script, ScriptedServer, Status, asking, by_colour, colour_of, images_of, text_of

from limner.agents.dialects import rubric
from limner.agents.dialects.rubric import DIMENSIONS
from limner.document import Illustration, read_markdown
from limner.errors import BudgetReached, ModelRefused
from limner.exports.record import to_json
from limner.settings import Settings
from limner.workflows.context import Context, build_context
from limner.workflows.evaluate import judging
from limner.workflows.evaluate.reading import Given, read

FIGURES = 4


def an_article(folder: Path, title: str = "Reds") -> Given:
    """An article with four figures, each of one shade of red."""
    (folder / "images").mkdir(parents=True)
    text = f"# {title}\n\n" + "\n\n".join(f"Paragraph {n} is about the red number {n}." for n in range(FIGURES)) + "\n"
    figures = []
    for n in range(FIGURES):
        Image.new("RGB", (64, 48), (50 * n, 0, 0)).save(folder / "images" / f"{n}.png")
        figures.append(
            Illustration(
                id=f"f{n}", after=f"b{n + 2}", image_id=f"{n:032x}", caption=f"Red {n}", alt="Red", width=64, height=48,
                file=f"images/{n}.png",
            )
        )  # fmt: skip
    (folder / "article.json").write_text(to_json(read_markdown(text).illustrated(figures)))
    return read(folder / "article.json")


def scores(body: dict[str, Any], score: int = 3) -> str:
    """A grade in each dimension that is asked for."""
    asked = [name for name in DIMENSIONS if f"- {name}:" in text_of(body)]
    return json.dumps({name: {"score": score, "reason": "so"} for name in asked})


def seeing(script: Script = scores) -> Script:
    return lambda body: by_colour(body) if asking(body) == "probe" else script(body)


def wired(server: ScriptedServer, **more: Any) -> Context:
    return build_context(Settings(model_url=server.url, retries=0, workers=2), library=[], **more)


def orders(server: ScriptedServer) -> set[tuple[int, ...]]:
    """The shades in the order in which each question showed them."""
    bodies = [body for body in server.requests if asking(body) == "chat"]
    return {tuple(round(colour_of(url)[0] / 50) for url in images_of(body)) for body in bodies}


def test_three_runs_show_the_pictures_in_three_orders(tmp_path: Path) -> None:
    given = [an_article(tmp_path / "one")]
    with ScriptedServer(seeing()) as server:
        (judged,) = judging.run(wired(server), given)
    assert len(orders(server)) == 3
    assert {tuple(sorted(order)) for order in orders(server)} == {tuple(range(FIGURES))}
    labels = re.findall(r"\nPicture (\d):", text_of(next(b for b in server.requests if asking(b) == "chat")))
    assert sorted(labels) == ["1", "2", "3", "4"]
    assert judged.scores == dict.fromkeys(DIMENSIONS, 3.0)
    assert judged.sums == {"text": 12.0, "images": 9.0, "preference": 3.0}


def test_a_judge_that_sees_nothing_grades_the_text_and_says_so(tmp_path: Path) -> None:
    given = [an_article(tmp_path / "one")]
    blind = lambda body: '{"image": 1}' if asking(body) == "probe" else scores(body)  # noqa: E731
    with ScriptedServer(blind) as server:
        context = wired(server)
        judged = judging.run(context, given)
        section = judging.section(judged, given, "blind", context.sees("selector"))
    assert judged[0].sums == {"text": 12.0}
    assert orders(server) == {()}
    assert len(judged[0].runs) == 1, "the same question again is no other run"
    assert "sees no images: the text alone was graded" in section.lines[2]
    assert {row[0]: row[2] for row in section.rows}["sum: images"] == "–"


def test_failures_are_counted_and_never_become_scores(tmp_path: Path) -> None:
    given = [an_article(tmp_path / "one")]

    def mixed(body: dict[str, Any]) -> Any:
        if body["seed"] == 0:
            return scores(body, 5)
        return "A lovely article, 9/10." if body["seed"] == 1 else Status(413, {"error": {"message": "too large"}})

    with ScriptedServer(seeing(mixed)) as server:
        judged = judging.run(wired(server), given)
    assert [run.grade is None for run in judged[0].runs] == [False, True, True]
    assert [run.unread for run in judged[0].runs] == [0, 2, 0]
    assert "too large" in judged[0].runs[2].refused
    assert judged[0].scores["writing"] == 5.0
    line = judging.section(judged, given, "m", True).lines[1]
    assert line.startswith("m: 3 runs, 2 without a readable answer (1 refused by the server)")


@pytest.mark.parametrize(("pictures", "runs", "count"), [(0, 3, 1), (1, 3, 1), (2, 3, 2), (3, 20, 6), (16, 3, 3)])
def test_no_two_runs_have_the_same_order(pictures: int, runs: int, count: int) -> None:
    made = judging.orders(pictures, runs)
    assert len(made) == len(set(made)) == count
    assert {tuple(sorted(order)) for order in made} == {tuple(range(pictures))}
    assert judging.orders(pictures, 1) == made[:1], "more runs ask nothing anew"


@pytest.mark.parametrize(
    ("cut", "most", "broken", "shown", "line"),
    [
        (rubric.LONGEST, 16, 1, 3, "1 pictures were not shown, because their files cannot be opened."),
        (rubric.LONGEST, 3, 0, 3, "1 pictures were not shown: more than 3 in an article"),
        (200, 16, 0, 2, "2 pictures were not shown: more than 16 in an article, or behind the cut"),
        (rubric.LONGEST, 16, 0, 4, ""),
    ],
)
def test_pictures_that_are_not_shown_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, most: int, broken: int, shown: int, line: str
) -> None:
    monkeypatch.setattr(rubric, "LONGEST", cut)
    monkeypatch.setattr(judging, "PICTURES", most)
    given = [an_article(tmp_path / "one")]
    for n in range(broken):
        (given[0].folder / "images" / f"{n}.png").write_bytes(b"no picture")
    with ScriptedServer(seeing()) as server:
        judged = judging.run(wired(server), given, 1)
        [body] = [body for body in server.requests if asking(body) == "chat"]
    assert len(images_of(body)) == shown
    for label in re.findall(r"\nPicture (\d):", text_of(body)):
        assert f"[Picture {label} stands here" in text_of(body)
    said = [one for one in judging.section(judged, given, "m", True).lines if "not shown" in one]
    assert [one[: len(line)] for one in said] == ([line] if line else [])
    assert judged[0].beyond + judged[0].unopened == FIGURES - shown


def test_a_server_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    refusing = seeing(lambda _body: Status(401, {"error": {"message": "no key"}}))
    with ScriptedServer(refusing) as server, pytest.raises(ModelRefused):
        judging.run(wired(server), [an_article(tmp_path / "one")])


def test_a_stopped_run_goes_on_without_asking_twice(tmp_path: Path, home: Path) -> None:
    given = [an_article(tmp_path / "one"), an_article(tmp_path / "two", "More reds")]
    answered: list[tuple[str, int]] = []

    def dying(body: dict[str, Any]) -> Any:
        if len(answered) == 4:
            return Status(401, {"error": {"message": "gone"}})
        answered.append((text_of(body), body["seed"]))
        return scores(body)

    with ScriptedServer(seeing(dying)) as server, pytest.raises(ModelRefused):
        judging.run(wired(server), given)
    files = sorted((home / "judged").iterdir())
    with files[0].open("a") as file:
        file.write('{"digest": "torn')  # as a power cut leaves it
    with ScriptedServer(seeing()) as server:
        judged = judging.run(wired(server), given)
        again = [(text_of(body), body["seed"]) for body in server.requests if asking(body) == "chat"]
    assert len(again) == 6 - len(answered)
    assert not set(again) & set(answered)
    assert all(run.grade for one in judged for run in one.runs)
    with ScriptedServer(seeing()) as server:
        assert judging.run(wired(server), given)[0].scores == judged[0].scores
        assert [asking(body) for body in server.requests] == ["probe", "probe"]
    with ScriptedServer(seeing()) as server:  # another text is another article
        judging.run(wired(server), [an_article(tmp_path / "three", "Other reds")])
        assert len([body for body in server.requests if asking(body) == "chat"]) == 3


def test_the_budget_holds(tmp_path: Path) -> None:
    with ScriptedServer(seeing()) as server, pytest.raises(BudgetReached):
        judging.run(wired(server, max_tokens=4000), [an_article(tmp_path / "one")])


@pytest.mark.parametrize("limit", [{"max_tokens": 10**6}, {"max_cost": 1.0}, {}])
def test_under_a_limit_one_question_waits_for_the_other(tmp_path: Path, home: Path, limit: dict[str, Any]) -> None:
    """Each call is allowed by what was spent before it, so two at once could go over the limit together."""
    home.mkdir(exist_ok=True)
    (home / "prices.toml").write_text('["scripted-7b"]\ninput = 0.01\noutput = 0.01\n')
    one, other = an_article(tmp_path / "one"), an_article(tmp_path / "two", "Others")
    lock, now, most = threading.Lock(), 0, 0
    both = threading.Barrier(2)

    def slow(body: dict[str, Any]) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with suppress(threading.BrokenBarrierError):  # where no other comes, all go on after the first second
            both.wait(1 if limit else 60)
        with lock:
            now -= 1
        return '{"better": "tie"}' if "Which article is better" in text_of(body) else scores(body)

    with ScriptedServer(seeing(slow)) as server:
        context = wired(server, **limit)
        judging.run(context, [one, other], 1)
        judging.compare(context, one, other, 1)
    assert most == (1 if limit else 2)


def duel(tmp_path: Path, verdict: Any) -> judging.Duel:
    one, other = an_article(tmp_path / "one", "Good"), an_article(tmp_path / "two", "Bad")
    with ScriptedServer(seeing(verdict)) as server:
        return judging.compare(wired(server), one, other)


def test_the_better_article_wins_in_both_orders(tmp_path: Path) -> None:
    def honest(body: dict[str, Any]) -> str:
        return json.dumps({"better": "A" if "ARTICLE A\nTitle: Good" in text_of(body) else "B", "reason": "x"})

    assert duel(tmp_path, honest).counts == {"first": 3, "second": 0, "tie": 0, "unreadable": 0}


def test_a_judge_of_places_gives_ties(tmp_path: Path) -> None:
    found = duel(tmp_path, lambda _body: '{"better": "A", "reason": "it comes first"}')
    assert found.counts == {"first": 0, "second": 0, "tie": 3, "unreadable": 0}
    assert found.verdicts[0] == ("first", "second")


def test_an_unreadable_verdict_is_counted(tmp_path: Path) -> None:
    def mumbling(body: dict[str, Any]) -> str:
        return "well" if body["seed"] == 1 else '{"better": "tie", "reason": ""}'

    assert duel(tmp_path, mumbling).counts == {"first": 0, "second": 0, "tie": 2, "unreadable": 1}


def test_the_cost_is_near_what_is_asked(tmp_path: Path) -> None:
    given = [an_article(tmp_path / "one")]
    cost = judging.cost(given, 3)
    with ScriptedServer(seeing()) as server:
        judging.run(wired(server), given)
    assert cost.calls == len([body for body in server.requests if asking(body) == "chat"]) == 3
    assert 3 * (FIGURES * 800) < cost.tokens < 3 * (FIGURES * 800 + 2000)
