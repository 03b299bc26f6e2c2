"""The ledger's counters as Prometheus reads them.

Each count is part of the database transaction that it counts, so counters survive restarts and any API process can
serve all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from limner.jobs.ledger import BUCKETS, Ledger

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "jobs_submitted": "Jobs accepted.",
    "jobs_ended": "Jobs that ended, by their end.",
    "attempts": "Attempts at jobs.",
    "retries": "Times that a job was parked.",
    "sweeps": "Jobs taken back from a worker that died or fell silent.",
    "model_calls": "Model calls that were charged.",
    "model_tokens": "Tokens of models; prompts include cached ones.",
    "webhooks": "Webhook deliveries, by result.",
}
WORKERS_SEEN = 60  # seconds


def exposition(ledger: Ledger, watchers: int) -> bytes:
    """The text for the scraper. Raises LedgerError."""
    registry = CollectorRegistry()
    registry.register(_Given([*_counters(ledger.tallies()), *_gauges(ledger, watchers)]))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def _counters(tallies: Iterable[tuple[str, dict[str, str], float]]) -> Iterable[Metric]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for name, labels, value in tallies:
        by_name[name].append((labels, value))
    yield _histogram(by_name.pop("step_seconds_bucket", []), by_name.pop("step_seconds_sum", []))
    for name, rows in sorted(by_name.items()):
        keys = sorted(rows[0][0])
        family = CounterMetricFamily(f"limner_{name}", HELP.get(name, name.replace("_", " ")), labels=keys)
        for labels, value in rows:
            family.add_metric([labels[key] for key in keys], value)
        yield family


def _histogram(buckets: Iterable[tuple[dict[str, str], float]], sums: Iterable[tuple[dict[str, str], float]]) -> Metric:
    counted: dict[str, Mapping[str, float]] = defaultdict(dict)
    for labels, value in buckets:
        counted[labels["step"]] = {**counted[labels["step"]], labels["le"]: value}
    family = HistogramMetricFamily(
        "limner_step_seconds", "Seconds of each step: select per spot, job in total.", labels=["step"]
    )
    for labels, total in sums:
        rising, below = [], 0.0
        for bound in [*map(str, BUCKETS), "+Inf"]:  # the ledger counts each bucket separately
            below += counted[labels["step"]].get(bound, 0.0)
            rising.append((bound, below))
        family.add_metric([labels["step"]], rising, total)
    return family


def _gauges(ledger: Ledger, watchers: int) -> Iterable[Metric]:
    jobs = GaugeMetricFamily("limner_jobs", "Jobs by queue and state.", labels=["queue", "state"])
    for queue, state, count in ledger.counts():
        jobs.add_metric([queue, state], count)
    yield jobs
    yield GaugeMetricFamily("limner_workers", "Workers seen within a minute.", len(ledger.workers(WORKERS_SEEN)))
    yield GaugeMetricFamily("limner_watchers", "Event streams open in this process.", watchers)
