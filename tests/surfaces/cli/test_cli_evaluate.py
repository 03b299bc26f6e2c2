"""limner evaluate: a table, JSON and a page of articles that limner made, and of articles that somebody else did."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scripted import Delayed, ScriptedServer, asking, by_colour, text_of
from shell import Shell

from limner.agents.dialects.rubric import DIMENSIONS
from limner.document import Article, Illustration, Paragraph
from limner.exports.record import to_json
from limner.tools.evaluation.measures import MEASURES


def changed(folder: Path, change: Any) -> None:
    """Rewrite an article.json as somebody else might."""
    path = folder / "article.json"
    value = json.loads(path.read_text())
    change(value["article"])
    path.write_text(json.dumps(value))


def test_a_table_json_and_a_page(made: Path, shell: Shell, tmp_path: Path) -> None:
    said = shell("evaluate", made, "--json", tmp_path / "e.json", "--html", tmp_path / "e.html")
    assert said.code == 0, said.err
    assert said.out.startswith("Evaluated 1 article; without intervals, which take 5 articles.\n")
    assert "  figures                            2\n" in said.out
    assert "  malformed links                    – the text has no link\n" in said.out
    found = json.loads((tmp_path / "e.json").read_text())
    values = found["articles"][0]["measures"]
    assert (values["figures"], values["opens"], values["no_alt"], values["own_text"]) == (2, 1.0, 0.0, 1.0)
    assert set(values) | set(found["articles"][0]["missing"]) == set(MEASURES)
    assert found["means"]["figures"] == {"mean": 2.0, "n": 1, "low": None, "high": None}
    page = (tmp_path / "e.html").read_text()
    for one in MEASURES.values():
        assert one.title in page
    assert "<script" not in page


def test_several_articles_have_intervals_and_a_broken_one_is_named(made: Path, shell: Shell, tmp_path: Path) -> None:
    batch = tmp_path / "batch"
    for n in range(6):
        shutil.copytree(made, batch / f"{n}")
    changed(batch / "1", lambda a: a.update(illustrations=a["illustrations"][:1]))
    (batch / "2" / "article.json").write_text('{"format": 2, "article": {"blocks": []}}')
    said = shell("evaluate", batch, tmp_path / "nothing", "--json", "-")
    assert said.code == 2
    assert "left out" in said.err
    assert "not a whole article" in said.err
    found = json.loads(said.out)
    figures = found["means"]["figures"]
    assert (figures["mean"], figures["n"]) == (1.8, 5)
    assert figures["low"] < 1.8 < figures["high"]
    assert list(found["left_out"]) == [str(batch / "2" / "article.json"), str(tmp_path / "nothing")]


def test_direction_marks_turn_no_line_of_the_table(made: Path, shell: Shell, tmp_path: Path) -> None:
    changed(made, lambda a: a.update(title="honey \u202e\u2066 eyenoh"))
    said = shell("evaluate", made, "--html", tmp_path / "e.html")
    assert said.code == 0, said.err
    assert not {"\u202e", "\u2066"} & {*said.out, *(tmp_path / "e.html").read_text()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "is JSON, but not an article"),
        ("{", "is not JSON"),
        ('{"format": 99, "article": {}}', "this limner reads up to"),
        ('{"format": 2, "article": {"title": 7, "blocks": "<script>"}}', "is not a whole article"),
    ],
)
def test_what_is_no_article_gets_one_line(text: str, says: str, tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "article.json").write_text(text)
    said = shell("evaluate", tmp_path)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert says in said.err
    assert shell("evaluate", tmp_path / "nowhere").code == 2
    assert shell("evaluate").code == 2


def test_a_hostile_article_is_measured_and_its_words_are_escaped(made: Path, shell: Shell, tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>\x1b[31m"

    def hostile(article: dict[str, Any]) -> None:
        article["title"] = attack
        for n, figure in enumerate(article["illustrations"]):
            figure.update(caption=attack, alt=attack, credit=attack, file=figure["file"] if n else "images/gone.png")
        article["body"][-1]["text"] += f" [link](<{attack}>) [{attack}](page&.html)"

    changed(made, hostile)
    said = shell("evaluate", made, "--html", tmp_path / "e.html")
    assert said.code == 0, said.err
    assert "\x1b" not in said.out
    assert "figure 1 cannot be opened" in said.out
    page = (tmp_path / "e.html").read_text()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_files_outside_the_article_are_not_read(made: Path, shell: Shell) -> None:
    figure = next((made / "images").iterdir())
    figure.rename(made.parent / "secret.png")
    figure.symlink_to(made.parent / "secret.png")
    said = shell("evaluate", made)
    assert said.code == 0
    assert "is a link out of" in said.out
    changed(made, lambda a: a["illustrations"][0].update(file="../secret.png"))
    assert shell("evaluate", made).code == 2


def test_five_thousand_blocks_and_hundreds_of_figures(tmp_path: Path, shell: Shell) -> None:
    body = tuple(
        Paragraph(id=f"b{n}", text=f"Paragraph {n} is about the river {n % 7} and its bridge.") for n in range(5000)
    )
    figures = tuple(
        Illustration(
            id=f"f{n}", after=f"b{n * 9}", image_id=f"{n:032x}", caption=f"River {n}", alt="", width=1, height=1
        )
        for n in range(500)
    )
    article = Article(title="Long", body=body, illustrations=figures)
    (tmp_path / "article.json").write_text(to_json(article))
    said = shell("evaluate", tmp_path, "--json", "-")
    assert said.code == 0, said.err
    found = json.loads(said.out)["articles"][0]
    assert found["measures"]["paragraphs"] == 5000
    assert found["missing"]["own_text"] == found["missing"]["dpi"] == "more than 200 figures"
    assert found["measures"]["distance"] == 9.0
    assert len(found["findings"]) < 500


# --- a judge ---------------------------------------------------------------------------------------------------------


def scores(body: dict[str, Any]) -> str:
    """A judge that sees: it knows red, likes everything, and prefers the first of two."""
    if asking(body) == "probe":
        return by_colour(body)
    if "Which article is better" in text_of(body):
        return '{"better": "A", "reason": "<script>"}'
    names = [name for name in DIMENSIONS if f"- {name}:" in text_of(body)]
    return json.dumps({name: {"score": 5, "reason": "<script>alert(2)</script>"} for name in names})


def test_the_cost_comes_first_and_the_judge_only_after_a_yes(made: Path, shell: Shell, tmp_path: Path) -> None:
    with ScriptedServer(scores) as server:
        asked = ("evaluate", made, "--judge", "m", "--model-url", server.url)
        said = shell(*asked)
        assert said.code == 2
        assert said.err.startswith("2 questions to m, about ")
        assert said.err.endswith("limner: Nothing was asked. Give --yes to ask the model without a question.\n")
        assert server.requests == []
        other = shutil.copytree(made, tmp_path / "other")
        changed(other, lambda a: a.update(title="Other"))
        said = shell(*asked, "--against", other, "--yes", "--json", tmp_path / "j.json", "--html", tmp_path / "j.html")
    assert said.code == 0, said.err
    assert re.search(r"\n  sum: text +20 +20\.00\n", said.out)
    assert said.out.count("has no interval, which takes 5 articles") == 1
    assert re.search(r"\n  tie +2\n", said.out)
    found = json.loads((tmp_path / "j.json").read_text())
    assert (found["judge"]["runs"], found["judge"]["unreadable"], found["judge"]["sees"]) == (2, 0, True)
    assert found["judge"]["articles"][str(made)]["sums"] == {"text": 20.0, "images": 15.0, "preference": 5.0}
    assert found["against"]["runs"] == {"first": 0, "second": 0, "tie": 2, "unreadable": 0}
    page = (tmp_path / "j.html").read_text()
    assert "arXiv 2309.15112, appendix C.2" in page
    assert "<script" not in page


def test_a_comparison_takes_one_article_and_a_judge(made: Path, shell: Shell) -> None:
    assert "--against needs a judge" in shell("evaluate", made, "--against", made).err
    said = shell("evaluate", made.parent, made, made.parent / "gone", "--judge", "m", "--against", made)
    assert said.code == 2


def test_money_limits_the_judge_and_is_named(made: Path, shell: Shell, home: Path) -> None:
    (home / "prices.toml").write_text('["m"]\ninput = 10\noutput = 10\n')
    with ScriptedServer(scores) as server:
        asked = ("evaluate", made, "--judge", "m", "--model-url", server.url, "--yes")
        said = shell(*asked, "--max-cost", "0.01")
        assert said.code == 2
        assert "Answers so far are kept" in said.err
        assert [asking(body) for body in server.requests].count("chat") == 0
        said = shell(*asked)
        assert said.code == 0, said.err
        assert re.search(r"Tokens: [\d,]+ in 2 calls, \$0\.\d+\.", said.err)


def test_a_judge_without_a_server_gets_one_line(made: Path, shell: Shell) -> None:
    said = shell("evaluate", made, "--judge", "some/model", "--yes")
    assert said.code == 2
    assert "The model some/model has no server" in said.err


def test_agreement_is_a_table_beside_or_without_articles(bees: Path, shell: Shell, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (bees / "metadata.jsonl").read_text().splitlines()]
    library = [{"id": row["file_name"], "file": row["file_name"], "caption": row["caption"]} for row in rows]
    split = shutil.copytree(bees, tmp_path / "split")
    (split / "metadata.jsonl").unlink()
    (split / "library.jsonl").write_text("\n".join(map(json.dumps, library)))
    blocks = [{"kind": "paragraph", "text": "A jar of honey on a table."}, {"kind": "figure", "image": "jar.png"}]
    (split / "articles.jsonl").write_text(json.dumps({"id": "a", "title": "Honey", "blocks": blocks}))
    said = shell("evaluate", "--agreement", split, "--json", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert said.code == 0, said.err
    assert "1 figures of 1 articles" in said.out
    assert "similarity: the author's image" in said.out
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["agreement"]["right"] == {"mean": 1.0, "n": 1, "low": None, "high": None}
    assert found["articles"] == []
    assert "Agreement with the authors" in (tmp_path / "a.html").read_text()
    with ScriptedServer(lambda body: '{"image": 1}') as server:
        said = shell("evaluate", "--agreement", split, "--model-url", server.url)
        assert said.code == 2
        assert "3 questions to scripted-7b" in said.err
        assert server.requests == []


@pytest.mark.real
@pytest.mark.parametrize(("stopped_by", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_killed_judge_is_asked_only_about_what_was_in_flight(
    made: Path, tmp_path: Path, stopped_by: signal.Signals, code: int
) -> None:
    for n in range(4):
        changed(shutil.copytree(made, tmp_path / "all" / f"{n}"), lambda a, n=n: a.update(title=f"Number {n}"))
    lock, asked = threading.Lock(), Counter[tuple[str, int]]()
    stopping = threading.Event()

    def answer(body: dict[str, Any]) -> Any:
        if asking(body) == "probe":
            return by_colour(body)
        with lock:
            asked[re.findall(r"Number \d", text_of(body))[0], body["seed"]] += 1
            if len(asked) > 5 and not stopping.is_set():
                stopping.set()
                process.send_signal(stopped_by)
        return Delayed(scores(body), 60) if process.poll() is None and stopping.is_set() else scores(body)

    with ScriptedServer(answer) as server:
        line = [
            sys.executable,
            "-m",
            "limner.surfaces.cli.app",
            "evaluate",
            str(tmp_path / "all"),
            "--judge",
            "m",
            "--yes",
        ]
        environment = os.environ | {"LIMNER_MODEL_URL": server.url, "LIMNER_WORKERS": "2", "LIMNER_RETRIES": "0"}
        process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == code, said
        first = set(asked)
        again = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
        assert again.returncode == 0, again.stderr
    assert "8 runs, 0 without a readable answer" in again.stdout
    assert len(asked) == 8
    twice = {question for question, times in asked.items() if times > 1}
    assert len(twice) <= 2, "only those in flight"
    assert twice <= first
    assert max(asked.values()) <= 2
