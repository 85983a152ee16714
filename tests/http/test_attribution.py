"""What was shown for a request is kept, without a word about whom, and events that name it count for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from service.commands import inspect
from tests.http.conftest import Start
from tests.http.running import DEADLINE, Running, assert_problem, event

AT = 1_700_000_000


@pytest.fixture(scope="module")
def shop(start: Start) -> Iterator[Running]:
    with start() as running:
        running.applied([event("ann", item, AT + n) for n, item in enumerate("abcd")])
        yield running


def until(shop: Running, request_id: str, outcomes: int) -> dict[str, Any]:
    """What is known of a request once so many events have counted for it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        answer = shop.http.get(f"/v1/requests/{request_id}")
        if answer.is_success:
            body: dict[str, Any] = answer.json()
            found = [*(item["outcomes"] for item in body["items"]), body["elsewhere"]]
            if sum(count for one in found for count in one.values()) >= outcomes:
                return body
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


def test_events_count_once_for_the_list_that_they_name(shop: Running) -> None:
    asked = {"user_id": "s3cretive", "k": 3, "pins": [{"item_id": "d", "rank": 1}], "exclude_ids": ["c"]}
    answer = shop.http.post("/v1/recommendations", json=asked).json()
    request_id = answer["request_id"]
    click = event("s3cretive", "d", AT + 9, type="click", request_id=request_id, event_id=f"click-{request_id}")
    bought = event("s3cretive", "c", AT + 10, type="purchase", request_id=request_id)
    shop.post([click, bought, event("s3cretive", "d", AT + 9, request_id="unheard-of")])
    shop.post([click])
    found = until(shop, request_id, 2)
    assert [item["item_id"] for item in found["items"]] == [item["item_id"] for item in answer["items"]]
    assert found["items"][0] == {
        "item_id": "d", "rank": 1, "pinned": True, "explored": False, "outcomes": {"click": 1},
    }  # fmt: skip
    assert found["elsewhere"] == {"purchase": 1}
    assert found["strategy"] == "model"
    assert "s3cretive" not in str(found)


def test_a_get_is_kept_too_and_a_page_goes_on_counting(shop: Running) -> None:
    first = shop.http.get("/v1/users/ann/recommendations?k=2&paging=true").json()
    second = shop.http.get(f"/v1/users/ann/recommendations?k=2&cursor={first['cursor']}").json()
    assert [item["rank"] for item in until(shop, second["request_id"], 0)["items"]] == [3, 4]


@pytest.mark.parametrize("shelf", ["trending", "popular", "latest", "a/similar"])
def test_a_shelf_is_kept_under_its_name(shop: Running, shelf: str) -> None:
    answer = shop.http.get(f"/v1/items/{shelf}").json()
    shop.post(event("ann", "b", AT + 30, type="click", request_id=answer["request_id"]))
    found = until(shop, answer["request_id"], 1)
    assert found["strategy"] == shelf.rpartition("/")[2]
    assert [item["item_id"] for item in found["items"]] == [item["item_id"] for item in answer["items"]]


def test_a_ranking_and_each_list_of_a_batch_are_kept(shop: Running) -> None:
    ranked = shop.http.post("/v1/rank", json={"user_id": "ann", "item_ids": ["b", "c"]}).json()
    batch = shop.http.post("/v1/recommendations/batch", json={"user_ids": ["ann", "bob"], "k": 3}).json()
    lists = [ranked, *batch["results"]]
    assert len({one["request_id"] for one in lists}) == 3
    for place, one in enumerate(lists):
        shop.post(event("bob", "b", AT + 40 + place, type="click", request_id=one["request_id"]))
        found = until(shop, one["request_id"], 1)
        assert [item["item_id"] for item in found["items"]] == [item["item_id"] for item in one["items"]]


def test_a_request_that_nobody_knows_is_not_found(shop: Running) -> None:
    assert_problem(shop.http.get("/v1/requests/unheard-of"), 404)


def test_the_command_shows_it(shop: Running, capsys: pytest.CaptureFixture[str]) -> None:
    request_id = shop.recommend("ann", k=2)["request_id"]
    shop.post(event("ann", "a", AT + 20, type="click", request_id=request_id))
    found = until(shop, request_id, 1)
    url = f"http://127.0.0.1:{shop.port}"
    inspect.request(request_id, url, as_json=False)
    shown = capsys.readouterr().out
    assert all(item["item_id"] in shown for item in found["items"])
    inspect.request(request_id, url, as_json=True)
    assert request_id in capsys.readouterr().out
