"""Spans over OTLP/HTTP: the part of `observe` that needs OpenTelemetry (`limner[otel]`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


@contextmanager
def span(tracer: Tracer, name: str, attributes: Mapping[str, Any], parent: Context | None) -> Iterator[Span]:
    """A span around the body. An exception's message may contain a model's text, so only its type is recorded."""
    with tracer.start_as_current_span(
        name, parent, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except BaseException as e:
            begun.set_status(StatusCode.ERROR, type(e).__name__)
            begun.set_attribute("error.type", type(e).__name__)
            raise


def read_trace(trace: str | None) -> Context | None:
    """The context of a W3C traceparent; None for an invalid one."""
    found = TraceContextTextMapPropagator().extract({"traceparent": trace or ""}, Context())
    return found if get_current_span(found).get_span_context().is_valid else None


def trace_of(job: str) -> Context:
    """A context whose trace and span derive from a job's id."""
    digest = hashlib.sha256(job.encode()).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def new_provider(endpoint: str) -> TracerProvider:
    """Exports spans to an OTLP/HTTP endpoint, in batches from a thread of its own."""
    resource = Resource.create()  # from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, if they are set
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "limner"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    return provider
