"""POST /v1/events: all forms are taken, every bad input is named, and the good ones beside it are never lost."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from service.core.types import Append, Appended
from tests.http.running import Running, assert_problem, event

JSON, LINES = {"content-type": "application/json; charset=utf-8"}, {"content-type": "application/x-ndjson"}
ONE = json.dumps(event("USER"))
FORMS: dict[str, tuple[str, dict[str, str], int]] = {
    "object": (ONE, JSON, 1),
    "array": (f"[{ONE}, {ONE}]", JSON, 2),
    "ndjson": (f"{ONE}\n\n{ONE}\r\n", LINES, 2),
    "one-line-of-ndjson": (ONE, LINES, 1),
    "lines-without-their-type": (f"{ONE}\n{ONE}\n{ONE}\n", JSON, 3),
    "no-content-type": (ONE, {}, 1),
    "pretty": (json.dumps(event("USER"), indent=2), JSON, 1),
    "byte-order-mark": (f"\ufeff{ONE}", JSON, 1),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_body_is_applied(service: Running, form: str, packed: bool) -> None:
    text, headers, count = FORMS[form]
    content = text.replace("USER", f"{form}-{packed}").encode()
    if packed:
        content, headers = gzip.compress(content), headers | {"content-encoding": "gzip"}
    answer = service.http.post("/v1/events?wait=applied", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    offset = answer.json().pop("offset")
    counts = {"accepted": count, "duplicates": 0, "rejected": 0, "errors": []}
    assert answer.json() == counts | {"offset": offset, "applied": True}
    assert service.http.get(f"/v1/users/{form}-{packed}").json()["events"] == count


BAD: dict[str, tuple[dict[str, Any], str, str | None, str]] = {
    "unknown field": ({"quantity": 2}, "quantity", "2", "unknown field"),
    "number as user": ({"user_id": 17}, "user_id", "17", "string"),
    "null as item": ({"item_id": None}, "item_id", "None", "string"),
    "empty user": ({"user_id": ""}, "user_id", "", "at least 1 character"),
    "10 kB item": ({"item_id": "x" * 10_240}, "item_id", "x" * 97 + "...", "at most 256 characters"),
    "257 characters": ({"user_id": "é" * 257}, "user_id", "é" * 97 + "...", "at most 256 characters"),
    "line break in an id": ({"item_id": "a\nb"}, "item_id", "a\nb", "control characters"),
    "zero byte in an id": ({"user_id": "a\x00"}, "user_id", "a\x00", "control characters"),
    "long event id": ({"event_id": "e" * 129}, "event_id", "e" * 97 + "...", "at most 128 characters"),
    "type with capitals": ({"type": "Purchase"}, "type", "Purchase", "lower-case"),
    "type too long": ({"type": "t" * 33}, "type", "t" * 33, "1 to 32"),
    "text as value": ({"value": "9.90"}, "value", "9.90", "number"),
    "true as value": ({"value": True}, "value", "True", "number"),
    "NaN": ({"value": float("nan")}, "value", "nan", "finite"),
    "infinity": ({"value": float("inf")}, "value", "inf", "finite"),
    "a value no float32 holds": ({"value": 1e39}, "value", "1e+39", "less than or equal"),
    "before 1970": ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp", "1969-12-31T23:59:59Z", "before 1970"),
    "negative timestamp": ({"timestamp": -1}, "timestamp", "-1", "before 1970"),
    "milliseconds": ({"timestamp": 1_700_000_000_000}, "timestamp", "1700000000000", "milliseconds"),
    "the year 2100": ({"timestamp": "2100-01-01T00:00:00Z"}, "timestamp", "2100-01-01T00:00:00Z", "after 2099"),
    "no time zone": ({"timestamp": "2026-01-31T12:00:00"}, "timestamp", "2026-01-31T12:00:00", "time zone"),
    "a day that is none": ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp", "2026-02-30T12:00:00Z", "day"),
    "NaN as timestamp": ({"timestamp": float("nan")}, "timestamp", "nan", "finite"),
    "true as timestamp": ({"timestamp": True}, "timestamp", "True", "RFC 3339"),
    "long session": ({"session_id": "s" * 129}, "session_id", "s" * 97 + "...", "at most 128"),
    "properties as text": ({"properties": "x"}, "properties", "x", "dictionary"),
    "large properties": ({"properties": {"a": "b" * 4_096}}, "properties", None, "bytes of JSON"),
    "NaN in properties": ({"properties": {"a": [float("nan")]}}, "properties", "{'a': [nan]}", "NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_named_and_the_others_are_accepted(service: Running, case: str) -> None:
    wrong, field, value, message = BAD[case]
    user = f"beside {case}"
    batch = [event(user), event(user) | wrong, event(user)]
    answer = service.http.post("/v1/events?wait=applied", content=json.dumps(batch))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    (error,) = body["errors"]
    assert (error["index"], error["field"]) == (1, field)
    assert message in error["message"]
    assert len(error["value"]) <= 100
    if value is not None:
        assert error["value"] == value
    assert service.http.get(f"/v1/users/{user}").json()["events"] == 2


def test_missing_fields_and_entries_that_are_no_objects_are_named(service: Running) -> None:
    body = service.post([{"item_id": "a"}, 5, None, event("kept")])
    found = [(error["index"], error["field"], error["message"]) for error in body["errors"]]
    assert found == [
        (0, "user_id", "is required"),
        (1, None, "must be a JSON object"),
        (2, None, "must be a JSON object"),
    ]
    assert body["accepted"] == 1


def test_half_a_line_of_ndjson_is_named_and_the_lines_before_it_are_accepted(service: Running) -> None:
    lines = f"{json.dumps(event('half'))}\n{json.dumps(event('half'))[:25]}"
    for kind in ("application/x-ndjson", "application/json"):
        answer = service.http.post("/v1/events", content=lines, headers={"content-type": kind})
        assert answer.status_code == 202
        body = answer.json()
        assert (body["accepted"], body["rejected"]) == (1, 1)
        assert body["errors"][0]["index"] == 1
        assert body["errors"][0]["value"] == json.dumps(event("half"))[:25]
        assert body["errors"][0]["message"].startswith("is not JSON: EOF")


def test_a_batch_without_a_good_event_is_refused_with_all_errors(service: Running) -> None:
    end = service.http.get("/readyz").json()["log_end"]
    body = assert_problem(service.http.post("/v1/events", json=[event(at=-5), event(item="")]), 422)
    assert [(error["index"], error["field"]) for error in body["errors"]] == [(0, "timestamp"), (1, "item_id")]
    assert service.http.get("/readyz").json()["log_end"] == end


@pytest.mark.parametrize("content", [b"", b"   ", b"{", b"[1,", b"hello", b"\xff\xfe", b"[" * 5_000, b"[]", b"\n\n"])
def test_a_body_that_is_no_batch_is_refused(service: Running, content: bytes) -> None:
    assert_problem(service.http.post("/v1/events", content=content), 422)


def test_a_known_event_id_is_a_duplicate_inside_a_batch_and_across_requests(service: Running) -> None:
    first = service.applied([event("dup", event_id="d-1"), event("dup", event_id="d-1"), event("dup", event_id="d-2")])
    again = service.applied([event("dup", event_id="d-2"), event("dup", event_id="d-3")])
    only = service.applied(event("dup", event_id="d-1"))
    assert [(body["accepted"], body["duplicates"]) for body in (first, again, only)] == [(2, 1), (1, 1), (0, 1)]
    assert only["offset"] < first["offset"] < again["offset"]
    assert service.http.get("/v1/users/dup").json()["events"] == 3


def test_events_without_an_id_are_never_duplicates_and_cost_no_key(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[Append] = []
    append = service.services.log.append

    async def spy(records: Sequence[Append]) -> list[Appended]:
        appended.extend(records)
        return await append(records)

    monkeypatch.setattr(service.services.log, "append", spy)
    service.applied([event("twice"), event("twice"), event("twice", event_id="once")])
    assert service.http.get("/v1/users/twice").json()["events"] == 3
    assert [bool(record.dedupe) for record in appended] == [False, False, True]


def test_a_thousand_events_fit_and_one_more_does_not(service: Running) -> None:
    assert service.applied([event("many", f"m{i}") for i in range(1_000)])["accepted"] == 1_000
    end = service.http.get("/readyz").json()["log_end"]
    too_many = [event("many") for _ in range(1_001)]
    lines = "\n".join(json.dumps(one) for one in too_many)
    for content, kind in ((json.dumps(too_many), "application/json"), (lines, "application/x-ndjson")):
        answer = service.http.post("/v1/events", content=content, headers={"content-type": kind})
        body = assert_problem(answer, 422)
        assert "at most 1000 entries" in body["detail"]
        assert body["errors"][0]["value"] == "1001 entries"
    assert service.http.get("/readyz").json()["log_end"] == end


def test_eleven_megabytes_are_refused_whether_announced_or_not(service: Running) -> None:
    body = b" " * 11_000_000
    assert_problem(service.http.post("/v1/events", content=body), 413)
    chunks = (body[i : i + 100_000] for i in range(0, len(body), 100_000))
    assert_problem(service.http.post("/v1/events", content=chunks), 413)
    service.post(event("afterwards"))


def test_a_gzip_bomb_is_refused_before_it_inflates(service: Running) -> None:
    bomb = gzip.compress(b" " * 300_000_000)
    started = time.perf_counter()
    answer = service.http.post("/v1/events", content=bomb, headers={"content-encoding": "gzip"})
    assert_problem(answer, 413)
    assert time.perf_counter() - started < 1.0  # inflating all of it takes longer than the limit's 10 MB by far


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"[]")[:-4],
        gzip.compress(b"{}") + b"tail",
        b"",
        gzip.compress(b"[]")[:12] + b"\xff" * 9,
    ],
    ids=["plain text", "truncated", "with a tail", "empty", "corrupt"],
)
def test_broken_gzip_is_refused(service: Running, content: bytes) -> None:
    answer = service.http.post("/v1/events", content=content, headers={"content-encoding": "gzip"})
    assert "gzip" in assert_problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"content-encoding": "br"}, {"content-type": "text/csv"}, {"content-type": "application/x-www-form-urlencoded"}],
    ids=lambda headers: next(iter(headers.values())),
)
def test_other_types_and_encodings_are_refused(service: Running, headers: dict[str, str]) -> None:
    assert_problem(service.http.post("/v1/events", content=json.dumps(event()), headers=headers), 415)


def test_timestamps_are_floored_and_all_forms_mean_the_same(service: Running) -> None:
    forms: list[Any] = [1_700_000_000, 1_700_000_000.9, "2023-11-14T22:13:20Z", "2023-11-15T00:13:20.75+02:00"]
    service.applied([event("clock", f"i{i}", at) for i, at in enumerate(forms)])
    pairs = service.http.get("/v1/users/clock?pairs=true").json()["pairs"]
    assert {pair["last_at"] for pair in pairs} == {"2023-11-14T22:13:20Z"}


def test_an_event_without_timestamp_happens_now(live: Running) -> None:
    live.applied({"user_id": "now", "item_id": "a"})
    seen = live.http.get("/v1/users/now").json()
    shown = time.strptime(seen["last_event_at"], "%Y-%m-%dT%H:%M:%SZ")
    assert abs(time.mktime(shown) - time.mktime(time.gmtime())) <= 5
    assert seen["neighbours"] == [{"item_id": "a", "type": "view", "at": seen["last_event_at"]}]


def test_live_timestamps_may_be_ahead_by_a_tick_but_no_further(live: Running) -> None:
    ahead = int(time.time()) + live.services.model.spec.item_tick  # 100 s, less than 5 minutes
    body = live.post([event("ahead", at=ahead - 5), event("ahead", at=ahead + 5)])
    assert (body["accepted"], body["rejected"]) == (1, 1)
    assert body["errors"][0]["field"] == "timestamp"
    assert "100 seconds in the future" in body["errors"][0]["message"]


def test_errors_stand_in_the_order_of_the_batch(live: Running) -> None:
    later = int(time.time()) + 3_600
    body = live.post([event(at=later), event(item=""), event(at=later), event(at=1)])
    assert [error["index"] for error in body["errors"]] == [0, 1, 2]


def test_without_a_worker_events_are_kept_and_waiting_says_so(stalled: Running) -> None:
    started = time.perf_counter()
    answer = stalled.http.post("/v1/events?wait=applied", json=event())
    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.json()["applied"] is False
    assert answer.json()["accepted"] == 1
    assert 2.0 <= time.perf_counter() - started < 3.0


def test_a_wait_that_does_not_exist_is_refused(service: Running) -> None:
    body = assert_problem(service.http.post("/v1/events?wait=yes", json=event()), 422)
    assert body["errors"][0]["field"] == "wait"


def test_unknown_items_can_be_refused(strict: Running) -> None:
    strict.http.put("/v1/items/known", json={"title": "Known"}).raise_for_status()
    body = strict.applied([event("ann", "known"), event("ann", "unknown")])
    assert (body["accepted"], body["rejected"]) == (1, 1)
    assert body["errors"] == [
        {"index": 1, "field": "item_id", "value": "unknown", "message": "is not in the catalogue: put it there first"}
    ]
