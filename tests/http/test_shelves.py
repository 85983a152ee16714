"""Similar, trending, popular and latest items over HTTP, under filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.running import Running, assert_problem, event

DAY = 86_400
START = 1_700_000_000


@pytest.fixture(scope="module")
def shop(start: Start) -> Iterator[Running]:
    """`old` was bought for a month, `rising` since yesterday, `new` never."""
    with start() as running:
        often = [event(f"u{n}", "old", START + n * DAY // 4) for n in range(120)]
        lately = [event(f"u{n}", "rising", START + 29 * DAY + n * 3_600) for n in range(20)]
        running.applied([*often, *lately, event("u1", "old", START + 30 * DAY)])
        items: list[dict[str, Any]] = [
            {"item_id": "old", "category": "shoes", "available_from": START},
            {"item_id": "rising", "category": "hats", "available_from": START},
            {"item_id": "new", "category": "hats", "available_from": START + 30 * DAY - 60},
            {"item_id": "later", "category": "hats", "available_from": START + 99 * DAY},
            {"item_id": "veiled", "category": "hats", "hidden": True},
        ]
        assert running.http.post("/v1/items/bulk?wait=applied", json=items).json()["accepted"] == 5
        yield running


def get(shop: Running, path: str) -> dict[str, Any]:
    answer = shop.http.get(f"/v1/items/{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_popular_counts_with_a_half_life_of_seven_days(shop: Running) -> None:
    found = get(shop, "popular")
    assert (ids(found)[0], set(ids(found))) == ("old", {"old", "rising", "new"})
    assert found["items"][0]["count"] > found["items"][1]["count"] > found["items"][2]["count"] == 0
    assert ids(get(shop, "popular?k=1&category=hats")) == ["rising"]


def test_trending_shows_both_figures_and_ranks_by_the_one_asked_for(shop: Running) -> None:
    by_counts = get(shop, "trending")
    assert (ids(by_counts), by_counts["by"]) == (["rising", "old"], "counts")
    rising, old = by_counts["items"]
    assert rising["rise"] > 5 > old["rise"] > 0.3
    assert {"rise", "velocity", "count", "rank", "item_id"} == set(rising)
    shop.applied([event("u1", "old", START + 31 * DAY), event("u2", "old", START + 31 * DAY + 1_000)])
    by_velocity = get(shop, "trending?by=velocity")
    speeds = [item["velocity"] for item in by_velocity["items"]]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] > 0
    assert ids(get(shop, "trending?category=shoes")) == ["old"]


def test_latest_is_by_release_or_first_event(shop: Running) -> None:
    found = get(shop, "latest")
    assert ids(found) == ["new", "old", "rising"]  # both were released at START, and stand in order of index
    assert found["items"][0]["since"] == "2023-12-14T22:12:20Z"
    assert ids(get(shop, "latest?category=hats&k=5")) == ["new", "rising"]
    assert ids(get(shop, "latest?max_age=100000")) == ["new"]


def test_similar_items_are_others_in_order_of_their_cosine(shop: Running) -> None:
    found = get(shop, "old/similar")
    assert set(ids(found)) == {"rising", "new"}
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1.001 <= score <= 1.001 for score in scores)
    assert ids(get(shop, "old/similar?category=shoes")) == []
    assert_problem(shop.http.get("/v1/items/nobody/similar"), 404)


@pytest.mark.parametrize("path", ["popular", "latest", "trending", "old/similar"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("k=0", "k"),
        ("k=1001", "k"),
        ("min_price=-1", "min_price"),
        ("colour=red", "colour"),
        ("attribute=x", "attribute.0"),
    ],
)
def test_what_is_wrong_is_named(shop: Running, path: str, query: str, field: str) -> None:
    body = assert_problem(shop.http.get(f"/v1/items/{path}?{query}"), 422)
    assert [error["field"] for error in body["errors"]] == [field]


def test_they_need_no_model(bare: Running) -> None:
    bare.applied([event("ann", "hit", START), event("bob", "hit", START + 1), event("bob", "miss", START + 2)])
    assert ids(get(bare, "popular")) == ["hit", "miss"]
    assert ids(get(bare, "latest")) == ["miss", "hit"]
    assert set(ids(get(bare, "trending"))) == {"hit", "miss"}
    similar = get(bare, "hit/similar")
    assert similar["item_id"] == "hit"
    assert ids(similar) == ["miss"]


def test_similar_users_are_those_who_did_alike_and_none_who_is_erased_or_switched_off(start: Start) -> None:
    with start() as running:
        rows = {"ann": "ab", "bea": "ab", "cem": "cd", "dan": "ab", "eve": "ab"}
        running.applied(
            [event(user, item, START + place) for user, items in rows.items() for place, item in enumerate(items)]
        )
        for user in rows:
            running.recommend(user)
        found = running.http.get("/v1/users/ann/similar?k=3").json()
        assert [one["rank"] for one in found["users"]] == [1, 2, 3]
        assert len({one["user_id"] for one in found["users"]} & {"bea", "cem", "dan", "eve"}) == 3
        assert found["among"] == 5
        assert running.http.put("/v1/users/dan/personalised", json={"personalised": False}).json()["applied"]
        assert running.http.delete("/v1/users/eve").json()["applied"]
        left = running.http.get("/v1/users/ann/similar").json()["users"]
        assert {one["user_id"] for one in left} == {"bea", "cem"}
        assert_problem(running.http.get("/v1/users/nobody/similar"), 404)
        assert_problem(running.http.get("/v1/users/dan/similar"), 409)
