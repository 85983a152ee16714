"""/v1/items: documents come back as they were put, availability is kept, bad fields are named."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from model.process.records import Float
from tests.http.running import Running, assert_problem, event

SHOE = {
    "title": "Trail shoe",
    "category": "shoes",
    "brand": "Kestrel",
    "text": "For wet rock.",
    "price": 89.9,
    "attributes": {"sizes": [41, 42], "colour": {"name": "green"}},
    "available_from": "2023-11-14T22:13:20Z",
}


def test_an_item_comes_back_as_it_was_put(service: Running) -> None:
    answer = service.http.put("/v1/items/shoe", json=SHOE)
    assert answer.status_code == 200
    assert answer.json() == {"item_id": "shoe", "offset": answer.json()["offset"], "applied": True}
    assert service.http.get("/v1/items/shoe").json() == {"item_id": "shoe", **SHOE}


def test_a_put_replaces_the_whole_item(service: Running) -> None:
    service.http.put("/v1/items/again", json=SHOE).raise_for_status()
    service.http.put("/v1/items/again", json={"title": "New", "available_from": None}).raise_for_status()
    assert service.http.get("/v1/items/again").json() == {"item_id": "again", "title": "New", "available_from": None}


def test_a_new_item_is_recommended_from_now_on_and_one_of_null_from_its_first_event(service: Running) -> None:
    service.applied(event("ann", "other"))
    service.http.put("/v1/items/fresh", json={"title": "Fresh"}).raise_for_status()
    service.http.put("/v1/items/later", json={"title": "Later", "available_from": None}).raise_for_status()
    service.http.put("/v1/items/future", json={"available_from": "2099-01-01T00:00:00Z"}).raise_for_status()
    shown = {item["item_id"] for item in service.recommend("bob", k=10_000)["items"]}
    assert "fresh" in shown
    assert not shown & {"later", "future"}
    service.applied([event("ann", "later"), event("ann", "future")])
    assert shown | {"later", "future"} == {item["item_id"] for item in service.recommend("bob", k=10_000)["items"]}


def test_a_bulk_accepts_the_good_lines_and_names_the_others(service: Running) -> None:
    lines = [
        {"item_id": "b1", "title": "One"},
        {"title": "nameless"},
        {"item_id": "b2", "price": -1},
        {"item_id": "b3"},
    ]
    content = "\n".join(json.dumps(line) for line in lines) + '\n{"item_id": "b4'
    answer = service.http.post(
        "/v1/items/bulk?wait=applied", content=content, headers={"content-type": "application/x-ndjson"}
    )
    body = answer.json()
    assert (answer.status_code, body["accepted"], body["rejected"]) == (200, 2, 3)
    assert [(error["index"], error["field"]) for error in body["errors"]] == [(1, "item_id"), (2, "price"), (4, None)]
    found = service.http.get("/v1/items", params={"ids": "b3,b1,b2"}).json()
    assert [item["item_id"] for item in found["items"]] == ["b3", "b1"]
    assert found["missing"] == ["b2"]


def test_several_items_can_be_named_by_repetition_too(service: Running) -> None:
    service.http.put("/v1/items/r1", json={}).raise_for_status()
    found = service.http.get("/v1/items?ids=r1&ids=r2,r1").json()
    assert [item["item_id"] for item in found["items"]] == ["r1", "r1"]
    assert found["missing"] == ["r2"]


def test_an_item_known_by_its_events_alone_has_no_document(service: Running) -> None:
    service.applied(event("ann", "wordless"))
    assert_problem(service.http.get("/v1/items/wordless"), 404)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"colour": "red"}, "colour"), ({"title": 5}, "title"), ({"price": "9"}, "price"), ({"price": -0.01}, "price"),
        ({"text": "x" * 10_001}, "text"), ({"attributes": {"a": "b" * 5_000}}, "attributes"),
        ({"attributes": []}, "attributes"), ({"available_from": "soon"}, "available_from"),
        ({"item_id": "x"}, "item_id"),
    ],
)  # fmt: skip
def test_bad_fields_of_an_item_are_named(service: Running, wrong: dict[str, object], field: str) -> None:
    body = assert_problem(service.http.put("/v1/items/bad", json=wrong), 422)
    assert [error["field"] for error in body["errors"]] == [field]
    assert_problem(service.http.get("/v1/items/bad"), 404)


@pytest.mark.parametrize("query", ["", "ids=", "ids=" + ",".join("x" * 1_001), "ids=a%00", "id=a"])
def test_a_query_without_good_ids_is_refused(service: Running, query: str) -> None:
    assert_problem(service.http.get(f"/v1/items?{query}"), 422)


class LengthEmbedder:
    """A text's vector is its length."""

    id = "length"
    dim = 4

    def embed(self, texts: Sequence[str]) -> Float:
        return np.repeat(np.array([[len(text)] for text in texts], np.float32), self.dim, axis=1)


def test_texts_are_embedded_into_the_log_and_empty_ones_are_not(service: Running) -> None:
    service.services.embedder = LengthEmbedder()
    try:
        lines = [{"item_id": "long", "title": "Shoe", "brand": "Kestrel"}, {"item_id": "none", "price": 1}]
        answer = service.http.post("/v1/items/bulk?wait=applied", json=lines)
    finally:
        service.services.embedder = None
    assert answer.json()["accepted"] == 2
    assert service.worker is not None
    index = [service.services.replica.index.find(item) for item in ("long", "none")]
    long, none = service.worker.services.store.texts([i for i in index if i is not None])
    assert long == b"length\0" + np.full(4, len("Shoe. Kestrel"), np.float32).tobytes()
    assert none == b"\0"
