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


@pytest.mark.parametrize(
    "query", ["ids=", "ids=a&limit=5", "limit=0", "cursor=nobody", "ids=" + ",".join("x" * 1_001), "ids=a%00", "id=a"]
)
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


def shown(service: Running) -> set[str]:
    return {item["item_id"] for item in service.recommend("anyone", k=10_000)["items"]}


def test_a_patch_changes_what_it_names_and_takes_away_what_is_null(service: Running) -> None:
    service.http.put("/v1/items/patched", json=SHOE).raise_for_status()
    patch = {"price": 79.9, "brand": None, "attributes": {"colour": None, "dry": True}, "tags": ["sale"]}
    answer = service.http.patch("/v1/items/patched", json=patch)
    assert (answer.status_code, answer.json()["applied"]) == (200, True)
    expected = {"item_id": "patched", **SHOE, "price": 79.9, "tags": ["sale"]}
    del expected["brand"]
    expected["attributes"] = {"sizes": [41, 42], "dry": True}
    assert service.http.get("/v1/items/patched").json() == expected
    service.http.patch("/v1/items/patched", json={"available_from": None}).raise_for_status()
    assert service.http.get("/v1/items/patched").json()["available_from"] is None


def test_patches_follow_each_other_even_if_nobody_waits(service: Running) -> None:
    service.http.put("/v1/items/counted?wait=logged", json={"attributes": {}}).raise_for_status()
    for n in range(5):
        answer = service.http.patch("/v1/items/counted?wait=logged", json={"attributes": {f"n{n}": n}})
        assert answer.status_code == 202
    service.http.patch("/v1/items/counted", json={}).raise_for_status()
    assert service.http.get("/v1/items/counted").json()["attributes"] == {f"n{n}": n for n in range(5)}


@pytest.mark.parametrize(
    ("patch", "status"), [({"colour": "red"}, 422), ({"price": -1}, 422), ([], 422), ({"item_id": "x"}, 422)]
)
def test_a_bad_patch_changes_nothing(service: Running, patch: object, status: int) -> None:
    service.http.put("/v1/items/firm", json=SHOE).raise_for_status()
    assert_problem(service.http.patch("/v1/items/firm", json=patch), status)
    assert service.http.get("/v1/items/firm").json() == {"item_id": "firm", **SHOE}


def test_only_what_the_catalogue_has_can_be_patched(service: Running) -> None:
    service.applied(event("ann", "eventful"))
    for item_id in ("eventful", "nobody-put-this"):
        assert_problem(service.http.patch(f"/v1/items/{item_id}", json={"price": 1}), 404)


def test_a_hidden_item_leaves_the_next_list_and_comes_back(service: Running) -> None:
    service.http.put("/v1/items/veiled", json={"title": "Veiled"}).raise_for_status()
    assert "veiled" in shown(service)
    service.http.patch("/v1/items/veiled", json={"hidden": True}).raise_for_status()
    assert "veiled" not in shown(service)
    service.applied(event("ann", "veiled"))
    assert "veiled" not in shown(service)
    service.http.patch("/v1/items/veiled", json={"hidden": None}).raise_for_status()
    assert "veiled" in shown(service)


def test_an_expired_item_is_in_no_list(service: Running) -> None:
    service.applied(event("ann", "clock", 1_700_000_000))
    for item_id, until in (("over", 1_600_000_000), ("lasting", 2_000_000_000)):
        service.http.put(f"/v1/items/{item_id}", json={"available_until": until}).raise_for_status()
    assert shown(service) & {"over", "lasting"} == {"lasting"}
    assert service.http.get("/v1/items/lasting").json()["available_until"] == "2033-05-18T03:33:20Z"


def test_a_deleted_item_is_gone_whatever_comes_until_it_is_put_again(service: Running) -> None:
    service.http.put("/v1/items/mortal", json=SHOE).raise_for_status()
    assert service.http.delete("/v1/items/mortal").json()["applied"]
    assert_problem(service.http.get("/v1/items/mortal"), 404)
    assert_problem(service.http.delete("/v1/items/mortal"), 404)
    assert_problem(service.http.patch("/v1/items/mortal", json={"price": 1}), 404)
    assert service.http.get("/v1/items?ids=mortal").json()["missing"] == ["mortal"]
    service.applied(event("ann", "mortal"))
    assert "mortal" not in shown(service)
    service.http.put("/v1/items/mortal", json={"title": "Again"}).raise_for_status()
    assert "mortal" in shown(service)
    assert_problem(service.http.delete("/v1/items/never-heard-of"), 404)


def test_a_patch_embeds_the_text_anew(service: Running) -> None:
    service.services.embedder = LengthEmbedder()
    try:
        service.http.put("/v1/items/reworded", json={"title": "Shoe"}).raise_for_status()
        service.http.patch("/v1/items/reworded", json={"brand": "Kestrel"}).raise_for_status()
    finally:
        service.services.embedder = None
    assert service.worker is not None
    place = service.services.replica.index.find("reworded")
    assert place is not None
    (text,) = service.worker.services.store.texts([place])
    assert text == b"length\0" + np.full(4, len("Shoe. Kestrel"), np.float32).tobytes()


def test_an_export_is_a_bulk_that_makes_the_same_catalogue(service: Running, bare: Running) -> None:
    service.http.put("/v1/items/gone", json=SHOE).raise_for_status()
    service.http.delete("/v1/items/gone").raise_for_status()
    service.http.put("/v1/items/kept", json={**SHOE, "tags": ["a"], "hidden": True}).raise_for_status()
    exported = service.http.get("/v1/items/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert {"kept"} <= {line["item_id"] for line in lines}
    assert not {"gone", "eventful"} & {line["item_id"] for line in lines}
    answer = bare.http.post(
        "/v1/items/bulk?wait=applied", content=exported.content, headers={"content-type": "application/x-ndjson"}
    )
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (len(lines), 0)
    assert bare.http.get("/v1/items/kept").json() == service.http.get("/v1/items/kept").json()


def test_pages_of_the_catalogue_hold_every_item_once(service: Running) -> None:
    for n in range(7):
        service.http.put(f"/v1/items/page-{n}", json={"title": str(n)}).raise_for_status()
    exported = [json.loads(line)["item_id"] for line in service.http.get("/v1/items/export").text.splitlines()]
    listed: list[str] = []
    params: dict[str, str | int] = {"limit": 3}
    for _ in range(100):
        page = service.http.get("/v1/items", params=params).json()
        assert len(page["items"]) <= 3
        listed += [item["item_id"] for item in page["items"]]
        if page["cursor"] is None:
            break
        params["cursor"] = page["cursor"]
    assert listed == exported
    assert len(set(listed)) == len(listed) >= 7
