"""GET /v1/users/{id}: what was applied can be read back, event for event."""

from __future__ import annotations

from dataclasses import replace

from tests.http.running import Running, assert_problem, event


def test_counts_neighbours_and_pairs_are_those_of_the_events(service: Running) -> None:
    start = 1_700_000_000
    service.applied(
        [
            event("reader", "a", start),
            event("reader", "b", start),
            event("reader", "a", start + 60, type="click"),
            event("reader", "c", start + 30),  # late for its user
        ]
    )
    body = service.http.get("/v1/users/reader?pairs=true").json()
    neighbours, pairs = body.pop("neighbours"), body.pop("pairs")
    assert body.pop("offset") > 0
    assert body.pop("late") >= 1  # behind the log's time, which other tests move, too
    assert body == {
        "user_id": "reader",
        "personalised": True,
        "events": 4,
        "moments": 2,
        "items": 3,
        "evicted": 0,
        "last_event_at": "2023-11-14T22:14:20Z",
    }
    assert neighbours[:2] == [
        {"item_id": "a", "type": "click", "at": "2023-11-14T22:14:20Z"},
        {"item_id": "c", "type": "purchase", "at": "2023-11-14T22:13:50Z"},
    ]
    assert {slot["item_id"] for slot in neighbours[2:]} == {"a", "b"}  # of one moment, in order of a hash
    found = {pair["item_id"]: (pair["count"], pair["moments"], pair["first_at"]) for pair in pairs}
    assert found == {
        "a": (2, 2, "2023-11-14T22:13:20Z"),
        "b": (1, 1, "2023-11-14T22:13:20Z"),
        "c": (1, 1, "2023-11-14T22:13:50Z"),
    }
    assert "pairs" not in service.http.get("/v1/users/reader").json()


def test_items_that_this_replica_has_not_met_are_named_all_the_same(service: Running) -> None:
    service.applied([event("ahead", f"ahead-{i}") for i in range(3)])
    replica = service.services.replica
    view = replica.view
    known = list(view.index.ids)

    class Behind:
        ids = known[:1]

    replica.view = replace(view, index=Behind())  # type: ignore[arg-type]
    try:
        body = service.http.get("/v1/users/ahead?pairs=true").json()
    finally:
        replica.view = view
    assert {pair["item_id"] for pair in body["pairs"]} == {"ahead-0", "ahead-1", "ahead-2"}


def test_a_user_without_an_event_is_not_found(service: Running) -> None:
    assert_problem(service.http.get("/v1/users/nobody-at-all"), 404)


def test_unknown_parameters_are_refused(service: Running) -> None:
    assert_problem(service.http.get("/v1/users/ann?pair=true"), 422)
