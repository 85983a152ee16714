"""Whatever comes in, the answer is an acceptance or a problem that names a mistake of the caller: never a 500."""

from __future__ import annotations

import gzip
import json
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.list_queries import RecommendationQuery
from service.api.list_schemas import BoostIn, ListOptions, MatchIn, PinIn, RecommendIn
from service.api.schemas import ItemFields
from tests.http.running import Running, assert_problem, event

FIELDS = ["event_id", "user_id", "item_id", "type", "timestamp", "value", "session_id", "properties", "unknown"]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
events = st.dictionaries(st.sampled_from(FIELDS), values, max_size=4).map(lambda change: event() | change)
texts = st.text(max_size=30) | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str)

many = settings(max_examples=150, deadline=None)
some = settings(max_examples=60, deadline=None)


@many
@given(batch=st.lists(events | values, min_size=1, max_size=4), lines=st.booleans())
def test_any_json(stalled: Running, batch: list[object], lines: bool) -> None:
    content = "\n".join(json.dumps(one) for one in batch) if lines else json.dumps(batch)
    kind = "application/x-ndjson" if lines else "application/json"
    answer = stalled.http.post("/v1/events", content=content.encode(), headers={"content-type": kind})
    if answer.status_code == 202:
        body = answer.json()
        assert body["accepted"] + body["duplicates"] + body["rejected"] == len(batch)
        assert {error["index"] for error in body["errors"]} <= set(range(len(batch)))
        assert len({error["index"] for error in body["errors"]}) == body["rejected"]
    else:
        assert_problem(answer, 422)


@many
@given(content=st.binary(max_size=200), packed=st.sampled_from(["", "raw", "whole"]))
def test_any_bytes(stalled: Running, content: bytes, packed: str) -> None:
    headers = {"content-encoding": "gzip"} if packed else {}
    answer = stalled.http.post(
        "/v1/events", content=gzip.compress(content) if packed == "whole" else content, headers=headers
    )
    assert_problem(answer, 422)


@many
@given(user=st.text(min_size=1, max_size=300), k=texts, at=texts)
def test_any_question(stalled: Running, user: str, k: str, at: str) -> None:
    path = f"/v1/users/{quote(user, safe='', errors='replace')}/recommendations"
    answer = stalled.http.get(path, params={"k": k, "at": at})
    assert answer.status_code in {200, 404, 422}
    if answer.status_code == 404:
        assert set(user) & {"\n", "."}  # ids that no event can have, or dots that the client takes for folders
    elif answer.status_code == 422:
        assert_problem(answer, 422)


options = st.dictionaries(
    st.sampled_from([*ListOptions.model_fields, *RecommendIn.model_fields, "unknown"]),
    st.one_of(
        values,
        st.lists(st.dictionaries(st.sampled_from([*BoostIn.model_fields, *PinIn.model_fields]), values, max_size=3)),
        st.dictionaries(st.sampled_from([*MatchIn.model_fields, "unknown"]), values | st.lists(scalars), max_size=3),
        st.sampled_from([1, 5, 0.5, "ann", ["a"], True]),
    ),
    max_size=5,
)


@some
@given(body=options | values, path=st.sampled_from(["", "/batch"]))
def test_any_options(stalled: Running, body: object, path: str) -> None:
    answer = stalled.http.post(f"/v1/recommendations{path}", content=json.dumps(body).encode())
    if answer.status_code != 200:
        assert assert_problem(answer, 422)["errors"]


@some
@given(query=st.lists(st.tuples(st.sampled_from([*RecommendationQuery.model_fields, "unknown"]), texts), max_size=4))
def test_any_query(stalled: Running, query: list[tuple[str, str]]) -> None:
    answer = stalled.http.get("/v1/users/ann/recommendations", params=[(name, text) for name, text in query])
    if answer.status_code != 200:
        assert assert_problem(answer, 422)["errors"]


@some
@given(change=st.dictionaries(st.sampled_from([*ItemFields.model_fields, "unknown"]), values, max_size=4))
def test_any_item(service: Running, change: dict[str, object]) -> None:
    """Whatever is accepted is read back, searched and served: no document stops a replica."""
    answer = service.http.put("/v1/items/any", content=json.dumps(change).encode())
    if answer.status_code != 200:
        assert_problem(answer, 422)
        return
    service.http.get("/v1/items/any").raise_for_status()
    assert service.http.get("/readyz").status_code == 200
