"""One trace leads from the POST of an event to the first list that shows it; without a tracer there is none."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from service import wiring
from service.adapters.otel_tracer import OtelTracer
from service.core.log_records import Columns, LogRecords, pack_event
from service.core.types import Event
from service.settings import load_settings
from service.tracing import MOST_LINKS, Followed, traced, well_formed
from tests.http.conftest import Start
from tests.http.running import DEADLINE, Running, event

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, IGNORED = (f"00-{TRACE}-b7ad6b7169203331-{flags}" for flags in ("01", "00"))


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def service(start: Start, spans: InMemorySpanExporter) -> Iterator[Running]:
    """Traces what callers want traced."""

    def in_memory(*_: object) -> OtelTracer:
        provider = TracerProvider(ParentBased(TraceIdRatioBased(0.0)), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(spans))
        return OtelTracer(provider)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "open_tracer", in_memory)
        with start() as running:
            patch.undo()
            yield running


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """The span of that name, once it has ended."""
    deadline = time.monotonic() + DEADLINE
    while not (found := [span for span in spans.get_finished_spans() if span.name == name]):
        assert time.monotonic() < deadline, [span.name for span in spans.get_finished_spans()]
        time.sleep(0.01)
    return found[-1]


def above(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def own(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_an_event_is_followed_from_its_post_to_the_first_list_that_shows_it(
    service: Running, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    posted = service.http.post("/v1/events?wait=applied", json=event("eve-lyn"), headers={"traceparent": SAMPLED})
    assert posted.json()["applied"]
    service.recommend("nobody else")
    service.recommend("eve-lyn")
    service.recommend("eve-lyn")
    post = named(spans, "POST /v1/events")
    commit, follows, first = (named(spans, name) for name in ("commit", "replica follows", "first list"))
    path = [post, commit, follows, first]
    assert {span.context.trace_id for span in path if span.context} == {int(TRACE, 16)}
    assert above(post) == int(SAMPLED.split("-")[2], 16)
    assert [above(span) for span in path[1:]] == [own(span) for span in path[:-1]]
    assert [link.context.span_id for link in commit.links] == [own(post)]
    assert len([span for span in spans.get_finished_spans() if span.name == "first list"]) == 1
    assert posted.headers["traceparent"] == f"00-{TRACE}-{own(post):016x}-01"
    assert post.attributes
    assert post.attributes["http.response.status_code"] == 200
    assert post.attributes["peregrine.request_id"] == posted.headers["x-request-id"]
    assert "lyn" not in str([span.to_json() for span in spans.get_finished_spans()])


def test_the_first_list_is_linked_to_its_request(service: Running, spans: InMemorySpanExporter) -> None:
    service.http.post("/v1/events?wait=applied", json=event("lin"), headers={"traceparent": SAMPLED})
    other = "00-11111111111111111111111111111111-2222222222222222-01"
    service.http.get("/v1/users/lin/recommendations", headers={"traceparent": other}).raise_for_status()
    request = named(spans, "GET /v1/users/{user_id:path}/recommendations")
    assert [link.context.span_id for link in named(spans, "first list").links] == [own(request)]


def test_what_is_not_sampled_leaves_nothing_in_the_log(service: Running, spans: InMemorySpanExporter) -> None:
    spans.clear()
    for headers in ({}, {"traceparent": IGNORED}, {"traceparent": "00-nonsense"}):
        answer = service.http.post("/v1/events?wait=applied", json=event("una"), headers=headers)
        assert not int(answer.headers["traceparent"][-2:], 16) & 1
    assert service.http.get("/readyz", headers={"traceparent": SAMPLED}).headers["traceparent"] == SAMPLED
    lines = service.http.get("/v1/users/una/export").text
    assert "traceparent" not in lines
    assert spans.get_finished_spans() == ()


def test_a_callers_own_word_is_no_trace() -> None:
    def packed(extra: bytes) -> bytes:
        return pack_event(Event("e", "u", "i", "view", 1, 0.0, extra))

    good = f'{{"traceparent":"{SAMPLED}"}}'.encode()
    rest = [
        f'{{"properties":{{"traceparent":"{SAMPLED}"}}}}'.encode(),
        b'{"traceparent":"x"}',
        b'{"traceparent":7}',
        b"",
    ]
    payloads = [packed(extra) for extra in (*rest, good)]
    columns = Columns(LogRecords.of(list(range(1, 6)), [1] * 5, payloads))
    assert traced(columns, range(5)) == [(5, SAMPLED)]
    many = Columns(LogRecords.of(list(range(1, 301)), [1] * 300, [packed(good)] * 300))
    assert len(traced(many, range(300))) == MOST_LINKS
    assert well_formed(SAMPLED) == SAMPLED
    for wrong in (None, "", SAMPLED + "\n", SAMPLED.replace(TRACE, "0" * 32), SAMPLED.upper()):
        assert well_formed(wrong) is None


def test_traces_that_no_list_ends_are_given_up(spans: InMemorySpanExporter) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    followed = Followed(OtelTracer(provider))
    spans.clear()
    for offset in range(2_000):
        followed.applied(f"{SAMPLED} {offset}")
    followed.applied("nonsense")
    followed.listed(3, None)
    followed.listed(1_999, None)
    followed.listed(1_999, None)
    assert len([span for span in spans.get_finished_spans() if span.name == "first list"]) == 1


def test_without_a_tracer_a_callers_trace_is_named_in_answer_and_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with start() as plain:
        assert plain.services.tracer is None
        assert plain.services.replica.followed is None
        answer = plain.http.post("/v1/events?wait=applied", json=event("pia"), headers={"traceparent": SAMPLED})
        assert answer.headers["traceparent"] == SAMPLED
        assert "traceparent" not in plain.http.get("/v1/users/pia/export").text
        assert "traceparent" not in plain.http.get("/version").headers


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OTLP endpoint, and what was sent to it."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", got
        finally:
            server.shutdown()
            thread.join()


def test_spans_reach_a_collector_when_the_process_ends() -> None:
    with collector() as (url, got):
        tracer = wiring.open_tracer(load_settings(traces_url=url, traces_share=1.0), "api")
        assert tracer is not None
        tracer.begin("POST", kind="server").end("POST /v1/events")
        tracer.begin("POST").end(error="it failed")
        tracer.close()
    spans = [span for request in got for part in request.resource_spans[0].scope_spans for span in part.spans]
    assert [span.name for span in spans] == ["POST /v1/events", "POST"]
    attributes = {one.key: one.value.string_value for one in got[0].resource_spans[0].resource.attributes}
    assert attributes["service.name"] == "peregrine"
    assert re.fullmatch(r"api:.+:\d+", attributes["service.instance.id"])


def test_a_collector_that_is_away_delays_the_end_by_seconds() -> None:
    tracer = wiring.open_tracer(load_settings(traces_url="http://127.0.0.1:9/v1/traces", traces_share=1.0), "api")
    assert tracer is not None
    tracer.begin("POST").end()
    began = time.monotonic()
    tracer.close()
    assert time.monotonic() - began < 10.0
