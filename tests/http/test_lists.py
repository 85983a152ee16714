"""POST /v1/recommendations and its kin over HTTP: every option works, is documented, and is named when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.api.placements import load_placements
from service.errors import ConfigurationError
from tests.http.conftest import Start
from tests.http.running import Running, assert_problem, event

AT = 1_700_000_000
PLACEMENTS = """
[home]
k = 3
caps = { category = 1 }

[quiet]
exclude_seen = true
hide = [{ tags = "loud" }]
pins = [{ item_id = "s2", rank = 1 }]
"""
ITEMS = [
    {"item_id": "s1", "title": "Shoe", "category": "shoes", "brand": "kestrel", "price": 50, "tags": ["vegan"]},
    {
        "item_id": "s2",
        "title": "Loafer",
        "category": "shoes",
        "brand": "merlin",
        "price": 150,
        "tags": ["vegan", "loud"],
    },
    {"item_id": "s3", "category": "shoes", "brand": "merlin", "price": 99.5, "attributes": {"size": 42, "dry": True}},
    {"item_id": "h1", "category": "hats", "brand": "kestrel", "price": 20, "tags": ["loud"]},
    {"item_id": "h2", "category": "hats, caps", "attributes": {"colours": ["red", "green"], "size": "42"}},
    {"item_id": "x1", "hidden": True, "category": "shoes"},
]
ALL = {"s1", "s2", "s3", "h1", "h2"}


@pytest.fixture(scope="module")
def shop(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A catalogue, some purchases, two placements."""
    path = tmp_path_factory.mktemp("placements") / "placements.toml"
    path.write_text(PLACEMENTS)
    with start(placements=path) as running:
        running.applied(event("ann", "s1", AT))
        answer = running.http.post("/v1/items/bulk?wait=applied", json=ITEMS)
        assert answer.json()["accepted"] == len(ITEMS), answer.text
        running.applied([event("ann", "s1", AT + 1), event("ann", "h1", AT + 2), event("bob", "s3", AT + 3)])
        yield running


def ask(shop: Running, path: str = "/v1/recommendations", **body: Any) -> dict[str, Any]:
    answer = shop.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ALL),
        ({"filter": {"category": "shoes"}}, {"s1", "s2", "s3"}),
        ({"filter": {"category": ["hats", "hats, caps"]}}, {"h1", "h2"}),
        ({"filter": {"brand": "merlin", "max_price": 100}}, {"s3"}),
        ({"filter": {"min_price": 50}}, {"s1", "s2", "s3"}),
        ({"filter": {"tags": ["vegan", "loud"]}}, {"s1", "s2", "h1"}),
        ({"filter": {"all_tags": ["vegan", "loud"]}}, {"s2"}),
        ({"filter": {"attributes": {"size": 42}}}, {"s3"}),
        ({"filter": {"attributes": {"size": [42, "42"]}}}, {"s3", "h2"}),
        ({"filter": {"attributes": {"dry": True}}}, {"s3"}),
        ({"filter": {"attributes": {"colours": "green"}}}, {"h2"}),
        ({"filter": {"max_age": 3_000_000_000}}, ALL),
        ({"filter": {"brand": "unheard-of"}}, set()),
        ({"include_ids": ["s1", "h2", "x1", "nobody"]}, {"s1", "h2"}),
        ({"exclude_ids": ["s1", "nobody"]}, ALL - {"s1"}),
        ({"hide": [{"tags": "loud"}, {"category": "hats, caps"}]}, {"s1", "s3"}),
        ({"exclude_seen": True}, ALL - {"s1", "h1"}),
        ({"exclude_seen": True, "exclude_seen_for": 0, "at": AT + 2}, ALL - {"h1"}),
    ],
)
def test_what_a_list_is_chosen_from(shop: Running, options: dict[str, Any], expected: set[str]) -> None:
    assert set(ids(ask(shop, user_id="ann", **options))) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=shoes", {"s1", "s2", "s3"}),
        ("category=hats&category=hats,%20caps", {"h1", "h2"}),
        ("brand=merlin&max_price=100", {"s3"}),
        ("tag=vegan&tag=loud", {"s1", "s2", "h1"}),
        ("attribute=size:42", {"s3", "h2"}),
        ("attribute=dry:true", {"s3"}),
        ("min_price=50", {"s1", "s2", "s3"}),
        ("max_age=3000000000", ALL),
        ("include_ids=s1,h2,x1", {"s1", "h2"}),
        ("exclude_ids=s1&exclude_ids=h2", ALL - {"s1", "h2"}),
        ("exclude_seen=true", ALL - {"s1", "h1"}),
        ("exclude_seen=true&exclude_seen_for=0&at=1700000002", ALL - {"h1"}),
        ('options={"hide":[{"tags":"loud"}]}', {"s1", "s3", "h2"}),
        ('options={"k":1}&k=2&include_ids=s1,s2,s3', None),
        ("placement=quiet", {"s3", "h2"}),
    ],
)
def test_the_get_form_takes_them_too(shop: Running, query: str, expected: set[str] | None) -> None:
    answer = shop.http.get(f"/v1/users/ann/recommendations?{query}")
    assert answer.status_code == 200, answer.text
    found = ids(answer.json())
    assert len(found) == 2 if expected is None else set(found) == expected


def test_pins_boosts_caps_and_exploration_show_in_the_answer(shop: Running) -> None:
    found = ask(shop, user_id="ann", pins=[{"item_id": "h2", "rank": 2}], filter={"category": "shoes"})
    assert ids(found)[1] == "h2"
    assert [item.get("pinned") for item in found["items"]] == [None, True, None, None]
    assert "seed" not in found
    boosted = ask(
        shop, user_id="ann", boosts=[{"item_ids": ["h2"], "factor": 1000}, {"item_ids": ["h2"], "factor": 1000}]
    )
    plain = ask(shop, user_id="ann")
    scores = [{item["item_id"]: item["score"] for item in answer["items"]} for answer in (plain, boosted)]
    assert scores[1]["h2"] - scores[0]["h2"] == pytest.approx(13.8155, abs=1e-3)  # ln 10^6
    capped = ids(ask(shop, user_id="ann", caps={"brand": 1, "category": 2}))
    assert len([item_id for item_id in capped if item_id in {"s2", "s3"}]) == 1
    drawn = ask(shop, user_id="ann", exploration=1, k=2)
    assert [item["explored"] for item in drawn["items"]] == [True, True]
    again = ask(shop, user_id="ann", exploration=1, k=2, seed=drawn["seed"])
    assert again["items"] == drawn["items"]
    assert len(ids(ask(shop, user_id="ann", diversity=0.5))) == len(ALL)


def test_pages_by_cursor_never_repeat(shop: Running) -> None:
    first = ask(shop, user_id="ann", k=2)
    second = ask(shop, user_id="ann", k=2, cursor=first["cursor"])
    third = shop.http.get(f"/v1/users/ann/recommendations?k=2&cursor={second['cursor']}").json()
    shown = ids(first) + ids(second) + ids(third)
    assert (len(shown), set(shown), third["cursor"]) == (5, ALL, None)
    assert [item["rank"] for item in first["items"] + second["items"] + third["items"]] == [1, 2, 3, 4, 5]
    assert "cursor" not in shop.recommend("ann", k=2)
    assert shop.http.get("/v1/users/ann/recommendations?k=2&paging=true").json()["cursor"]


def test_a_cursor_that_is_not_theirs_is_refused(shop: Running) -> None:
    cursor = ask(shop, user_id="ann", k=2)["cursor"]
    for body in (
        {"user_id": "bob", "cursor": cursor},
        {"user_id": "ann", "cursor": cursor[:-2] + "AA"},
        {"cursor": "A"},
    ):
        problem = assert_problem(shop.http.post("/v1/recommendations", json=body), 422)
        assert problem["errors"][0]["field"] == "cursor"


def test_a_placement_is_a_set_of_options_that_a_request_may_override(shop: Running) -> None:
    assert len(ids(ask(shop, user_id="bob", placement="home"))) == 3
    assert len(ids(ask(shop, user_id="bob", placement="home", caps={"brand": 5}, k=4))) == 4
    problem = assert_problem(shop.http.post("/v1/recommendations", json={"placement": "cellar"}), 422)
    assert problem["errors"] == [
        {"field": "placement", "value": "cellar", "message": "is no placement; there are: home, quiet"}
    ]
    clash = {"placement": "quiet", "exclude_ids": ["s2"]}
    assert "pinned" in assert_problem(shop.http.post("/v1/recommendations", json=clash), 422)["detail"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", "[home]\nk = 0", r"home\.k=0: Input should be greater"),
        ("p.toml", "[home]\ncolour = 1", r"home\.colour=1: unknown field"),
        ("p.toml", "home = 3", "must be a JSON object"),
        ("p.json", '{"home": {"hide": [{}]}}', r"home\.hide\.0=\{\}: must name a condition"),
        ("p.json", "[1]", "must be an object"),
        ("p.toml", "[home", "placements .*p.toml: "),
        ("missing.toml", None, "No such file"),
    ],
)
def test_a_placement_that_makes_no_sense_stops_the_start(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_placements(tmp_path / name)


def test_a_guest_and_a_what_if_are_answered_and_not_stored(shop: Running) -> None:
    before = shop.http.get("/v1/users/bob?pairs=true").json()
    bought = [{"item_id": "s1", "type": "purchase"}, {"item_id": "nobody"}]
    found = ask(shop, user_id="bob", events=bought, exclude_seen=True)
    assert not {"s1", "s3"} & set(ids(found))
    assert found["state"]["events_seen"] == 2
    assert shop.http.get("/v1/users/bob?pairs=true").json() == before
    guest = ask(shop, events=[{"item_id": "s1", "timestamp": "2023-11-14T22:13:20Z"}])
    assert (guest["state"]["events_seen"], guest["strategy"]) == (1, "model")
    assert ask(shop)["state"]["events_seen"] == 0
    late = {"user_id": "bob", "at": AT + 5, "events": [{"item_id": "s1", "timestamp": AT + 6}]}
    assert_problem(shop.http.post("/v1/recommendations", json=late), 409)


def test_a_dislike_takes_the_item_away(shop: Running) -> None:
    shop.applied(event("eve", "s2", AT + 10) | {"type": "dislike"})
    assert "s2" not in ids(ask(shop, user_id="eve"))
    assert "s2" not in [item["item_id"] for item in shop.recommend("eve")["items"]]
    assert "s2" in ids(ask(shop, "/v1/rank", user_id="eve", item_ids=["s2", "s1"]))


def test_rank_orders_the_given_items_as_the_list_does(shop: Running) -> None:
    order = ids(ask(shop, user_id="ann"))
    found = ask(shop, "/v1/rank", user_id="ann", item_ids=["h2", "nobody", "s1", "x1", "s3", "h2"])
    assert ids(found) == [item_id for item_id in order if item_id in {"h2", "s1", "s3"}]
    assert found["left_out"] == ["nobody", "x1"]


def test_a_batch_holds_each_users_list(shop: Running) -> None:
    options = {"k": 3, "exclude_seen": True, "filter": {"max_price": 120}}
    found = ask(shop, "/v1/recommendations/batch", user_ids=["ann", "nobody", "bob"], **options)
    assert [one["user_id"] for one in found["results"]] == ["ann", "nobody", "bob"]
    for one in found["results"]:
        alone = ask(shop, user_id=one["user_id"], **options)
        assert ids(one) == ids(alone)
        assert (one["strategy"], one["events_seen"]) == (alone["strategy"], alone["state"]["events_seen"])
    assert found["state"]["stale"] is False


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", {"k": 0}, "k"),
        ("", {"k": 1_001}, "k"),
        ("", {"user_id": ""}, "user_id"),
        ("", {"user": "ann"}, "user"),
        ("", {"filter": {}}, "filter"),
        ("", {"filter": {"colour": "red"}}, "filter.colour"),
        ("", {"filter": {"attributes": {"size": {}}}}, "filter.attributes.size"),
        ("", {"filter": {"category": ["a"] * 101}}, "filter.category"),
        ("", {"filter": {"min_price": -1}}, "filter.min_price"),
        ("", {"include_ids": []}, "include_ids"),
        ("", {"exclude_ids": ["a"] * 1_001}, "exclude_ids"),
        ("", {"boosts": [{"brand": "x", "factor": 0}]}, "boosts.0.factor"),
        ("", {"boosts": [{"factor": 2}]}, "boosts.0"),
        ("", {"pins": [{"item_id": "a", "rank": 0}]}, "pins.0.rank"),
        ("", {"pins": [{"item_id": "a", "rank": 1}, {"item_id": "b", "rank": 1}]}, None),
        ("", {"pins": [{"item_id": "a", "rank": 1}], "exclude_ids": ["a"]}, None),
        ("", {"caps": {"colour": 1}}, "caps.colour"),
        ("", {"diversity": 1.1}, "diversity"),
        ("", {"exploration": -0.1}, "exploration"),
        ("", {"seed": -1}, "seed"),
        ("", {"events": [{"item_id": "a"}] * 201}, "events"),
        ("", {"events": [{"item_id": "a", "type": "A"}]}, "events.0.type"),
        ("", {"at": "yesterday"}, "at"),
        ("", {"cursor": "ä"}, "cursor"),
        ("", [], None),
        ("/batch", {}, "user_ids"),
        ("/batch", {"user_ids": ["a"] * 1_001}, "user_ids"),
        ("/batch", {"user_ids": ["a"], "cursor": "A"}, "cursor"),
    ],
)
def test_what_is_wrong_is_named(shop: Running, path: str, body: Any, field: str | None) -> None:
    problem = assert_problem(shop.http.post(f"/v1/recommendations{path}", json=body), 422)
    assert field in [error.get("field") for error in problem["errors"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("category=a&k=1001", "k"), ("attribute=size", "attribute.0"), ("options={", "options"),
        ("diversity=2", "diversity"),
        ('options={"colour":1}', "colour"), ("options=[]", None), ("placement=cellar", "placement"),
        ("cursor=ä", "cursor"), ("min_price=cheap", "min_price"), ("cap_brand=0", "cap_brand"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_query_is_named(shop: Running, query: str, field: str | None) -> None:
    problem = assert_problem(shop.http.get(f"/v1/users/ann/recommendations?{query}"), 422)
    assert field in [error.get("field") for error in problem["errors"]]


def test_the_examples_of_the_document_are_answered(shop: Running) -> None:
    document = shop.http.get("/openapi.json").json()
    text = json.dumps(document)
    assert "$defs" not in text
    for path, schema in [("", "RecommendRequest"), ("/batch", "BatchRequest")]:
        body = document["paths"][f"/v1/recommendations{path}"]["post"]["requestBody"]["content"]["application/json"]
        assert body["schema"]["title"] == schema
        for example in body["schema"]["examples"]:
            answer = shop.http.post(f"/v1/recommendations{path}", json=example)
            assert answer.status_code == 200, answer.text
    for name in ("Match", "Boost", "Pin", "Caps"):
        assert document["components"]["schemas"][f"{name}In"]["examples"]
