"""What can a 135M model write, and what can it judge? Prints the tables of bench/small.md.

    uv run python bench/small.py write --ways steps,page --briefs 12 --out articles/
    uv run python bench/small.py again --out articles/
    uv run python bench/small.py languages
    uv run python bench/small.py judge --figures 100 --book ../shared/bench/astronomy-dev

write: the ways of writing an article, over the same briefs. again: the table of articles written before.
languages: does it write others than English?
judge: does it spot and select better than similarity does? All with the embedded model on this machine.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from limner.agents.dialects import sentences as rules
from limner.agents.dialects import small
from limner.agents.families import small as family
from limner.agents.speaker import Speaker
from limner.document import Article, Brief, Heading, Source, read_markdown
from limner.errors import LimnerError
from limner.tools.encoders import MiniLM
from limner.workflows.embedded.server import EmbeddedServer

BRIEFS = (
    Brief(text="How bees make honey"),
    Brief(text="The silk road"),
    Brief(text="How to bake sourdough bread"),
    Brief(text="A weekend in Lisbon"),
    Brief(text="Marie Curie"),
    Brief(
        text="The mill at Alder Bridge was built in 1742 by the Hale family. It ground rye and barley for villages. "
        "A flood broke the wheel in 1881, and a steam engine took its place. Since 1990 volunteers have restored the "
        "wooden wheel. On Sundays they grind flour for visitors, and children may feed the ducks on the mill pond."
    ),
    Brief(text="The history of tea\n\n- Wild leaves and monks\n- Ships and taxes\n- Tea at home\n- Tea gardens today"),
    Brief(text="lighthouse, storm, keeper, lamp, fog"),
    Brief(text="Why the sky is blue"),
    Brief(text="The red fox"),
    Brief(
        text="Our school garden",
        sources=(
            Source(
                name="diary",
                text="In March the pupils dug twelve beds and carried compost from the village. They sowed carrots, "
                "beans and sunflowers. In June slugs ate the lettuce, so the children built a home for hedgehogs. The "
                "kitchen cooked bean soup in September. Mrs Okafor teaches counting with seeds.",
            ),
        ),
    ),
    Brief(text="How glaciers shape mountains"),
)


# --- the parts -------------------------------------------------------------------------------------------------------


class Measure:
    """MiniLM, each text encoded once."""

    def __init__(self) -> None:
        self.encoder, self.known = MiniLM(threads=1), {}

    def rows(self, texts: Sequence[str]) -> np.ndarray:
        for text in texts:
            if text not in self.known:
                self.known[text] = self.encoder.encode_texts([text])[0]
        return np.stack([self.known[text] for text in texts])

    def __call__(self, texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
        return self.rows(texts) @ self.rows(others).T


def speaker_to(server: EmbeddedServer) -> Speaker:
    model = ChatOpenAI(model=server.model, base_url=server.url, api_key=server.api_key, timeout=300, stream_usage=True)  # type: ignore[arg-type]
    return Speaker(model, llama_cpp=True, json_schema=True, name=server.model, where=server.url)


def quiet(_text: str) -> None:
    """The bench shows no text while it is written."""


# --- the ways of writing ---------------------------------------------------------------------------------------------


def page(brief: Brief, speaker: Speaker, _measure: Measure) -> Article:
    """Ask for the whole article."""
    sources = "".join(f"\n\nNotes: {s.text}" for s in brief.sources)
    question = f"Write an article of five sections in Markdown about:\n{brief.text}{sources}"
    reply = speaker.say([HumanMessage(question)], max_tokens=900, temperature=0.4, seed=1, extra={"min_p": 0.08})
    return read_markdown(reply, title=small.plan(brief).title)


def page_samplers(brief: Brief, speaker: Speaker, _measure: Measure) -> Article:
    """Ask for the whole article, with the samplers against repetition."""
    sources = "".join(f"\n\nNotes: {s.text}" for s in brief.sources)
    question = f"Write an article of five sections in Markdown about:\n{brief.text}{sources}"
    reply = speaker.say([HumanMessage(question)], max_tokens=900, temperature=0.4, seed=1, extra=family.SAMPLERS)
    return read_markdown(reply, title=small.plan(brief).title)


def own_outline(brief: Brief, speaker: Speaker, _measure: Measure) -> Article:
    """The model's own outline, constrained by a JSON schema, then a paragraph for each heading."""
    heading = {"type": "string", "minLength": 5, "maxLength": 50}
    schema = {"type": "array", "items": heading, "minItems": 5, "maxItems": 5}
    question = [HumanMessage(f"List five section headings for an article about: {brief.text}")]
    headings = speaker.ask(question, json.loads, schema=schema, max_tokens=160, temperature=0.4, seed=1)
    plan = small.plan(brief)
    parts = [f"# {plan.title}"]
    for n, text in enumerate(headings):
        section = small.Section(text, text)
        reply = speaker.say(
            small.ask_paragraph(plan, section, plan.notes),
            max_tokens=150,
            temperature=0.4,
            seed=n,
            extra=family.SAMPLERS,
        )
        parts += [f"## {text}", reply]
    return read_markdown("\n\n".join(parts), title=plan.title)


def paragraphs(brief: Brief, speaker: Speaker, measure: Measure) -> Article:
    """limner's plan, a paragraph at a time, no sentence turned down."""
    writing = family._Writing(brief, speaker, quiet, measure)
    plan = writing.plan()
    parts = [f"# {plan.title}"]
    for n, section in enumerate(plan.sections):
        messages = small.ask_paragraph(plan, section, writing.notes(plan, section))
        reply = speaker.say(messages, max_tokens=150, temperature=0.4, seed=n, extra=family.SAMPLERS)
        parts += [f"## {section.heading}"] if section.heading else []
        parts.append(" ".join(rules.sentences(reply)))
    return read_markdown("\n\n".join(parts), title=plan.title)


def steps(brief: Brief, speaker: Speaker, measure: Measure) -> Article:
    """What limner does: its plan, a checked sentence at a time, the first usable one taken."""
    return family.write_in_steps(brief, speaker, quiet, measure)


def steps_best(brief: Brief, speaker: Speaker, measure: Measure) -> Article:
    """The same, of two usable sentences the one closer to the section's subject."""
    family.BEST_OF, before = 2, family.BEST_OF
    try:
        return family.write_in_steps(brief, speaker, quiet, measure)
    finally:
        family.BEST_OF = before


def steps_first(brief: Brief, speaker: Speaker, _measure: Measure) -> Article:
    """As steps, with no measure of meaning: drift and paraphrase pass."""
    return family.write_in_steps(brief, speaker, quiet, None)


WAYS: dict[str, Callable[[Brief, Speaker, Measure], Article]] = {
    "page": page,
    "page-samplers": page_samplers,
    "own-outline": own_outline,
    "paragraphs": paragraphs,
    "steps": steps,
    "steps-best": steps_best,
    "steps-first": steps_first,
}


# --- figures of an article -------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """Of one article; shares from 0 to 1."""

    words: int
    distinct2: float
    distinct3: float
    repeated4: float
    """Of the 4-word runs, those that occurred before."""
    repeated_sentences: float
    topic: float
    """Cosine of paragraph and brief, mean over the paragraphs."""
    topic_least: float
    headings: float
    """Of the headings, those that repeat the title or another heading."""
    openings: float
    """Of the sentences, those whose first two words differ from all others'."""
    invented: float
    """Of the sentences, those with a name or number that the brief does not have."""
    unfinished: float
    """Of the paragraphs, those that do not end a sentence."""
    seconds: float = 0
    cpu_seconds: float = 0
    """Of the server and of this process: what `seconds` would be on one idle core."""
    tokens: int = 0
    """Completion tokens, those turned down included."""


def figures(article: Article, brief: Brief, measure: Measure) -> Figures:
    plan = small.plan(brief, kind="history")  # known places are no inventions
    texts = [p.plain for p in article.paragraphs if p.plain]
    sentences = [s for text in texts for s in re.split(r"(?<=[.!?])\s+", text) if s]
    words = rules.words(" ".join(texts))
    runs = {n: rules.ngrams(words, n) for n in (2, 3, 4)}
    openings = [tuple(rules.words(s)[:2]) for s in sentences]
    subject = " ".join([brief.text, *(s.text for s in brief.sources)])[:1000]
    closeness = measure(texts, [subject])[:, 0] if texts else np.zeros(1)
    headings = [small._key(b.plain) for b in article.body if isinstance(b, Heading) and b.level > 1]
    taken = [h for n, h in enumerate(headings) if h in headings[:n] or h == small._key(article.title)]
    return Figures(
        words=len(words),
        distinct2=len(set(runs[2])) / max(1, len(runs[2])),
        distinct3=len(set(runs[3])) / max(1, len(runs[3])),
        repeated4=1 - len(set(runs[4])) / max(1, len(runs[4])),
        repeated_sentences=1 - len(set(sentences)) / max(1, len(sentences)),
        topic=float(closeness.mean()),
        topic_least=float(closeness.min()),
        headings=len(taken) / max(1, len(headings)),
        openings=sum(openings.count(o) == 1 for o in openings) / max(1, len(openings)),
        invented=sum(invents(s, plan.known) for s in sentences) / max(1, len(sentences)),
        unfinished=sum(not re.search(r"[.!?][\"”']?$", t) for t in texts) / max(1, len(texts)),
    )


def invents(sentence: str, known: frozenset[str]) -> bool:
    return bool(rules._names(sentence, known, ())) or bool(
        any(w not in known and (w in rules._COUNTS or any(c.isdigit() for c in w)) for w in rules.words(sentence))
    )


def write(arguments: argparse.Namespace) -> None:
    measure = Measure()
    with EmbeddedServer(threads=arguments.threads) as server:
        rows = {}
        for way in arguments.ways.split(","):
            rows[way] = list(articles(way, arguments, server, measure))
            print(f"{way}: {len(rows[way])} articles", file=sys.stderr)
            table(rows)


def articles(way: str, arguments: argparse.Namespace, server: EmbeddedServer, measure: Measure) -> Iterator[Figures]:
    for n, brief in enumerate(BRIEFS[: arguments.briefs], 1):
        speaker, start, busy = speaker_to(server), time.monotonic(), cpu_seconds(server)
        try:
            article = WAYS[way](brief, speaker, measure)
        except LimnerError as error:
            print(f"{way} {n}: {error}", file=sys.stderr)
            continue
        found = figures(article, brief, measure)
        found.seconds, found.cpu_seconds = time.monotonic() - start, cpu_seconds(server) - busy
        found.tokens = speaker.meter.roles["writer"].completion
        print(f"{way} {n}: {found.seconds:.0f} s, {found.words} words, {article.notes}", file=sys.stderr, flush=True)
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"{n:02}-{way}.md").write_text(article.source)
        yield found


def again(arguments: argparse.Namespace) -> None:
    """The table of the articles in a folder, written earlier; times and tokens are not known from them."""
    measure, rows = Measure(), {}
    for path in sorted(arguments.out.glob("[0-9][0-9]-*.md")):
        number, _, way = path.stem.partition("-")
        brief = BRIEFS[int(number) - 1]
        article = read_markdown(path.read_text(), title=small.plan(brief).title)
        rows.setdefault(way, []).append(figures(article, brief, measure))
    table(rows)


def cpu_seconds(server: EmbeddedServer) -> float:
    """CPU time so far of the server and of this process; of this process alone where there is no /proc."""
    stat = Path(f"/proc/{server._process.pid}/stat")
    fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else ["0"] * 13
    return time.process_time() + (int(fields[11]) + int(fields[12])) / 100  # USER_HZ


def table(rows: dict[str, list[Figures]]) -> None:
    names = list(Figures.__dataclass_fields__)
    print("| way | articles | " + " | ".join(n.replace("_", " ") for n in names) + " |")
    print("|---|" + "---|" * (len(names) + 1))
    for way, found in rows.items():
        means = [statistics.mean(getattr(f, n) for f in found) for n in names] if found else []
        cells = [
            f"{m:.0f}" if n in ("words", "seconds", "cpu_seconds", "tokens") else f"{m:.3f}"
            for n, m in zip(names, means, strict=False)
        ]
        print(f"| {way} | {len(found)} | " + " | ".join(cells) + " |", flush=True)


# --- other languages -------------------------------------------------------------------------------------------------

LANGUAGES = {
    "en": ("English", "Write a short paragraph in English about {}.", ("bees", "bread", "the sea")),
    "de": ("German", "Schreibe einen kurzen Absatz auf Deutsch über {}.", ("Bienen", "Brot", "das Meer")),
    "fr": ("French", "Écris un court paragraphe en français sur {}.", ("les abeilles", "le pain", "la mer")),
    "es": ("Spanish", "Escribe un párrafo corto en español sobre {}.", ("las abejas", "el pan", "el mar")),
    "zh": ("Chinese", "请用中文写一小段关于{}的文字。", ("蜜蜂", "面包", "大海")),
}


def languages(arguments: argparse.Namespace) -> None:
    """Ask for a paragraph in each language, in that language; tell by script and common words what came."""
    print("| language | common words of it | common English words | Han characters | repeated 4-grams | example |")
    print("|---|---|---|---|---|---|")
    with EmbeddedServer(threads=arguments.threads) as server:
        speaker = speaker_to(server)
        for code, (name, question, subjects) in LANGUAGES.items():
            replies = [
                speaker.say(
                    [HumanMessage(question.format(subject))],
                    max_tokens=90,
                    temperature=0.4,
                    seed=seed,
                    extra={"min_p": 0.08},
                )
                for seed, subject in enumerate(subjects)
            ]
            text = " ".join(replies)
            own = small.share_of(text, code) if code != "zh" else float("nan")
            han = sum("\u4e00" <= c <= "\u9fff" for c in text) / max(1, len(text))
            runs = rules.ngrams(rules.words(text), 4)
            again = 1 - len(set(runs)) / max(1, len(runs))
            example = " ".join(replies[0].split())[:160].replace("|", "/")
            cells = f"{own:.2f} | {small.share_of(text, 'en'):.2f} | {han:.2f} | {again:.2f} | {example}"
            print(f"| {name} | {cells} |", flush=True)


# --- spotting and selecting ------------------------------------------------------------------------------------------


def judge(arguments: argparse.Namespace) -> None:
    """Does the model caption a paragraph, or choose among captions, better than similarity alone?"""
    measure = Measure()
    library = {r["id"]: r for r in map(json.loads, (arguments.book / "library.jsonl").open())}
    described = {i: f"{r['caption'][:300]} {r['alt'][:300]}" for i, r in library.items()}
    ids, cases = list(described), list(figure_places(arguments.book))
    random.Random(0).shuffle(cases)
    matrix = measure.rows([described[i] for i in ids])
    ranks: dict[str, list[int]] = {"paragraph": [], "model's caption": [], "both": []}
    right: dict[str, list[bool]] = {"retrieval's first": [], "model": [], "chance": []}
    answers = [0] * 4
    with EmbeddedServer(threads=arguments.threads) as server:
        speaker = speaker_to(server)
        for paragraph, image in cases[: arguments.figures]:
            caption = "" if arguments.only_select else spotted(speaker, paragraph)
            scores = {"paragraph": matrix @ measure.rows([paragraph])[0]}
            scores["model's caption"] = matrix @ measure.rows([caption or paragraph])[0]
            scores["both"] = scores["paragraph"] + scores["model's caption"]
            for name, score in scores.items():
                ranks[name].append(int((score > score[ids.index(image)]).sum()) + 1)
            four = [ids[n] for n in np.argsort(-scores["paragraph"])[:4]]
            if image in four:
                right["retrieval's first"].append(four[0] == image)
                random.Random(image).shuffle(four)  # else a model that always answers 1 is as good as retrieval
                answer = selected(speaker, paragraph, [described[i] for i in four])
                right["chance"].append(four[0] == image)
                right["model"].append(four[answer] == image)
                answers[answer] += 1
    print(f"{len(ranks['paragraph'])} figures, {len(ids)} images\n")
    if arguments.only_select:
        ranks.clear()
    print("| search by | recall@1 | recall@4 | recall@10 | mean reciprocal rank |\n|---|---|---|---|---|")
    for name, found in ranks.items():
        at = [f"{statistics.mean(r <= k for r in found):.3f}" for k in (1, 4, 10)]
        print(f"| {name} | {' | '.join(at)} | {statistics.mean(1 / r for r in found):.3f} |")
    print(f"\n{len(right['model'])} of these have the right image among the first four\n")
    print(f"The model answered 1, 2, 3, 4 this often: {answers}\n")
    print("| choice among four by | right |\n|---|---|")
    for name, hits in right.items():
        print(f"| {name} | {statistics.mean(hits):.3f} |")


def figure_places(book: Path) -> Iterator[tuple[str, str]]:
    """The paragraph before each figure, and the figure's image id."""
    for line in (book / "articles.jsonl").open():
        before = ""
        for block in json.loads(line)["blocks"]:
            if block["kind"] == "paragraph":
                before = block["text"]
            elif block["kind"] == "figure" and before:
                yield before, block["image"]


def spotted(speaker: Speaker, paragraph: str) -> str:
    """The model's search caption for a paragraph."""
    question = f"{paragraph[:1500]}\n\nDescribe in one short sentence a picture that would illustrate this text."
    extra = {**family.SAMPLERS, "grammar": small.SENTENCE_GRAMMAR}
    return speaker.say([HumanMessage(question)], max_tokens=50, temperature=0.0, seed=1, extra=extra).strip()


def selected(speaker: Speaker, paragraph: str, captions: Sequence[str]) -> int:
    """The index that the model answers, from 0."""
    lines = "\n".join(f"{n}. {caption[:200]}" for n, caption in enumerate(captions, 1))
    question = (
        f"Text: {paragraph[:1000]}\n\nPictures:\n{lines}\n\nWhich picture fits the text best? Answer with its number."
    )
    extra: dict[str, Any] = {"grammar": "root ::= [1-4]"}
    return int(speaker.say([HumanMessage(question)], max_tokens=2, temperature=0.0, seed=1, extra=extra)) - 1


@cache
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "again", "languages", "judge"])
    parser.add_argument("--ways", default=",".join(WAYS), help="comma-separated; default: all")
    parser.add_argument("--briefs", type=int, default=len(BRIEFS))
    parser.add_argument("--out", type=Path, help="folder for the articles")
    parser.add_argument("--figures", type=int, default=100)
    parser.add_argument("--book", type=Path, default=Path("../shared/bench/astronomy-dev"))
    parser.add_argument("--only-select", action="store_true", help="judge: leave spotting out, it takes longest")
    parser.add_argument("--threads", type=int, default=0, help="of the embedded model; 0: the free cores")
    return parser


if __name__ == "__main__":
    arguments = parser().parse_args()
    {"write": write, "again": again, "languages": languages, "judge": judge}[arguments.what](arguments)
