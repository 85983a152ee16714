"""GET /v1/users/{id}/recommendations over HTTP: it follows what was posted, and refuses what makes no sense."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.http.running import Running, assert_problem, event


def test_a_posted_purchase_changes_that_users_next_list(service: Running) -> None:
    service.applied([event("crowd", f"p{i}", 1_700_000_000 + i) for i in range(8)])
    before = service.recommend("buyer", k=100, at=1_800_000_000)
    offset = service.post(event("buyer", "p3", 1_700_000_500))["offset"]
    after = service.recommend("buyer", k=100, at=1_800_000_000, min_offset=offset)
    scores = [{item["item_id"]: item["score"] for item in answer["items"]} for answer in (before, after)]
    assert after["state"]["stale"] is False
    assert after["state"]["offset"] >= offset
    assert (before["state"]["events_seen"], after["state"]["events_seen"]) == (0, 1)
    assert scores[0] != scores[1]
    assert [item["rank"] for item in after["items"]] == list(range(1, len(after["items"]) + 1))
    assert [item["score"] for item in after["items"]] == sorted((i["score"] for i in after["items"]), reverse=True)
    assert (after["strategy"], after["degraded"], after["model"]["version"]) == ("model", [], "toy-1")


def test_exclude_seen_leaves_out_what_was_bought(service: Running) -> None:
    service.applied([event("full", f"x{i}") for i in range(3)])
    shown = {item["item_id"] for item in service.recommend("full", k=10_000)["items"]}
    left = {item["item_id"] for item in service.recommend("full", k=10_000, exclude_seen=True)["items"]}
    assert shown - left == {"x0", "x1", "x2"}


@pytest.mark.parametrize("user", ["never seen", "with/slash", "ünïcödé", "%2F", "a" * 256, "recommendations"])
def test_unknown_users_get_a_list_whatever_they_are_called(service: Running, user: str) -> None:
    service.applied(event("someone", "something"))
    assert service.recommend(quote(user, safe=""), k=1)["items"]


def test_ids_with_a_slash_keep_their_memory(service: Running) -> None:
    service.applied(event("dept/7", "a/b c"))
    assert service.recommend("dept%2F7")["state"]["events_seen"] == 1
    assert service.http.get("/v1/users/dept%2F7").json()["neighbours"][0]["item_id"] == "a/b c"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("k=0", "k"), ("k=-1", "k"), ("k=10001", "k"), ("k=ten", "k"), ("k=1.5", "k"), ("at=yesterday", "at"),
        ("at=-1", "at"), ("at=2026-01-31", "at"), ("at=nan", "at"), ("min_offset=-1", "min_offset"),
        ("min_offset=99999999999999999999", "min_offset"),
        ("exclude_seen=perhaps", "exclude_seen"), ("limit=5", "limit"),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_named(service: Running, query: str, field: str) -> None:
    body = assert_problem(service.http.get(f"/v1/users/ann/recommendations?{query}"), 422)
    assert [error["field"] for error in body["errors"]] == [field]
    assert body["errors"][0]["value"] == query.partition("=")[2]


@pytest.mark.parametrize("user", ["", "a" * 257, "%00", "a%7Fb"])
def test_user_ids_that_no_event_can_have_are_refused(service: Running, user: str) -> None:
    body = assert_problem(service.http.get(f"/v1/users/{user}/recommendations"), 422)
    assert body["errors"][0]["field"] == "user_id"


def test_a_moment_before_the_users_last_event_is_a_conflict(service: Running) -> None:
    service.applied(event("moved", "a", "2023-11-14T22:13:20Z"))
    body = assert_problem(service.http.get("/v1/users/moved/recommendations?at=2023-11-14T22:13:19Z"), 409)
    assert "2023-11-14T22:13:19Z lies before the user's last event at 2023-11-14T22:13:20Z" in body["detail"]
    for later in ("2023-11-14T22:13:20Z", "1700000000", "2023-11-15T00:13:20+02:00", "2023-11-15T00:13:20%2B02:00"):
        answer = service.http.get(f"/v1/users/moved/recommendations?at={later}")
        assert answer.status_code == 200, answer.text


def test_an_offset_that_does_not_come_gives_a_stale_answer(service: Running) -> None:
    answer = service.recommend("ann", min_offset=2**62)
    assert answer["state"]["stale"] is True


def test_server_timing_names_the_stages(service: Running) -> None:
    service.applied(event("ann"))
    header = service.http.get("/v1/users/ann/recommendations").headers["server-timing"]
    stages = [part.split(";dur=") for part in header.split(", ")]
    assert [name for name, _ in stages] == ["state", "embed", "rules", "search", "serialise"]
    assert all(0 <= float(duration) < 1_000 for _, duration in stages)


def test_without_a_bundle_popular_items_are_served(bare: Running) -> None:
    bare.applied([event("ann", "hit", 1_700_000_000), event("bob", "hit", 1_700_000_001), event("bob", "miss")])
    answer = bare.recommend("new", k=2)
    assert [item["item_id"] for item in answer["items"]] == ["hit", "miss"]
    assert (answer["strategy"], answer["model"]["version"]) == ("popular", "none")
    assert [item["item_id"] for item in bare.recommend("ann", exclude_seen=True)["items"]] == ["miss"]
