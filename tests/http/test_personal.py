"""What a person may ask for over HTTP: the off switch, erasure, and everything that is stored about them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from service.api import export
from tests.http.running import Running, assert_problem, event
from tests.process.toy import TOY_SPEC

START = 1_700_000_000


def switch(service: Running, user: str, on: Any, **params: str) -> Any:
    return service.http.put(f"/v1/users/{user}/personalised", json={"personalised": on}, params=params)


def lines_of(service: Running, user: str) -> list[dict[str, Any]]:
    with service.http.stream("GET", f"/v1/users/{user}/export") as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.iter_lines()]


def test_a_user_who_is_switched_off_gets_the_list_of_an_unknown_one(service: Running) -> None:
    service.applied([event("shy", "a", START), event("shy", "b", START), event("bold", "c", START)])
    before = service.recommend("shy", exclude_seen=True)
    assert (before["strategy"], before["personalised"]) == ("model", True)
    answer = switch(service, "shy", False)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body == {"user_id": "shy", "personalised": False, "offset": body["offset"], "applied": True}
    service.applied([event("shy", "c", START + 60)])
    after, unknown = service.recommend("shy", exclude_seen=True), service.recommend("never-seen", exclude_seen=True)
    assert (after["strategy"], after["personalised"]) == ("impersonal", False)
    assert after["items"] == unknown["items"]
    assert after["state"]["events_seen"] == 0
    known = service.http.get("/v1/users/shy?pairs=true").json()
    assert (known["personalised"], known["events"], known["items"], known["last_event_at"]) == (False, 0, 0, None)
    assert known["pairs"] == known["neighbours"] == []


def test_a_user_who_is_switched_on_again_begins_from_nothing(service: Running) -> None:
    service.applied([event("back", "a", START)])
    switch(service, "back", False)
    assert switch(service, "back", True).json()["applied"]
    assert_problem(service.http.get("/v1/users/back"), 404)
    service.applied([event("back", "b", START + 60)])
    body = service.http.get("/v1/users/back").json()
    assert (body["personalised"], body["events"]) == (True, 1)


def test_switching_can_be_asked_for_without_waiting(stalled: Running) -> None:
    answer = switch(stalled, "ann", False, wait="logged")
    assert answer.status_code == 202
    assert set(answer.json()) == {"user_id", "personalised", "offset"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"personalised": 0}', b'{"personalised": "no"}', b"{}"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(stalled: Running, body: bytes) -> None:
    assert_problem(stalled.http.put("/v1/users/ann/personalised", content=body), 422)


def test_unknown_members_and_parameters_are_refused(stalled: Running) -> None:
    path = "/v1/users/ann/personalised"
    problem = assert_problem(stalled.http.put(path, json={"personalised": False, "why": 1}), 422)
    assert problem["errors"][0]["field"] == "why"
    assert_problem(stalled.http.put(path, json={"personalised": False}, params={"wait": "ever"}), 422)
    assert_problem(stalled.http.delete("/v1/users/ann", params={"wait": "ever"}), 422)
    assert_problem(stalled.http.put(path, content=b"x", headers={"content-type": "text/plain"}), 415)


@pytest.mark.parametrize("user", ["a%0Ab", "x" * 257, "%00"])
def test_ids_that_no_event_can_have_are_refused(stalled: Running, user: str) -> None:
    assert stalled.http.put(f"/v1/users/{user}/personalised", json={"personalised": False}).status_code in {404, 422}
    assert stalled.http.delete(f"/v1/users/{user}").status_code in {404, 422}
    assert stalled.http.get(f"/v1/users/{user}/export").status_code in {404, 422}


def test_an_erased_user_is_hidden_when_the_answer_comes(service: Running) -> None:
    service.applied([event("leaver", "a", START)])
    answer = service.http.delete("/v1/users/leaver")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["applied"]) == ("pending", True)
    assert "until the next rebuild" in body["note"]
    assert_problem(service.http.get("/v1/users/leaver"), 404)
    assert service.recommend("leaver", exclude_seen=True)["state"]["events_seen"] == 0
    assert lines_of(service, "leaver") == [{"record": "end", "offset": body["offset"], "events": 0}]
    found = service.http.get(answer.headers["location"]).json()
    assert (found["erasure_id"], found["status"], found["offset"]) == (body["erasure_id"], "pending", body["offset"])
    assert found["completed_at"] is None
    assert found["requested_at"].startswith("20")
    assert "leaver" not in json.dumps(found)


def test_a_user_nobody_knows_can_be_erased_and_so_can_one_twice(service: Running) -> None:
    first, second = (service.http.delete("/v1/users/never-there").json() for _ in range(2))
    assert first["erasure_id"] != second["erasure_id"]
    assert second["offset"] > first["offset"]


def test_erasing_can_be_asked_for_without_waiting_and_without_a_worker(stalled: Running) -> None:
    answer = stalled.http.delete("/v1/users/ann", params={"wait": "logged"})
    assert answer.status_code == 202
    assert "applied" not in answer.json()
    assert stalled.http.get(answer.headers["location"]).json()["status"] == "pending"


def test_an_erasure_that_never_was_is_not_found(service: Running) -> None:
    assert_problem(service.http.get("/v1/erasures/0199aa11"), 404)


def test_an_export_holds_the_record_and_every_event_and_says_where_it_ends(service: Running) -> None:
    posted = [
        event("known", "a", START, event_id="known-1", session_id="s", properties={"colour": "green"}),
        event("known", "b", START + 60, type="click", value=2.5),
        event("somebody-else", "a", START, properties={"of": "known"}),
    ]
    service.applied(posted)
    lines = lines_of(service, "known")
    kinds = [line["record"] for line in lines]
    assert kinds == ["user", "neighbour", "neighbour", "pair", "pair", "event", "event", "end"]
    user, newest, _, pair, _, first, second, end = lines
    assert (user["user_id"], user["personalised"], user["events"], user["items"]) == ("known", True, 2, 2)
    assert len(user["state"]["m"]) == TOY_SPEC.dim
    assert (newest["item_id"], newest["type"], newest["at"]) == ("b", "click", "2023-11-14T22:14:20Z")
    assert (pair["item_id"], pair["count"], len(pair["decayed"])) == ("a", 1, 3)
    assert first == {
        "record": "event",
        "offset": first["offset"],
        "event_id": "known-1",
        "item_id": "a",
        "type": "purchase",
        "timestamp": "2023-11-14T22:13:20Z",
        "value": 0.0,
        "session_id": "s",
        "properties": {"colour": "green"},
    }
    assert (second["item_id"], second["type"], second["value"]) == ("b", "click", 2.5)
    assert end["events"] == 2
    assert end["offset"] >= second["offset"]


def test_an_export_names_switches_and_leaves_out_what_is_being_erased(service: Running) -> None:
    service.applied([event("both", "a", START)])
    switch(service, "both", False)
    assert [(line["record"], line.get("personalised")) for line in lines_of(service, "both")] == [
        ("user", False),
        ("event", None),
        ("switch", False),
        ("end", None),
    ]
    service.http.delete("/v1/users/both")
    service.applied([event("both", "b", START + 60)])
    events = [line for line in lines_of(service, "both") if line["record"] == "event"]
    assert [line["item_id"] for line in events] == ["b"]


def test_an_export_goes_through_a_long_log_in_chunks(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 7)
    service.applied([event(("long" if n % 2 else "other"), f"i{n}", START + n) for n in range(60)])
    lines = lines_of(service, "long")
    assert [line["item_id"] for line in lines if line["record"] == "event"] == [f"i{n}" for n in range(1, 60, 2)]


def test_too_many_exports_at_once_are_put_off(service: Running) -> None:
    service.services.exports += export.MOST
    try:
        answer = service.http.get("/v1/users/ann/export")
    finally:
        service.services.exports -= export.MOST
    assert_problem(answer, 503)
    assert answer.headers["retry-after"] == "30"
    assert lines_of(service, "ann")[-1]["record"] == "end"
    assert service.services.exports == 0


def test_log_lines_hold_no_user_id(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/v1/users/s3cretive", "/v1/users/s3cretive/recommendations?k=0", "/v1/users/s3cretive/else"):
        assert service.http.get(path).status_code >= 400
    assert "/v1/users/{user_id}/recommendations" in caplog.text
    assert "s3cretive" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("peregrine")
    )
