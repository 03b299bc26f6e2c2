"""limner.evaluate: the report in Python, with a judge and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted import ScriptedChatModel

import limner
from limner.agents.dialects.rubric import dimensions
from limner.document import read_markdown
from limner.errors import BadInput
from limner.exports.record import to_json


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """Two articles without figures."""
    for n in range(2):
        (tmp_path / "all" / f"{n}").mkdir(parents=True)
        text = to_json(read_markdown(f"# Title {n}\n\nA paragraph with some words in it.\n"))
        (tmp_path / "all" / f"{n}" / "article.json").write_text(text)
    return tmp_path / "all"


def test_folders_become_a_report_and_a_page(articles: Path) -> None:
    report = limner.evaluate([articles / "0", articles / "1"], page=articles / "page.html")
    assert [a.title for a in report.articles] == ["Title 0", "Title 1"]
    assert report.means()["words"].mean == 7
    assert "Evaluation of 2 articles" in (articles / "page.html").read_text()
    assert limner.evaluate(articles / "0").means()["words"].low is None
    with pytest.raises(BadInput, match="No article in"):
        limner.evaluate(articles.parent)


def test_a_chat_model_judges_and_each_article_has_its_row(articles: Path) -> None:
    names = dimensions(sees=False, pictures=0)
    lines = [json.dumps({name: {"score": score, "reason": ""} for name in names}) for score in (3, 5)]
    model = ScriptedChatModel(lines=['{"image": 1}', '{"image": 1}', *lines])  # it does not see
    report = limner.evaluate(articles, judge=model, runs=1, settings=limner.Settings(workers=1))
    assert [row[1:] for row in report.sections[1].rows] == [("12.00", "–", "–"), ("20.00", "–", "–")]
    assert report.json()["judge"]["sees"] is False
