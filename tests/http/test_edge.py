"""What every answer has in common: problem+json, request ids, the key, a limit on what is under way."""

from __future__ import annotations

import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import StoreUnavailable
from tests.http.running import Running, assert_problem, event

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_routing_errors_are_problems(service: Running) -> None:
    assert_problem(service.http.get("/nowhere"), 404)
    assert_problem(service.http.get("/v1/events/"), 404)
    answer = service.http.delete("/v1/events")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_a_request_id_is_taken_over_if_it_is_one(service: Running) -> None:
    for given in ("abc-123", "A:b_c.9"):
        assert service.http.get("/livez", headers={"x-request-id": given}).headers["x-request-id"] == given
    for given in ("", "two words", "x" * 129, "<script>"):
        made = service.http.get("/livez", headers={"x-request-id": given}).headers["x-request-id"]
        assert re.fullmatch(UUID7, made)


def test_the_request_id_stands_in_the_list(service: Running) -> None:
    answer = service.http.get("/v1/users/ann/recommendations", headers={"x-request-id": "r-1"})
    assert answer.json()["request_id"] == "r-1"


def test_an_unforeseen_error_is_a_problem_without_details_and_a_log_line_with_them(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def explode(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.services.reader, "documents", explode)
    with caplog.at_level(logging.ERROR):
        answer = service.http.get("/v1/items/any", headers={"x-request-id": "boom"})
    body = assert_problem(answer, 500)
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert body["request_id"] == "boom"


def test_a_store_that_does_not_answer_is_a_503_that_says_when_to_come_back(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise StoreUnavailable("log: Timeout")

    monkeypatch.setattr(service.services.log, "append", silent)
    answer = service.http.post("/v1/events", json=event())
    assert_problem(answer, 503)
    assert answer.headers["retry-after"] == "1"


def test_requests_above_the_limit_are_turned_away_at_once(narrow: Running) -> None:
    def wait(_: int) -> int:
        return narrow.http.get("/v1/users/ann/recommendations?min_offset=1000000").status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(wait, range(12)))
    assert statuses.count(200) >= 2  # the limit
    assert statuses.count(503) >= 5
    assert narrow.http.get("/livez").status_code == 200


def test_half_a_request_does_not_disturb_the_service(service: Running) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head)
    service.post(event("undisturbed"))


def test_bytes_that_are_no_http_are_refused(service: Running) -> None:
    assert b" 400 " in service.send_raw(b"\x16\x03\x01 what is this\r\n\r\n").splitlines()[0]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, False),
        ({"authorization": "Bearer s3cret"}, True),
        ({"authorization": "bearer s3cret"}, True),
        ({"x-api-key": "s3cret"}, True),
        ({"authorization": "Bearer s3cre"}, False),
        ({"authorization": "Bearer s3crets"}, False),
        ({"authorization": "Basic s3cret"}, False),
        ({"x-api-key": "S3CRET"}, False),
        ({"x-api-key": ""}, False),
    ],
)
def test_the_api_is_behind_the_key(keyed: Running, headers: dict[str, str], allowed: bool) -> None:
    answers = [
        keyed.http.post("/v1/events", json=event(), headers=headers),
        keyed.http.get("/v1/users/ann/recommendations", headers=headers),
        keyed.http.put("/v1/items/a", json={}, headers=headers),
    ]
    for answer in answers:
        if allowed:
            assert answer.is_success
        else:
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    if not allowed:
        assert_problem(keyed.http.get("/v1/nowhere", headers=headers), 401)


def test_probes_are_open(keyed: Running) -> None:
    for path in ("/livez", "/readyz", "/version"):
        assert keyed.http.get(path).status_code == 200
