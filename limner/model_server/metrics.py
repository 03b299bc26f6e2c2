"""Prometheus figures under TGI's names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_TOKENS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class Metrics:
    """One server's figures, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, registry=self.registry, buckets=buckets)

        # Counters, declared as gauges because the client library would rename a counter to ..._total.
        self.requests = Gauge("tgi_request_count", "Requests", registry=self.registry)
        self.successes = Gauge("tgi_request_success", "Requests that got a whole answer", registry=self.registry)
        self.failures = Gauge("tgi_request_failure", "Requests that did not", ["err"], registry=self.registry)
        self.queue = Gauge("tgi_queue_size", "Requests that wait for the engine", registry=self.registry)
        self.batch = Gauge("tgi_batch_current_size", "Answers being decoded", registry=self.registry)
        self.duration = histogram("tgi_request_duration", "Seconds, all in all", _SECONDS)
        self.queue_duration = histogram("tgi_request_queue_duration", "Seconds in the queue", _SECONDS)
        self.inference_duration = histogram("tgi_request_inference_duration", "Seconds at work", _SECONDS)
        self.input_length = histogram("tgi_request_input_length", "Tokens of prompts, image rows included", _TOKENS)
        self.generated = histogram("tgi_request_generated_tokens", "Tokens of answers", _TOKENS)

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self.registry)
