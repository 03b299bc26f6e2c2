"""A job's progress: its step, the time so far, and an estimate of the time left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from limner.jobs.ledger import Event, Job, Ledger
from limner.text import dollars

STEPS = ("write", "spot", "retrieve", "select", "arrange")
_DOING = {
    "write": "writing",
    "spot": "finding places for images",
    "retrieve": "searching the library",
    "select": "choosing images",
    "arrange": "arranging",
    "check": "checking images",
    "generate": "generating images",
    "outline": "outlining",
    "revise": "following an instruction",
}
_AFTER = {
    "review_draft": "spot",
    "review_spots": "retrieve",
    "review_images": "",
    "review_final": "",
    "revise": "",
    "generate": "",
    "check": "",
}
"""The step that follows each optional step; "" if none that takes long follows."""


def progress(job: Job, stuck: float) -> str:
    """One line: the step, its finished parts, the time; for a job that does not move, the reason.

    stuck: seconds without an event after which a running job counts as stuck.
    """
    if job.state == "running":
        of = f" {job.done} of {job.of}" if job.of else ""
        line = f"{_DOING.get(job.step, job.step) or 'starting'}{of}, {duration(job.elapsed)}, {_spent(job)}"
        silent = f"; stuck? nothing heard for {duration(job.now - job.last_event)}" if job.stuck(stuck) else ""
        return line + silent
    if job.state == "parked" and job.not_before is not None:
        return f"resumes in {duration(max(0.0, job.not_before - job.now))}: {job.error}"
    if job.state == "waiting":
        silent = duration(job.now - job.last_event)
        return f"has waited {silent} for {_about(job.question)}: limner jobs answer {job.id}"
    if job.state == "queued":
        again = f", {job.attempt} attempts so far" if job.attempt else ""
        return f"has waited {duration(job.now - job.created)}{again}"
    if job.state == "done":
        return f"took {duration(job.elapsed)}, {_spent(job)}"
    return job.error


def _spent(job: Job) -> str:
    """Tokens, and money if there is a price."""
    return f"{job.spent:,} tokens" + (f", {dollars(job.cost)}" if job.cost else "")


def _about(question: Any) -> str:
    """The question of a waiting job, in a few words."""
    value = question[0].get("value") if isinstance(question, list) and question else None
    point = value.get("point") if isinstance(value, dict) else None
    return f"a review of the {point}" if isinstance(point, str) else "a person"


def means(ledger: Ledger) -> dict[str, float]:
    """Mean seconds of each step over all jobs so far; "select" counts per spot."""
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for name, labels, value in ledger.tallies():
        if name == "step_seconds_sum":
            sums[labels["step"]] = sums.get(labels["step"], 0.0) + value
        elif name == "step_seconds_bucket":
            counts[labels["step"]] = counts.get(labels["step"], 0.0) + value
    return {step: sums[step] / n for step, n in counts.items() if n and step in sums}


def remaining(job: Job, means: dict[str, float]) -> float | None:
    """Estimated seconds left for a running job, from the means of others; None without data or if it does not run."""
    if job.state != "running" or any(step not in means for step in STEPS):
        return None
    step = _AFTER.get(job.step, job.step)
    if not step and job.step:
        return None
    at = STEPS.index(step) if step in STEPS else 0
    spots = job.of if job.step in ("spot", "retrieve", "select") and job.of else 6
    left = 0.0
    for n, step in enumerate(STEPS):
        parts = spots if step == "select" else 1
        if n > at:
            left += means[step] * parts
        elif n == at:
            done = job.done if step == "select" else 0
            left += means[step] * max(0, parts - done)
    begun = job.now - job.last_event  # time already spent on the current part
    return max(0.0, left - begun)


def describe(job: Job, ledger: Ledger, stuck: float) -> list[str]:
    """The lines of `limner jobs show`."""
    lines = [job.id, f"  {job.title}", f"  {job.state.replace('_', ' ')}: {progress(job, stuck)}"]
    left = remaining(job, means(ledger))
    if left is not None:
        lines.append(f"  about {duration(left)} to go")
    lines.append(f"  owner {job.owner}, queue {job.queue}, attempt {job.attempt}")
    for role, usage in sorted(ledger.usage(job.id).items()):
        guess = " (estimated)" if usage.estimated else ""
        cost = f", {dollars(usage.cost)}" if usage.cost else ""
        lines.append(f"  {role}: {usage.calls} calls, {usage.prompt:,} + {usage.completion:,} tokens{guess}{cost}")
    if job.webhook_state:
        lines.append(f"  webhook {job.webhook_state}{': ' if job.webhook_error else ''}{job.webhook_error}")
    return lines


def event_line(event: Event) -> str:
    """An event as a line of a log."""
    at = datetime.fromtimestamp(event.at, UTC).strftime("%H:%M:%S")
    fields = {k: v for k, v in event.data.items() if k not in ("text", "done", "of", "question")}
    if "question" in event.data:
        fields["asks"] = _about(event.data["question"])
    of = f" {event.data['done']} of {event.data['of']}" if event.data.get("of") else ""
    more = " ".join(f"{k}={v}" for k, v in fields.items())
    note = f" {event.data['text']}" if event.kind == "note" else ""
    return " ".join(f"{event.seq:>4} {at} {event.kind} {event.step}{of}{note} {more}".split(" ")).rstrip()


def duration(seconds: float) -> str:
    """ "4 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
