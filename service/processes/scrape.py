"""/metrics and /livez of the processes that are no API, on a port of their own, if one is set.

/livez asks no store; /metrics follows the rules of the API's. Few callers at once, and none for long.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

import structlog
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.datastructures import Headers

from service.api.gate import Gate
from service.meter import OUTCOMES, Meter
from service.processes.listening import listen
from service.settings import Settings
from service.wiring_gate import gate_of

log = structlog.get_logger("peregrine.scrape")

_MOST = 8  # connections at once
_SECONDS = 5.0  # for which one may be silent
_PROCESS = ProcessCollector(registry=None)


@dataclass(frozen=True)
class Kind:
    """What a kind of process exports, beside its processor time and memory. stages: what the time of a stage is of;
    levels, sums: what each is."""

    name: str
    stages: str = ""
    commits: bool = False
    levels: Mapping[str, str] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)


WORKER = Kind(
    "worker",
    "Seconds of a step's stages: read (of full batches), load (records of users and items), apply (the state process), "
    "wait (for the commit before), commit (the store's answer).",
    True,
    {
        "worker_leads": "1 if this worker writes the state, 0 if it stands by.",
        "worker_offset": "Offset of this worker's last commit.",
    },
    {"applied_records": "Log records that this worker has committed."},
)
KEEPER = Kind(
    "keeper",
    "Seconds of a turn's stages: archive (copy, and trim the log), tidy (old states), erase.",
    False,
    {
        "keeper_leads": "1 if this keeper keeps, 0 if it stands by.",
        "archive_offset": "Offset up to which records are in the archive.",
        "log_begin_offset": "Offset of the log's oldest record.",
    },
    {"keeper_failures": "Turns that a store broke off."},
)
PROFILER = Kind("profiler")


@dataclass(frozen=True)
class Measured:
    """What one process exports."""

    kind: Kind
    meter: Meter

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for them."""
        kind, meter = self.kind, self.meter
        if kind.stages:
            stages = HistogramMetricFamily(f"peregrine_{kind.name}_stage_seconds", kind.stages, labels=["stage"])
            for stage, histogram in sorted(meter.stages.items()):
                stages.add_metric([stage], histogram.buckets(), histogram.total)
            yield stages
        if kind.commits:
            commits = CounterMetricFamily("peregrine_commits", "Commits by what became of them.", labels=["outcome"])
            for outcome in OUTCOMES:
                commits.add_metric([outcome], meter.commits[outcome])
            yield commits
        for name, says in kind.levels.items():
            yield GaugeMetricFamily(f"peregrine_{name}", says, meter.levels.get(name, 0))
        for name, says in kind.sums.items():
            yield CounterMetricFamily(f"peregrine_{name}", says, meter.sums[name])
        yield from _PROCESS.collect()


@contextmanager
def scraped(settings: Settings, kind: Kind, meter: Meter) -> Iterator[int | None]:
    """Answers for the time of the block, at the port that it yields, if the settings name one.

    Raises ConfigurationError.
    """
    if settings.metrics_port is None:
        yield None
        return
    settings.check_exposure()
    with listen(settings.host, settings.metrics_port, port_of="METRICS_") as listener:
        server = _Server(listener, gate_of(settings), Measured(kind, meter))
        thread = Thread(target=server.serve_forever, args=(0.1,), daemon=True, name="scrape")
        thread.start()
        port = int(listener.getsockname()[1])
        log.info("metrics_listen", host=settings.host, port=port)
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, gate: Gate, measured: Measured) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.gate = gate
        self.measured = measured
        self._room = BoundedSemaphore(_MOST)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("scrape_broken_off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        visit = self.server.gate.visit("GET", path, Headers(dict(self.headers.items())))
        if visit.refusal:
            self._answer(visit.refusal.status, visit.refusal.detail.encode(), "text/plain", visit.refusal.headers)
        elif path == "/livez":
            self._answer(200, json.dumps({"status": "alive"}).encode(), "application/json")
        elif path == "/metrics":
            self._answer(200, generate_latest(self.server.measured), CONTENT_TYPE_PLAIN_0_0_4)
        else:
            self._answer(404, b"there are /metrics and /livez", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an orchestrator asks every few seconds."""
