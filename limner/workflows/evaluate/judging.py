"""Have a model judge articles by the paper's rubric: a run for each of up to three orders of the pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from limner.agents import judge
from limner.agents.dialects import rubric
from limner.agents.dialects.rubric import DIMENSIONS, Shown
from limner.agents.judge import Graded
from limner.agents.prompts import estimate_tokens
from limner.errors import LimnerError
from limner.exports.record import to_json
from limner.tools.evaluation.intervals import mean_of, shown, without
from limner.tools.evaluation.positions import figures_of
from limner.tools.images.images import data_url
from limner.workflows.context import PROMPT_SIDE, Context
from limner.workflows.evaluate.answers import FOLDER, Answers
from limner.workflows.evaluate.parallel import at_once, each
from limner.workflows.evaluate.report import Section

if TYPE_CHECKING:
    from limner.agents.speaker import Speaker
    from limner.document import Illustration
    from limner.workflows.evaluate.reading import Given

RUNS = 3  # the paper asked its judge three times
PICTURES = 16  # of an article that a judge sees; servers limit the number in a prompt
WRITTEN = 350  # tokens of an answer
_ONE = "data:image/jpeg;base64,"  # stands for a picture in an estimate
_SUMS = {"text": 20, "images": 15, "preference": 5}

Progress = Callable[[int, int], None]


class Cost(NamedTuple):
    """The questions to a judge."""

    calls: int
    tokens: int
    """Estimated, prompts and answers."""

    def line(self, model: str, at_once: int) -> str:
        """The cost, in one line."""
        return f"{self.calls} questions to {model}, about {self.tokens:,} tokens, {at_once} at once."


class Judged(NamedTuple):
    """One article's runs."""

    runs: Sequence[Graded]
    names: Sequence[str]
    """The dimensions asked for."""
    beyond: int = 0
    """Pictures not shown because there are too many, or because their place lies behind the cut of the text."""
    unopened: int = 0
    """Pictures not shown because their files cannot be opened."""

    @property
    def scores(self) -> dict[str, float]:
        """Per dimension the mean over the readable runs."""
        grades = [run.grade for run in self.runs if run.grade]
        return {name: fmean(g.scores[name] for g in grades) for name in self.names} if grades else {}

    @property
    def sums(self) -> dict[str, float]:
        """The paper's sums: "text" of 20, "images" of 15, "preference" of 5; those whose dimensions were asked for."""
        scores, parts = self.scores, dict.fromkeys(DIMENSIONS[name].part for name in self.names)
        return {part: sum(v for n, v in scores.items() if DIMENSIONS[n].part == part) for part in parts if scores}

    def json(self) -> dict[str, Any]:
        """All of it."""
        runs = [
            {
                "scores": dict(run.grade.scores) if run.grade else None,
                "reasons": dict(run.grade.reasons) if run.grade else None,
                "unreadable_answers": run.unread,
                "refused": run.refused,
            }
            for run in self.runs
        ]
        left_out = {"beyond": self.beyond, "unopened": self.unopened}
        return {"runs": runs, "scores": self.scores, "sums": self.sums, "pictures_left_out": left_out}


def cost(given: Sequence[Given], runs: int, against: Given | None = None) -> Cost:
    """The questions of `run` and `compare`, before anything is asked. The model is taken for one that sees."""
    calls = tokens = 0
    for one in given:
        names = rubric.dimensions(sees=True, pictures=len(_stand_ins(one)))
        each_run = estimate_tokens(rubric.ask_scores(one.article, _stand_ins(one), names)) + WRITTEN
        count = len(orders(len(_stand_ins(one)), runs))
        calls, tokens = calls + count, tokens + count * each_run
        if against:
            question = rubric.ask_pair(one.article, _stand_ins(one), against.article, _stand_ins(against))
            twice = 2 * len(_paired(_stand_ins(one), _stand_ins(against), runs))
            calls, tokens = calls + twice, tokens + twice * (estimate_tokens(question) + 50)
    return Cost(calls, round(tokens, -2))


def _stand_ins(one: Given) -> list[Shown]:
    return [Shown(n, _ONE) for n in range(1, len(_placed(one)) + 1)]


def _placed(one: Given) -> list[Illustration]:
    """The figures to show: those whose marks stand in the text, and at most PICTURES."""
    return list(figures_of(one.article)[: min(PICTURES, rubric.marked(one.article))])


class Pictures:
    """The pictures of articles as a judge sees them; those that cannot be opened are left out."""

    def __init__(self, context: Context) -> None:
        self.context, self.sees = context, context.sees("selector")

    def of(self, one: Given) -> list[Shown]:
        """In reading order; none for a judge that reads text only."""
        shown = []
        for n, figure in enumerate(_placed(one) if self.sees else (), 1):
            try:
                image = data_url(one.data(figure), PROMPT_SIDE, max_pixels=self.context.settings.max_pixels)
            except LimnerError:  # `opens` counts it, with the reason
                continue
            shown.append(Shown(n, image))
        return shown


def _speaker(context: Context, *of: Given) -> Speaker:
    """The judge, with the answers that it gave about these articles before."""
    digest = hashlib.sha256("".join(to_json(one.article) for one in of).encode()).hexdigest()[:32]
    memory = Answers(context.settings.home / FOLDER / f"{digest}.jsonl")
    return dataclasses.replace(context.speaker("selector"), role="judge", memory=memory)


def orders(count: int, runs: int) -> list[tuple[int, ...]]:
    """Another order of so many pictures for each run, so that no place in the prompt is favoured.

    Fewer than `runs` where there are fewer: at temperature 0 the same prompt is the same answer once more.
    """
    rng, found = random.Random(0), dict[tuple[int, ...], None]()
    while len(found) < min(runs, math.factorial(count)):
        found[tuple(rng.sample(range(count), count))] = None
    return list(found)


def _ordered(shown: Sequence[Shown], runs: int) -> list[list[Shown]]:
    return [[shown[n] for n in order] for order in orders(len(shown), runs)]


def _paired(one: Sequence[Shown], other: Sequence[Shown], runs: int) -> list[tuple[list[Shown], list[Shown]]]:
    """Orders of the pictures of two articles; no two alike."""
    first, second = _ordered(one, runs), _ordered(other, runs)
    return [(first[n % len(first)], second[n % len(second)]) for n in range(max(len(first), len(second)))]


def run(
    context: Context, given: Sequence[Given], runs: int = RUNS, on_progress: Progress = lambda _done, _of: None
) -> list[Judged]:
    """Ask the judge, which is the selector of `context`, about each article. Raises BudgetReached, ModelError.

    Answers are kept: the same call asks only what was not answered.
    """
    pictures = Pictures(context)
    shown = [_ordered(pictures.of(one), runs) for one in given]
    names = [rubric.dimensions(sees=pictures.sees, pictures=len(images[0])) for images in shown]
    speakers = [_speaker(context, one) for one in given]
    found: dict[tuple[int, int], Graded] = {}

    def ask(item: tuple[int, int]) -> Graded:
        n, seed = item
        return judge.grade(given[n].article, shown[n][seed], names[n], speakers[n], seed)

    items = [(n, seed) for n in range(len(given)) for seed in range(len(shown[n]))]
    for item, graded in each(ask, items, at_once(context)):
        found[item] = graded
        on_progress(len(found), len(items))
    runs_of = [[found[n, seed] for seed in range(len(images))] for n, images in enumerate(shown)]
    left_out = [
        _left_out(one, len(images[0])) if pictures.sees else (0, 0) for one, images in zip(given, shown, strict=True)
    ]
    return [Judged(*one, *more) for one, more in zip(zip(runs_of, names, strict=True), left_out, strict=True)]


def _left_out(one: Given, shown: int) -> tuple[int, int]:
    """Pictures that were not shown: (beyond what is shown, unopened)."""
    placed = len(_placed(one))
    return len(figures_of(one.article)) - placed, placed - shown


class Duel(NamedTuple):
    """Two articles compared in both orders, several times."""

    verdicts: Sequence[tuple[str | None, str | None]]
    """Per run the better one, "first" or "second" or "tie", with the first shown first, then with it shown last; None
    for an unreadable answer."""

    @property
    def counts(self) -> dict[str, int]:
        """Runs by outcome: a win takes the same answer in both orders; orders that disagree are a tie."""
        found: dict[str, int] = {"first": 0, "second": 0, "tie": 0, "unreadable": 0}
        for one, other in self.verdicts:
            outcome = "unreadable" if one is None or other is None else one if one == other else "tie"
            found[outcome] += 1
        return found


def compare(
    context: Context, one: Given, other: Given, runs: int = RUNS, on_progress: Progress = lambda _done, _of: None
) -> Duel:
    """Ask the judge which of two articles is better, in both orders in each run. Raises BudgetReached, ModelError."""
    pictures, speaker = Pictures(context), _speaker(context, one, other)
    shown = _paired(pictures.of(one), pictures.of(other), runs)
    found: dict[tuple[int, bool], str | None] = {}

    def ask(item: tuple[int, bool]) -> str | None:
        seed, turned = item
        first, second = shown[seed]
        ordered = (other.article, second, one.article, first) if turned else (one.article, first, other.article, second)
        answer = judge.better(*ordered, speaker, seed)
        named = {"A": "second", "B": "first"} if turned else {"A": "first", "B": "second"}
        return named.get(answer, "tie") if answer else None

    items = [(seed, turned) for seed in range(len(shown)) for turned in (False, True)]
    for item, answer in each(ask, items, at_once(context)):
        found[item] = answer
        on_progress(len(found), len(items))
    return Duel([(found[seed, False], found[seed, True]) for seed in range(len(shown))])


# --- words ---------------------------------------------------------------------------------------------------------


def sections(judged: Sequence[Judged], given: Sequence[Given], model: str, sees: bool) -> list[Section]:
    """The scores as tables: means over articles with intervals, and each of several articles."""
    found = [section(judged, given, model, sees)]
    if len(given) > 1:
        rows = [(one.name, *(_sum(scores, part) for part in _SUMS)) for one, scores in zip(given, judged, strict=True)]
        found.append(Section("Judge, by article", (), ("article", *(f"{p} /{n}" for p, n in _SUMS.items())), rows))
    return found


def _sum(judged: Judged, part: str) -> str:
    return f"{judged.sums[part]:.2f}" if part in judged.sums else "–"


def section(judged: Sequence[Judged], given: Sequence[Given], model: str, sees: bool) -> Section:
    """The scores as a table: means over articles with intervals."""
    runs = [run for one in judged for run in one.runs]
    failed = sum(run.grade is None for run in runs)
    refused = sum(bool(run.refused) for run in runs)
    again = sum(run.grade is not None and run.unread > 0 for run in runs)
    cut = sum(rubric.is_cut(one.article) for one in given)
    lines = [
        "Dimensions, scale (1, 3, 5) and sums are those of InternLM-XComposer (arXiv 2309.15112, appendix C.2); the "
        "words of the questions are limner's, so scores do not compare with the paper's. It is a model's opinion: "
        "models favour fluent text and cannot check facts.",
        f"{model}: {len(runs)} runs, {failed} without a readable answer ({refused} refused by the server), {again} "
        "readable only when asked again. Scores are means over readable runs. Each run has another order of the "
        "pictures: two pictures have two orders, and one picture, none, or a judge that sees none give one run.",
    ]
    if not sees:
        lines.append(f"{model} sees no images: the text alone was graded, and not the preference.")
    if beyond := sum(one.beyond for one in judged):
        lines.append(
            f"{beyond} pictures were not shown: more than {PICTURES} in an article, or behind the cut of its text."
        )
    if unopened := sum(one.unopened for one in judged):
        lines.append(f"{unopened} pictures were not shown, because their files cannot be opened.")
    if cut:
        lines.append(f"{cut} articles were longer than {rubric.LONGEST:,} characters and cut there.")
    scores = [
        (one.title, "5", mean_of([j.scores[name] for j in judged if name in j.scores]))
        for name, one in DIMENSIONS.items()
    ]
    scores += [
        (f"sum: {part}", str(most), mean_of([j.sums[part] for j in judged if part in j.sums]))
        for part, most in _SUMS.items()
        if part != "preference"
    ]
    lines += without(mean for _, _, mean in scores)
    rows = [(name, of, shown(mean, 2)) for name, of, mean in scores]
    return Section("Judge", lines, ("dimension", "of", "score"), rows)


def duel_section(duel: Duel, names: tuple[str, str], model: str) -> Section:
    """The comparison as a table."""
    labels = {"first": names[0], "second": names[1], "tie": "tie", "unreadable": "no readable answer"}
    lines = [
        f"{model} was asked which article is better, in both orders in each run. A win takes the same answer in both; "
        "orders that disagree count as a tie (Zheng et al. 2023, arXiv 2306.05685)."
    ]
    return Section(
        "Against each other", lines, ("better", "runs"), [(labels[k], str(n)) for k, n in duel.counts.items()]
    )


def parts(judged: Sequence[Judged], given: Sequence[Given], model: str, sees: bool) -> Mapping[str, Any]:
    """The judge's part of the JSON."""
    runs = [run for one in judged for run in one.runs]
    by_article = {one.name: found.json() for one, found in zip(given, judged, strict=True)}
    return {
        "model": model,
        "sees": sees,
        "runs": len(runs),
        "unreadable": sum(run.grade is None for run in runs),
        "articles": by_article,
    }
