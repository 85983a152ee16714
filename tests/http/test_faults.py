"""Valkey down at the start and in mid-flight: the process lives, says so, degrades, and recovers by itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from service.embedded import EmbeddedValkey
from service.settings import Settings, load_settings
from tests.http.running import DEADLINE, Running, assert_problem, event, toy_bundle


def settings_for(folder: Path) -> Settings:
    stores = EmbeddedValkey(folder)
    with stores:  # once, to learn where its sockets are
        log_url, state_url = stores.log_url, stores.state_url
    return load_settings(log_url=log_url, state_url=state_url, clock="event")


def test_the_service_starts_without_stores_and_recovers_when_they_come(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with Running(settings, toy_bundle(), ready=False) as service:
        time.sleep(0.3)
        assert service.http.get("/livez").json() == {"status": "alive"}
        assert service.http.get("/version").json()["model"] == "toy-1"
        body = assert_problem(service.http.get("/readyz"), 503)
        assert len(body["reasons"]) == 2  # state and log, each by its address
        answer = service.http.post("/v1/events", json=event())
        assert_problem(answer, 503)
        assert answer.headers["retry-after"]
        assert_problem(service.http.get("/v1/users/ann"), 503)
        assert_problem(service.http.put("/v1/items/a", json={}), 503)
        lost = service.recommend("ann")
        assert (lost["items"], lost["strategy"], lost["degraded"]) == ([], "fallback", ["items"])
        with EmbeddedValkey(tmp_path):
            service.until_ready()
            service.applied(event("ann", "a"))
            assert service.recommend("ann")["state"]["events_seen"] == 1


def test_what_was_accepted_outlives_stores_that_go_and_come_back(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    stores = EmbeddedValkey(tmp_path)
    with stores:
        service = Running(settings, toy_bundle())
        service.__enter__()
        service.applied([event("ann", "a", event_id=f"first-{i}") for i in range(5)])
    try:
        fallback = service.recommend("ann")
        assert (fallback["strategy"], [item["item_id"] for item in fallback["items"]]) == ("fallback", ["a"])
        assert fallback["state"]["stale"] is True
        assert_problem(service.http.post("/v1/events", json=event("ann", "b", event_id="lost")), 503)
        assert_problem(service.http.get("/readyz"), 503)
        with EmbeddedValkey(tmp_path):
            service.until_ready()
            again = service.applied([event("ann", "a", event_id="first-4"), event("ann", "b", event_id="lost")])
            assert (again["accepted"], again["duplicates"]) == (1, 1)
            assert service.http.get("/v1/users/ann").json()["events"] == 6
    finally:
        service.__exit__(None, None, None)


def test_a_state_store_that_hangs_costs_its_timeout_and_not_more(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as stores:
        settings = load_settings(log_url=stores.log_url, state_url=stores.state_url, clock="event")
        with Running(settings, toy_bundle()) as service:
            service.applied(event("ann", "a"))
            pid = int((tmp_path / "state.pid").read_text().split()[0])
            os.kill(pid, signal.SIGSTOP)
            try:
                started = time.perf_counter()
                found = service.recommend("ann")
                seconds = time.perf_counter() - started
                accepted = service.post(event("ann", "b"))
            finally:
                os.kill(pid, signal.SIGCONT)
            assert (found["strategy"], found["degraded"]) == ("fallback", ["state"])
            assert seconds < 2 * settings.state_timeout + 0.2
            assert accepted["accepted"] == 1  # the log is another server
            deadline = time.monotonic() + DEADLINE
            while service.recommend("ann")["state"]["events_seen"] < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)


@pytest.mark.parametrize("missing", ["state", "log"])
def test_readyz_names_the_store_that_is_missing(tmp_path: Path, missing: str) -> None:
    with EmbeddedValkey(tmp_path) as stores:
        urls = {"log_url": stores.log_url, "state_url": stores.state_url}
        urls[f"{missing}_url"] = f"unix://{tmp_path}/nobody.sock"
        with Running(load_settings(**urls, clock="event"), toy_bundle(), worker=False, ready=False) as service:
            time.sleep(0.3)
            body = assert_problem(service.http.get("/readyz"), 503)
            assert len(body["reasons"]) == 1
            assert "nobody.sock" in body["reasons"][0]
