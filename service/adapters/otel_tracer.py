"""Traces by OpenTelemetry (extra `otel`), sent by OTLP over HTTP from a thread; what does not fit is lost."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from service.tracing import Kind

_KINDS = {"server": trace.SpanKind.SERVER, "internal": trace.SpanKind.INTERNAL}
_SECONDS = 3.0
"""That a collector may take."""


class OtelSpan:
    """`Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def context(self) -> str:
        found = self._span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    @property
    def sampled(self) -> bool:
        return self._span.get_span_context().trace_flags.sampled

    def end(self, name: str = "", error: str = "", **attributes: str | int) -> None:
        if name:
            self._span.update_name(name)
        self._span.set_attributes(attributes)
        if error:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end()


class OtelTracer:
    """`Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("peregrine")

    def begin(
        self, name: str, parent: str | None = None, links: Sequence[str] = (), kind: Kind = "internal"
    ) -> OtelSpan:
        above = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(_context(parent))
        )
        beside = [trace.Link(_context(link)) for link in links]
        return OtelSpan(self._tracer.start_span(name, above, _KINDS[kind], links=beside))

    def close(self) -> None:
        self._provider.shutdown()


def exporting(url: str, share: float, process: str) -> OtelTracer:
    """Sends to `url` a `share` of the traces that begin here, and those that callers want. process: its name there."""
    resource = Resource.create({"service.name": "peregrine", "service.instance.id": process})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=_SECONDS)))
    return OtelTracer(provider)


def _context(traceparent: str) -> trace.SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(int(flags, 16)))
