"""GET /metrics: every count is there under its reason, and every replica says the same of what is shared."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import StoreUnavailable
from tests.http.conftest import Start
from tests.http.running import DEADLINE, Running, assert_problem, event, toy_bundle

Samples = dict[tuple[str, ...], float]


def scraped(service: Running) -> Samples:
    """Values by (name, label values in the order of the labels' names)."""
    answer = service.http.get("/metrics")
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (
            sample.name.removeprefix("peregrine_"),
            *(sample.labels[label] for label in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_fresh_service_reports_zeros(start: Start) -> None:
    with start(max_lag=77) as service:
        deadline = time.monotonic() + DEADLINE
        while not ((found := scraped(service)).get(("writer_epoch",)) and found["ready",]):  # the worker begins, too
            assert time.monotonic() < deadline
        assert {found[name, store] for name, store in (("store_up", "log"), ("store_up", "state"))} == {1.0}
        assert found["max_lag",] == 77.0
        for name in ("lag", "items", "index_offset", "applied_offset", "log_end_offset", "memory_pressure"):
            assert found[name,] == 0.0, name
        assert found["late_events_total",] == found["skipped_records_total",] == 0.0


def test_events_are_counted_by_what_became_of_them(start: Start) -> None:
    now = int(time.time())
    with start(clock="wall", unknown_items="reject") as service:
        service.http.put("/v1/items/a", json={}).raise_for_status()
        service.http.post("/v1/items/bulk", json=[{"item_id": "b"}, {"item_id": ""}]).raise_for_status()
        batch = [
            event(item="a", at=now, event_id="one"),
            event(item="a", at=now - 30),  # late: behind the one before it
            event(item="a", at=now, event_id="one"),
            event(item="a", at=now + 100_000),
            event(item="nobody knows it", at=now),
            event(item="", at=now),
            {"item_id": "a"},
        ]
        service.applied(batch)
        found = scraped(service)
    assert found["accepted_total", "event"] == 2
    assert found["accepted_total", "item"] == 2
    assert found["duplicates_total", "event"] == 1
    assert found["rejected_total", "event", "future"] == 1
    assert found["rejected_total", "event", "unknown_item"] == 1
    assert found["rejected_total", "event", "invalid"] == 2
    assert found["rejected_total", "item", "invalid"] == 1
    assert found["late_events_total",] == 1
    assert found["applied_offset",] == found["log_end_offset",] == found["index_offset",] == 4
    assert found["lag",] == 0  # though the worker reports only once a second
    assert found["items",] == 2


def test_requests_are_timed_by_route_and_lists_by_stage(start: Start) -> None:
    with start() as service:
        service.applied([event()])
        for user in ("ann", "bob/x"):
            service.recommend(user)
        service.http.post("/v1/recommendations/batch", json={"user_ids": ["ann", "bob", "cid"]}).raise_for_status()
        for method, path in (("GET", "/any/where"), ("PURGE", "/any/where"), ("PURGE", "/v1/events")):
            service.http.request(method, path)
        found = scraped(service)
    shown = "/v1/users/{user_id:path}/recommendations"
    assert found["request_seconds_count", "GET", shown, "200"] == 2
    assert found["request_seconds_bucket", "+Inf", "GET", shown, "200"] == 2
    assert 0.0 < found["request_seconds_sum", "GET", shown, "200"] < 2 * DEADLINE
    assert found["request_seconds_count", "POST", "/v1/events", "200"] == 1  # waits until it is applied
    assert found["request_seconds_count", "none", "none", "404"] == 2
    assert [key for key in found if "PURGE" in key] == []
    stages = {"state": 3, "embed": 2, "search": 3}  # in a batch they are embedded as they are searched
    assert {stage: found["stage_seconds_count", stage] for stage in stages} == stages
    assert found["lists_total", "model"] == 5


def test_an_event_that_is_accepted_is_timed_until_lists_show_it(start: Start) -> None:
    with start() as service:
        service.applied([event()])
        deadline = time.monotonic() + DEADLINE
        while not (found := scraped(service))["freshness_seconds_count",]:
            assert time.monotonic() < deadline
        assert 0.0 < found["freshness_seconds_sum",] < DEADLINE
        assert found["freshness_seconds_bucket", "30.0"] == 1
    with start(worker=False) as stalled:  # what is looked at is given up at the end
        stalled.http.post("/v1/events", json=event()).raise_for_status()
        assert scraped(stalled)["freshness_seconds_count",] == 0


def test_lists_that_did_without_a_stage_are_counted_by_it(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any) -> None:
        raise StoreUnavailable("state: Timeout")

    before = scraped(service)
    with monkeypatch.context() as patch:
        patch.setattr(service.services.replica.view.reader, "users", silent)
        assert service.recommend("ann")["degraded"] == ["state"]
    found = scraped(service)
    for labels in (("lists_total", "fallback"), ("degraded_lists_total", "state")):
        assert found[labels] == before.get(labels, 0.0) + 1


def test_a_batch_without_a_good_event_is_counted_too(service: Running) -> None:
    before = scraped(service).get(("rejected_total", "event", "invalid"), 0.0)
    assert_problem(service.http.post("/v1/events", json=[{}, {}]), 422)
    assert scraped(service)["rejected_total", "event", "invalid"] == before + 2


def test_requests_that_the_log_refuses_are_counted_by_why(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> Any:
        raise StoreUnavailable("log: Timeout")

    with start(worker=False, max_lag=1) as service:
        service.post([event(), event()])
        for _ in range(2):
            assert_problem(service.http.post("/v1/events", json=event()), 503)
        switch = {"personalised": False}
        assert_problem(service.http.put("/v1/users/ann/personalised", json=switch), 503)
        monkeypatch.setattr(service.services.log, "append", silent)
        assert_problem(service.http.put("/v1/items/a", json={}), 503)
        found = scraped(service)
    assert found["refused_requests_total", "lag"] == 3
    assert found["refused_requests_total", "store"] == 1
    assert found["lag",] == 2


def test_two_replicas_count_their_own_requests_and_agree_on_everything_else(start: Start) -> None:
    with start() as first, Running(first.settings, toy_bundle(), worker=False) as second:
        first.applied([event(at=2_000), event(at=1_000)])
        mine, other = scraped(first), scraped(second)
        assert mine["accepted_total", "event"] == 2
        assert ("accepted_total", "event") not in other
        for name in ("late_events_total", "applied_offset", "writer_epoch", "log_end_offset", "lag"):
            assert mine[name,] == other[name,], name
        assert mine["late_events_total",] == 1


def test_a_store_that_is_down_is_named_and_the_rest_is_told(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> Any:
        raise StoreUnavailable("Timeout")

    service.applied(event())
    with monkeypatch.context() as patch:
        patch.setattr(service.services.reader, "totals", silent)
        found = scraped(service)
        assert (found["store_up", "state"], found["store_up", "log"]) == (0.0, 1.0)
        assert ("applied_offset",) not in found
        assert found["log_end_offset",] >= 1  # lag is told as the worker last reported it
        assert ("lag",) in found
    with monkeypatch.context() as patch:
        patch.setattr(service.services.log, "backlog", silent)
        found = scraped(service)
        assert (found["store_up", "state"], found["store_up", "log"]) == (1.0, 0.0)
        assert ("lag",) not in found
        assert found["applied_offset",] >= 1


def test_metrics_are_behind_the_key(keyed: Running) -> None:
    key = {"authorization": "Bearer s3cret"}
    assert_problem(keyed.http.get("/metrics"), 401)
    assert keyed.http.get("/metrics", headers=key).status_code == httpx.codes.OK
    operation = keyed.http.get("/openapi.json", headers=key).json()["paths"]["/metrics"]["get"]
    assert operation["security"] == [{"bearer": []}, {"header": []}]
    assert "401" in operation["responses"]
