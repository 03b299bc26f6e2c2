"""The oracle: whether what is in the database is what must be there, whatever happened in between.

It shares no code with what it judges: it reads the rows (`evidence.py`), the model server's own book (`served.py`) and
the exported files. Each objection is one line that names the job. The rules, by what they protect:

    state       every job ended, waits, is parked or queued; what runs has a lease that has not lapsed
    attempts    numbered 1, 2, 3 …; one begins only after the one before ended; none writes after the next began
    events      numbered without a gap; none twice; in the order of their times
    steps       a checkpoint for every step, each following the one before: a late writer would make a fork
    story       the steps and notes of a job that is done are those of a run that nothing disturbed
    text        what watchers saw of the text, put together, is what the model wrote
    article     that of a run that nothing disturbed, but for its count of tokens; no image and no spot twice
    calls       a call is made again only where the server was told to fail, or a worker died with it in flight
    cost        a job's tokens are the sum of its calls; each call kept is one that the server served
    aside       a job that was set aside says why, after as many crashes of its own, or of any kind, as are allowed
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evidence import Evidence, Row
from served import MARK, Served

ENDS = ("done", "failed", "cancelled", "set_aside")
LOSSES = 10
"""Attempts that may break off in a row with no fault of the job to be seen."""
BREAKS = ("lapsed", "set_aside")
"""How an attempt ends that nobody ended in order: with at most one call in flight."""
LEAVES = ("lapsed", "put_back", "parked", "waiting", *ENDS)
"""Events with which an attempt is over."""
RESUMES = {"parked": ("due", "retried"), "waiting": ("answered",)} | dict.fromkeys(ENDS, ("retried",))
"""What must come between the end of an attempt and the next one, for ends that nobody goes on from by himself."""


@dataclass(frozen=True)
class Undisturbed:
    """What a job comes to when nothing goes wrong; `taken` from one that ran so."""

    mark: str
    article: dict[str, Any]
    story: list[tuple[str, str, Any]]
    text: str

    @classmethod
    def taken(cls, evidence: Evidence) -> Undisturbed:
        """From the evidence of one job."""
        [job] = evidence.jobs
        return cls(mark_of(job), comparable(job["article"]), story_of(evidence.events), text_of(evidence.events))

    def at(self, mark: str) -> Undisturbed:
        """The same for a job with another mark: nothing else of it is another."""
        said = json.dumps([self.article, self.story, self.text]).replace(self.mark, mark)
        article, story, text = json.loads(said)
        return Undisturbed(mark, article, [(kind, step, data) for kind, step, data in story], text)


def check(
    evidence: Evidence,
    served: Sequence[Served],
    undisturbed: Undisturbed | None,
    *,
    ended: bool = True,
    max_crashes: int = 3,
) -> list[str]:
    """Objections, none if all is as it must be.

    served: the model server's book, of these jobs at least. undisturbed: None for jobs of other graphs, whose article
    and story are not compared. ended: whether every job must have ended or wait for a person by now.
    """
    book: dict[str, list[Served]] = {}
    for entry in served:
        book.setdefault(entry.mark, []).append(entry)
    probes = {(entry.prompt, entry.completion) for entry in book.get("", [])}
    objections: list[str] = []
    for name, part in evidence.by_job().items():
        [job] = part.jobs
        mark = mark_of(job)
        found = [*_state(job, evidence.now, ended), *_attempts(job, part.events), *_events(job, part.events)]
        found += _steps(part.checkpoints)
        found += [*_calls(part.events, book.get(mark, [])), *_cost(job, part, book.get(mark, []), probes)]
        found += _aside(job, max_crashes)
        if undisturbed and job["state"] == "done":
            garbled = any(entry.fault == "garbage" for entry in book.get(mark, []))
            found += _same(job, part.events, undisturbed.at(mark), late(part), garbled)
        objections += [f"{name}: {objection}" for objection in found]
    known = {row["id"] for row in evidence.jobs}
    objections += [f"{e['job']}: an event of no job" for e in evidence.events if e["job"] not in known]
    return objections


# --- reading -------------------------------------------------------------------------------------------------------


def mark_of(job: Row) -> str:
    """The mark in a job's title, "" for one without."""
    found = MARK.search(job["title"])
    return found.group() if found else ""


def comparable(article: dict[str, Any]) -> dict[str, Any]:
    """An article without its count of tokens, which tells what was paid and not what was made."""
    made_with = {name: value for name, value in article["made_with"].items() if name != "tokens"}
    return {**article, "made_with": made_with}


def without_answers(article: dict[str, Any]) -> dict[str, Any]:
    """An article without the model's own words in the record of its choices."""
    return {**article, "selections": [{**s, "answers": []} for s in article["selections"]]}


def story_of(events: Iterable[Row]) -> list[tuple[str, str, Any]]:
    """What happened to the article: steps, notes and the end; without the text, and without attempts coming and
    going."""
    return [(e["kind"], e["step"], e["data"]) for e in events if e["kind"] in ("step", "note", "done")]


def text_of(events: Iterable[Row]) -> str:
    """The text as somebody who watched from the beginning has it on the screen."""
    shown = ""
    for event in events:
        if event["kind"] == "again":
            shown = event["data"]["text"]
        elif event["kind"] == "text":
            shown += event["data"]["text"]
    return shown


def broken(events: Iterable[Row]) -> int:
    """How many attempts ended without anybody ending them in order."""
    return sum(e["kind"] in BREAKS for e in events)


def late(part: Evidence) -> bool:
    """Whether a call was kept for an attempt that another had followed by then: its article cannot know of it."""
    started = {e["attempt"]: e["at"] for e in part.events if e["kind"] == "started"}
    return any(c["at"] > started.get(c["attempt"] + 1, float("inf")) for c in part.calls)


# --- the rules -----------------------------------------------------------------------------------------------------


def _state(job: Row, now: float, ended: bool) -> list[str]:
    state = job["state"]
    found = []
    if state == "running":
        if ended:
            found.append("runs still")
        if not job["worker"] or job["lease_until"] is None:
            found.append("runs without a lease")
        elif job["lease_until"] < now:
            found.append(f"runs with a lease that lapsed {now - job['lease_until']:.1f} s ago")
    elif state in ("queued", "parked", "waiting", *ENDS):
        if job["worker"] or job["lease_until"] is not None:
            found.append(f"is {state} and has a lease")
        if ended and state in ("queued", "parked"):
            found.append(f"is {state} still")
    else:
        found.append(f"is in no state: {state!r}")
    if (state in ENDS) != (job["finished"] is not None):
        found.append(f"is {state} and finished at {job['finished']}")
    if (state == "done") != (job["article"] is not None):
        found.append(f"is {state} with{'' if job['article'] else 'out'} an article")
    return found


def _attempts(job: Row, events: Sequence[Row]) -> list[str]:
    found, current, open_, last = [], 0, False, ""
    for event in events:
        seq, kind, attempt = event["seq"], event["kind"], event["attempt"]
        if kind == "started":
            if open_:
                found.append(f"event {seq}: attempt {attempt} began while attempt {current} was at work")
            if attempt != current + 1 or event["data"].get("attempt") != attempt:
                found.append(f"event {seq}: attempt {attempt} began after attempt {current}")
            current, open_ = attempt, True
        elif attempt != current:
            found.append(f"event {seq}: {kind} of attempt {attempt} while the current one is {current}")
        elif kind in LEAVES:
            if not open_ and kind not in (
                "cancelled",
                "parked",
            ):  # a job that waits may be cancelled, or parked unbegun
                found.append(f"event {seq}: {kind} with no attempt at work")
            open_ = False
        elif kind in ("step", "text", "again", "note") and not open_:
            found.append(f"event {seq}: {kind} with no attempt at work")
        if last in RESUMES and kind not in (*RESUMES[last], "cancelled"):
            found.append(f"event {seq}: {kind} right after {last}")
        last = kind
    if job["attempt"] != current:
        found.append(f"the job is at attempt {job['attempt']}, its events at {current}")
    if open_ != (job["state"] == "running"):
        found.append(f"is {job['state']}, and by its events {'at work' if open_ else 'not at work'}")
    if job["state"] in ENDS and last != job["state"]:
        found.append(f"is {job['state']}, and its last event is {last}")
    return found


def _events(job: Row, events: Sequence[Row]) -> list[str]:
    found = []
    numbers = [e["seq"] for e in events]
    if numbers != list(range(1, len(numbers) + 1)):
        gap = next((n for n, seq in enumerate(numbers, 1) if seq != n), len(numbers))
        found.append(f"events are not numbered 1 to {len(numbers)}: {gap} is missing or double")
    if job["last_seq"] != len(numbers):
        found.append(f"last_seq is {job['last_seq']} and there are {len(numbers)} events")
    if events and events[0]["kind"] != "queued":
        found.append(f"the first event is {events[0]['kind']}")
    doubled = [mark for mark, n in Counter(e["once"] for e in events if e["once"]).items() if n > 1]
    found += [f"the event {mark!r} is there twice" for mark in doubled]
    said = Counter(json.dumps([e["kind"], e["step"], e["data"]], sort_keys=True) for e in events if e["kind"] == "step")
    found += [f"the step {what} is told {n} times" for what, n in said.items() if n > 1]
    times = [e["at"] for e in events]
    if times != sorted(times):
        found.append("events are not in the order of their times")
    return found


def _steps(checkpoints: Sequence[Row]) -> list[str]:
    found = []
    ids = {c["checkpoint_id"] for c in checkpoints}
    numbers = [c["metadata"]["step"] for c in checkpoints]
    if numbers != list(range(-1, len(numbers) - 1)):
        found.append(f"checkpoints are of the steps {numbers}: two attempts wrote side by side, or one is missing")
    parents = Counter(c["parent_checkpoint_id"] for c in checkpoints)
    found += [f"{n} checkpoints follow {parent}" for parent, n in parents.items() if n > 1]
    found += [f"a checkpoint follows {p}, which is not there" for p in parents if p is not None and p not in ids]
    return found


def _calls(events: Sequence[Row], served: Sequence[Served]) -> list[str]:
    """A call is made once; once more for each fault given to it, and once more for each attempt that broke off, as at
    most one call of it was in flight."""
    made, faults = Counter(s.key for s in served), Counter(s.key for s in served if s.fault)
    role = {s.key: s.role for s in served}
    extra = {key: n - 1 - faults[key] for key, n in made.items() if n > 1 + faults[key]}
    allowed = broken(events)
    if sum(extra.values()) <= allowed:
        return []
    what = ", ".join(f"{role[key]} {n} times too often" for key, n in extra.items())
    return [f"asked again without need ({what}); {allowed} attempts broke off"]


def _cost(job: Row, part: Evidence, served: Sequence[Served], probes: set[tuple[int, int]]) -> list[str]:
    """What is booked is what was served: nothing of it twice, and missing only what was in flight when an attempt
    broke off. Calls that the server cut short told no count: theirs is an estimate, and not compared.

    probes: what trying whether the model sees costs; that is booked with whichever job tried it.
    """
    found = []
    total = sum(c["prompt"] + c["completion"] for c in part.calls)
    if job["spent"] != total:
        found.append(f"{job['spent']} tokens are shown as spent, {total} by its calls")
    booked = Counter((c["role"], c["prompt"], c["completion"]) for c in part.calls if not c["estimated"])
    given = Counter((s.role, s.prompt, s.completion) for s in served if s.prompt)
    for (role, prompt, completion), n in (booked - given).items():
        if role != "selector" or (prompt, completion) not in probes:
            found.append(f"{n} calls of the {role} with {prompt} + {completion} tokens are booked and were not served")
    lost = sum((given - booked).values())
    if lost > (allowed := broken(part.events)):
        found.append(f"{lost} calls were served and not booked; {allowed} attempts broke off")
    return found


def _aside(job: Row, max_crashes: int) -> list[str]:
    if job["state"] not in ("set_aside", "failed"):
        return []
    found = [] if job["error"].strip() else [f"is {job['state']} and does not say why"]
    if job["state"] == "set_aside" and (job["crashes"] != max_crashes and job["losses"] != LOSSES):
        found.append(f"was set aside after {job['crashes']} crashes, not {max_crashes}, and {job['losses']} losses")
    return found


def _same(job: Row, events: Sequence[Row], undisturbed: Undisturbed, late: bool, garbled: bool) -> list[str]:
    found = []
    if text_of(events) != undisturbed.text:
        found.append(f"watchers saw another text: {_difference(text_of(events), undisturbed.text)}")
    told, wanted = json.dumps(story_of(events)), json.dumps(undisturbed.story)
    if told != wanted:
        found.append(f"another story is told: {_difference(told, wanted)}")
    article, wanted_article = comparable(job["article"]), undisturbed.article
    if garbled:  # an answer that could not be read is kept in the record, before the one that could
        article, wanted_article = without_answers(article), without_answers(wanted_article)
    for name in wanted_article:
        here, there = json.dumps(article.get(name)), json.dumps(wanted_article[name])
        if here != there:
            found.append(f"the article has another {name}: {_difference(here, there)}")
    images = [i["image_id"] for i in article["illustrations"]]
    spots = [s["spot"]["id"] for s in article["selections"]]
    for what, ids in (("image", images), ("spot", spots)):
        if len(set(ids)) < len(ids):
            found.append(f"the article has an {what} twice".replace("an spot", "a spot"))
    tokens = job["article"]["made_with"]["tokens"].values()
    counted = sum(t["prompt"] + t["completion"] for t in tokens)
    if counted > job["spent"] or (counted < job["spent"] and not late):
        found.append(f"the article counts {counted} tokens, the job {job['spent']}")
    return found


def _difference(here: str, there: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    return f"{here[max(0, at - 30) : at + 50]!r} for {there[max(0, at - 30) : at + 50]!r}"
