"""A new item can be ranked by its text alone, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from service.adapters.bundle import load_bundle
from service.commands import bundles
from tests.http.conftest import Start
from tests.http.running import Running, event

SOON = 1.0
"""Seconds from the PUT to the list."""
TITLES = {"shoe": "Trail running shoes", "coffee": "Whole bean espresso coffee", "milk": "Whole milk, one gallon"}


@pytest.fixture(scope="module")
def shop(start: Start) -> Iterator[Running]:
    """With the shipped weights and real embeddings."""
    with start(load_bundle(bundles.shipped()), embed_text="auto") as running:
        for item_id, title in TITLES.items():
            running.http.put(f"/v1/items/{item_id}", json={"title": title}).raise_for_status()
        running.applied([event("ann", "shoe"), event("bob", "coffee")])
        yield running


def test_a_new_item_is_ranked_by_its_text_within_a_second_of_the_put(shop: Running) -> None:
    new = {"sneaker": "Running shoes for trails", "beans": "Espresso coffee beans"}
    begun = time.monotonic()
    for item_id, title in new.items():
        shop.http.put(f"/v1/items/{item_id}?wait=logged", json={"title": title}).raise_for_status()
    while True:
        found = shop.http.post("/v1/rank", json={"user_id": "ann", "item_ids": [*new]}).json()
        if not found["left_out"]:
            break
        assert time.monotonic() - begun < SOON, found
        time.sleep(0.01)
    assert time.monotonic() - begun < SOON
    assert found["strategy"] == "model"
    assert len({item["score"] for item in found["items"]}) == 2  # nobody did anything with them yet: texts differ
    for item_id, nearest in [("shoe", "sneaker"), ("coffee", "beans")]:
        (first, *_) = shop.http.get(f"/v1/items/{item_id}/similar?k=5").json()["items"]
        assert first["item_id"] == nearest
