"""Agreement of the selector with authors, on a folder in the bench's layout and a model server with a script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from honey_split import TEXTS
from pictures import CAPTIONS
from scripted import ScriptedServer, asking, text_of

from limner.errors import BadInput
from limner.settings import Settings
from limner.tools.evaluation.intervals import ratio_of
from limner.workflows.context import Context, build_context
from limner.workflows.evaluate import agreement
from limner.workflows.evaluate.split import read_split


def asked(context: Context, split: Path) -> agreement.Questions:
    return agreement.questions(context, read_split(split))


def measured(context: Context, split: Path) -> agreement.Agreement:
    questions = asked(context, split)
    judged = context.judges()
    return agreement.figures(questions.asked, agreement.run(context, questions.asked), judged)


def test_each_figure_is_a_question_with_the_authors_image(split: Path) -> None:
    context = build_context(Settings(), library=split)
    questions = asked(context, split)
    assert questions.unfound == 0
    assert [q.of for q in questions.asked] == [0, 0, 1, 1]
    for q in questions.asked:
        assert len(q.candidates) == len(q.others) == 4
        assert q.true in {c.image_id for c in q.candidates}
        assert q.true not in {c.image_id for c in q.others}


def test_similarity_alone_asks_no_model_and_has_no_order_to_flip_with(split: Path) -> None:
    found = measured(build_context(Settings(), library=split), split)
    assert found.right == found.similarity
    assert found.right is not None
    assert found.right.n == 4
    assert found.flipped is None
    assert found.unread == 0
    section = agreement.section(found, agreement.Questions([], 0), 2, "similarity")
    assert ("another choice in another order", "–") in section.rows


def choosing(choose: Any) -> Any:
    """A model that reads captions; choose: (the captions shown, the paragraph's caption) -> number, 0 for none."""

    def answer(body: dict[str, Any]) -> str:
        if asking(body) == "probe":
            return '{"image": 1}'
        text = text_of(body)
        shown = re.findall(r"\n\(\d\) (.+?)(?=\n)", text)
        return json.dumps({"image": choose(shown, text), "sure": True})

    return answer


def test_a_selector_that_knows_is_right_refuses_and_does_not_flip(split: Path) -> None:
    wanted = {TEXTS[name]: CAPTIONS[name][0] for name in TEXTS}

    def knows(shown: list[str], text: str) -> int:
        spot = text[text.index('a picture is wanted: "') :]
        caption = next(c for t, c in wanted.items() if t[:60] in spot)
        return next((n for n, s in enumerate(shown, 1) if s.startswith(caption)), 0)

    with ScriptedServer(choosing(knows)) as server:
        found = measured(build_context(Settings(model_url=server.url), library=split), split)
    for share, value in ((found.right, 1), (found.refused, 1), (found.refused_wrongly, 0), (found.flipped, 0)):
        assert share is not None
        assert share.mean == value


def test_a_selector_of_positions_flips_and_never_refuses(split: Path) -> None:
    with ScriptedServer(choosing(lambda _shown, _text: 1)) as server:
        found = measured(build_context(Settings(model_url=server.url), library=split), split)
    assert found.flipped is not None
    assert (found.flipped.mean, found.flipped.n) == (1, 4)
    assert found.refused is not None
    assert found.refused.mean == 0


def test_answers_are_kept_and_unreadable_ones_counted(split: Path) -> None:
    with ScriptedServer(choosing(lambda _shown, _text: 1)) as server:
        first = measured(build_context(Settings(model_url=server.url), library=split), split)
        count = len(server.requests)
        again = measured(build_context(Settings(model_url=server.url), library=split), split)
        assert [asking(body) for body in server.requests[count:]] == ["probe", "probe"]
    assert first == again
    with ScriptedServer(choosing(lambda _shown, _text: "a heron, perhaps"), models=("other-7b",)) as server:
        found = measured(build_context(Settings(model_url=server.url), library=split), split)
    assert found.unread == 12
    assert found.right is not None
    assert found.right.mean == 0
    assert found.flipped is found.refused is found.refused_wrongly is None, "no answer is no choice"


def without_others(question: agreement.Question, count: int) -> agreement.Question:
    """The question with only so many candidates."""
    others = tuple(c for c in question.candidates if c.image_id != question.true)[: count - 1]
    true = next(c for c in question.candidates if c.image_id == question.true)
    return question._replace(candidates=(true, *others), others=others)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_another_order_moves_every_candidate_and_nothing_else(split: Path, count: int) -> None:
    with ScriptedServer(choosing(lambda _shown, _text: 1)) as server:
        context = build_context(Settings(model_url=server.url, workers=1), library=split)
        questions = [without_others(q, count) for q in asked(context, split).asked]
        answers = agreement.run(context, questions)
        found = agreement.figures(questions, answers, judged=True)
        seeds = {body["seed"] for body in server.requests if asking(body) != "probe"}
    assert seeds == {0}
    assert agreement.cost(context, questions).calls == len(answers) == (4 if count == 1 else 12)
    if count == 1:
        assert found.flipped is found.refused is None
        return
    for n in range(4):
        first, turned = answers[n, "first"].shown, answers[n, "turned"].shown
        assert sorted(first) == sorted(turned)
        assert all(a != b for a, b in zip(first, turned, strict=True))
    assert found.flipped is not None
    assert (found.flipped.mean, found.flipped.n) == (1, 4), "it goes by position alone"


@pytest.mark.parametrize(
    ("table", "line", "says"),
    [
        ("articles.jsonl", "{", "articles.jsonl, line 1: this is not JSON"),
        ("articles.jsonl", "[]", "line 1: this is no object"),
        ("articles.jsonl", '{"title": 1, "blocks": 7}', "a block is no heading or paragraph"),
        ("articles.jsonl", '{"blocks": [{"kind": "figure", "image": "gone"}]}', "nor a figure of the library"),
        ("library.jsonl", '{"id": "x"}', "an image needs id and file"),
        ("library.jsonl", '{"id": "x", "file": "images/gone.png"}', "cannot be read"),
    ],
)
def test_a_folder_of_another_shape_gets_one_line(split: Path, table: str, line: str, says: str) -> None:
    (split / table).write_text(line)
    with pytest.raises(BadInput, match=says):
        read_split(split)


def test_files_outside_the_folder_are_not_read(split: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    (split / "library.jsonl").write_text('{"id": "x", "file": "../secret.png"}')
    with pytest.raises(BadInput):
        read_split(split)
    (split / "link.png").symlink_to(tmp_path / "secret.png")
    (split / "library.jsonl").write_text('{"id": "x", "file": "link.png"}')
    with pytest.raises(BadInput, match="link out of the folder"):
        read_split(split)


def test_a_sample_is_spread_evenly(split: Path) -> None:
    row = (split / "articles.jsonl").read_text().split("\n")[0]
    rows = [row.replace('"a0"', f'"a{n}"') for n in range(10)]
    (split / "articles.jsonl").write_text("\n".join(rows))
    assert [one.name for one in read_split(split, 3)] == ["a0", "a3", "a6"]
    assert len(read_split(split, 99)) == 10


def test_a_pooled_share_has_its_interval_over_articles() -> None:
    assert ratio_of([(0, 0)]) is None
    one = ratio_of([(1, 4)])
    assert one is not None
    assert (one.mean, one.n, one.low) == (0.25, 4, None)
    many = ratio_of([(1, 1), (0, 9)] * 20)
    assert many is not None
    assert many.mean == pytest.approx(0.1)
    assert many.n == 200
