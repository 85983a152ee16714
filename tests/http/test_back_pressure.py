"""Too much waits to be applied, or a store is nearly full: writes are refused whole and say why, lists go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.http.conftest import Start
from tests.http.running import DEADLINE, Running, assert_problem, event, toy_bundle

LIMIT = 5


def writes(service: Running) -> list[httpx.Response]:
    """One of every request that appends to the log."""
    return [
        service.http.post("/v1/events", json=[event(event_id="late-1"), event(event_id="late-2")]),
        service.http.put("/v1/items/a", json={"title": "A"}),
        service.http.post("/v1/items/bulk", json=[{"item_id": "a"}, {"item_id": "b"}]),
    ]


def assert_refused(answer: httpx.Response) -> dict[str, Any]:
    body = assert_problem(answer, 503)
    assert (body["type"], body["title"]) == ("urn:peregrine:problem:back-pressure", "Back-Pressure")
    return body


def test_above_the_lag_limit_every_write_is_refused_whole_and_names_lag_and_limit(start: Start) -> None:
    with start(worker=False, max_lag=LIMIT) as service:
        service.post([event(event_id=f"early-{n}") for n in range(LIMIT + 1)])
        for answer in writes(service):
            body = assert_refused(answer)
            assert (body["lag"], body["limit"]) == (LIMIT + 1, LIMIT)
            assert "6 records wait" in body["detail"]
            assert answer.headers["retry-after"] == "1"
        assert service.http.get("/readyz").json()["log_end"] == LIMIT + 1


def test_lists_and_readiness_go_on_and_readyz_says_what_is_refused(start: Start) -> None:
    with start(worker=False, max_lag=LIMIT) as service:
        assert service.http.get("/readyz").json()["refusing"] is None
        service.post([event() for _ in range(LIMIT + 1)])
        assert service.recommend("ann")["strategy"] == "model"
        ready = service.http.get("/readyz")
        assert ready.status_code == httpx.codes.OK
        assert ready.json()["refusing"] == "6 records wait to be applied, above the limit of 5"


def test_a_worker_that_catches_up_lets_the_refused_in_as_if_new(start: Start) -> None:
    with start(worker=False, max_lag=LIMIT) as stalled:
        stalled.post([event("bo", "a", event_id=f"e-{n}") for n in range(LIMIT + 1)])
        assert_refused(stalled.http.post("/v1/events", json=event("bo", "a", event_id="refused")))
        with Running(stalled.settings, toy_bundle()) as service:  # a worker at last
            body = until_taken(service, event("bo", "a", event_id="refused"))
            assert (body["accepted"], body["duplicates"]) == (1, 0)
            service.applied(event("bo", "a", event_id="last"))
            assert service.http.get("/v1/users/bo").json()["events"] == LIMIT + 3


def until_taken(service: Running, body: Any) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE
    while (answer := service.http.post("/v1/events", json=body)).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("role", ["log", "state"])
def test_a_store_that_is_nearly_full_refuses_writes_until_it_has_room_again(
    tmp_path: Path, server_binary: Path | None, role: str
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as stores, redis.Redis.from_url(getattr(stores, f"{role}_url")) as raw:
        settings = load_settings(log_url=stores.log_url, state_url=stores.state_url, clock="event")
        with Running(settings, toy_bundle()) as service:
            service.applied(event("ann", "a"))
            raw.setrange("ballast", 20_000_000, "x")  # so that connections and the like do not count
            raw.config_set("maxmemory", int(raw.info("memory")["used_memory"] / 0.97))
            deadline = time.monotonic() + DEADLINE
            while (answer := service.http.post("/v1/events", json=event("ann", "b"))).is_success:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert f"the memory of the {role} store is 9" in assert_refused(answer)["detail"]
            assert answer.headers["retry-after"] == "10"
            assert "store is 9" in service.http.get("/readyz").json()["refusing"]
            assert service.recommend("ann")["strategy"] == "model"
            raw.delete("ballast")
            until_taken(service, event("ann", "c"))


def test_a_log_without_any_room_is_refused_as_back_pressure_too(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as stores, redis.Redis.from_url(stores.log_url) as raw:
        settings = load_settings(log_url=stores.log_url, state_url=stores.state_url, clock="event")
        with Running(settings, toy_bundle(), worker=False) as service:
            service.post(event())
            raw.config_set("maxmemory", 1)
            for answer in writes(service):
                assert "store is full" in assert_refused(answer)["detail"]
