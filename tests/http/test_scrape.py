"""Worker, keeper and profiler: scraped at a port of their own, alive without a store, stopped within their time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.core.histogram import BOUNDS
from service.embedded import EmbeddedValkey
from service.errors import ConfigurationError, Fenced, StoreFull, StoreUnavailable
from service.meter import Meter
from service.processes.scrape import KEEPER, PROFILER, WORKER, scraped
from service.settings import load_settings
from tests.http.conftest import Start
from tests.http.running import DEADLINE, event
from tests.spawned import spawned

Samples = dict[tuple[str, ...], float]
STOP_SECONDS = 30.0
"""What an orchestrator gives a process after SIGTERM."""


def samples(text: str) -> Samples:
    return {
        (
            sample.name.removeprefix("peregrine_"),
            *(sample.labels[label] for label in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_tells_what_it_does(start: Start) -> None:
    with start(batch_size=2) as service:
        assert service.worker
        with scraped(load_settings(metrics_port=0), WORKER, service.worker.meter) as port:
            for item in "abc":
                service.applied([event(item=item), event(item=item)])
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    found = samples(answer.text)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert found["applied_records_total",] == found["worker_offset",] == 6
    assert found["worker_leads",] == 1
    assert found["commits_total", "committed"] >= 3
    assert found["commits_total", "fenced"] == 0
    for stage in ("read", "load", "apply", "commit"):
        assert found["worker_stage_seconds_count", stage] >= 3, stage
    assert found["process_resident_memory_bytes",] > 10_000_000


def test_commits_are_counted_by_what_became_of_them() -> None:
    meter = Meter()
    with meter.commit():
        pass
    for error in (Fenced("f"), StoreFull("s"), StoreUnavailable("u"), ValueError("v")):
        with pytest.raises(type(error)), meter.commit():
            raise error
    assert meter.commits == {"committed": 1, "fenced": 1, "full": 1, "unavailable": 1, "failed": 1}
    assert sum(meter.stages["commit"].counts) == 5
    assert len(meter.stages["commit"].counts) == len(BOUNDS) + 1


def test_who_is_scraped_from_outside_wants_a_key() -> None:
    guarded = load_settings(metrics_port=0, api_key="s3cret")
    with scraped(guarded, PROFILER, Meter()) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        assert http.get("/livez").json() == {"status": "alive"}
        assert http.get("/metrics").status_code == 401
        assert http.get("/elsewhere").status_code == 401
        assert "process_cpu_seconds" in http.get("/metrics", headers={"x-api-key": "s3cret"}).text
        assert http.get("/elsewhere", headers={"x-api-key": "s3cret"}).status_code == 404
        assert http.post("/metrics").status_code == 501
    exposed = load_settings(metrics_port=0, host="0.0.0.0")  # noqa: S104 - refused
    with pytest.raises(ConfigurationError, match="PEREGRINE_KEYS_FILE"), scraped(exposed, PROFILER, Meter()):
        pass


def test_few_are_answered_at_once_and_the_next_one_is_told_so() -> None:
    with scraped(load_settings(metrics_port=0), KEEPER, Meter()) as port, ExitStack() as silent:
        for _ in range(8):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/livez", timeout=DEADLINE)


def test_a_silent_caller_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.processes.scrape._Handler.timeout", 0.1)
    with scraped(load_settings(metrics_port=0), KEEPER, Meter()) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as silent:
            assert silent.recv(1) == b""
        assert httpx.get(f"http://127.0.0.1:{port}/livez", timeout=DEADLINE).is_success


def test_a_port_that_is_taken_is_a_clear_error_and_no_port_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(metrics_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="PEREGRINE_METRICS_PORT="), scraped(settings, WORKER, Meter()):
            pass
    with scraped(load_settings(), WORKER, Meter()) as port:
        assert port is None


@contextmanager
def process(name: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of that name, and where it is scraped."""
    values = {"log_format": "json", "metrics_port": "0", "embed_text": "off"} | settings
    given = {f"PEREGRINE_{name.upper()}": value for name, value in values.items()}
    with spawned("-m", "service.processes.child", name, env=os.environ | given) as started:
        assert started.stderr
        line = next(line for line in started.stderr if "metrics_listen" in line)
        yield started, f"http://127.0.0.1:{json.loads(line)['port']}"


@pytest.mark.parametrize("name", ["worker", "keeper"])
def test_a_process_lives_without_its_stores_and_stops_in_time(name: str) -> None:
    nowhere = {"state_url": "redis://127.0.0.1:1", "log_url": "redis://127.0.0.1:1"}
    with process(name, **nowhere) as (started, url):
        assert httpx.get(f"{url}/livez").is_success
        assert samples(httpx.get(f"{url}/metrics").text)[f"{name}_leads",] == 0
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        assert started.wait(STOP_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS


def test_a_worker_that_is_told_to_stop_commits_and_gives_its_lease_back(valkey: EmbeddedValkey, start: Start) -> None:
    prefix = f"stop-{uuid4().hex}"
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": prefix, "clock": "event"}
    with start(worker=False, prefix=prefix) as api:
        api.post([event(item=str(n)) for n in range(1_000)])
        with process("worker", **stores, lease_seconds="60") as (started, url):
            deadline = time.monotonic() + DEADLINE
            while not samples(httpx.get(f"{url}/metrics").text)["applied_records_total",]:
                assert time.monotonic() < deadline
            api.post([event(item=str(n)) for n in range(1_000)])
            started.send_signal(signal.SIGTERM)
            assert started.wait(STOP_SECONDS) == 0
    with start(prefix=prefix, lease_seconds=60.0) as next_one:  # else it would wait for a minute for the lease
        assert next_one.applied([event()])["offset"] == 2_001
