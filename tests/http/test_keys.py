"""Who is let in: every route, every scope, no key; rates; keys that change; the audit log; headers."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from service.adapters.key_file import LOOK_SECONDS, add_key, revoke_key
from service.api.app import create_app
from service.core.access import SCOPES, Scope, scope_of
from service.errors import ConfigurationError
from service.settings import load_settings
from service.wiring_gate import gate_of
from tests.http.conftest import Start
from tests.http.running import Running, assert_problem, event

DEADLINE = 20.0
SHOWN = "/v1/users/ann/recommendations"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def keys(files: Path) -> dict[Scope, str]:
    """One key a scope, and their file."""
    return {scope: add_key(files / "keys.json", scope, [scope]) for scope in SCOPES}


@pytest.fixture(scope="module")
def guarded(start: Start, files: Path, keys: dict[Scope, str]) -> Iterator[Running]:
    with start(keys_file=files / "keys.json", audit_file=files / "audit.jsonl", api_key="root") as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def routes(service: Running) -> list[tuple[str, str]]:
    """(method, a path) of everything that is served."""
    found = service.http.get("/openapi.json", headers=bearer("root")).json()["paths"]
    listed = [(method.upper(), path) for path, operations in found.items() for method in operations]
    assert len(listed) > 25
    return [*listed, ("GET", "/docs"), ("GET", "/openapi.json")]


def test_every_route_lets_in_its_own_scope_and_admin_and_nobody_else(guarded: Running, keys: dict[Scope, str]) -> None:
    for method, template in routes(guarded):
        path = re.sub(r"\{[^}]*\}", "nobody", template)
        needed = scope_of(method, path)
        for scope, key in keys.items():
            status = guarded.http.request(method, path, headers=bearer(key), json={}).status_code
            assert (status == 403) == (needed is not None and scope not in (needed, "admin")), (method, path, scope)
            assert status != 401
        for headers in ({}, bearer("pgr_wrong"), {"x-api-key": ""}):
            status = guarded.http.request(method, path, headers=headers, json={}).status_code
            assert (status == 401) == (needed is not None), (method, path, headers)


def test_a_route_that_nobody_thought_of_needs_admin(guarded: Running) -> None:
    known = {"events", "recommend", "catalogue", "models", "privacy"}
    for route in create_app(guarded.services).routes:
        if isinstance(route, APIRoute) and route.path.startswith("/v1"):
            for method in route.methods:
                assert scope_of(method, re.sub(r"\{[^}]*\}", "x", route.path)) in known, route.path


def test_the_document_names_the_scope_of_each_route(guarded: Running) -> None:
    document = guarded.http.get("/openapi.json", headers=bearer("root")).json()["paths"]
    assert document["/v1/events"]["post"]["x-scope"] == "events"
    assert "x-scope" not in document["/livez"]["get"]


def test_a_refusal_says_what_the_key_may_and_what_is_needed(guarded: Running, keys: dict[Scope, str]) -> None:
    body = assert_problem(guarded.http.post("/v1/events", json=event(), headers=bearer(keys["recommend"])), 403)
    assert body["detail"] == "key 'recommend' may recommend; this needs events"
    assert_problem(guarded.http.get(SHOWN), 401)


def test_a_key_may_come_as_x_api_key_and_from_a_browsers_prompt(guarded: Running, keys: dict[Scope, str]) -> None:
    assert guarded.http.get(SHOWN, headers={"x-api-key": keys["recommend"]}).status_code == 200
    asked = guarded.http.get("/docs")
    assert asked.headers["www-authenticate"] == 'Basic realm="Peregrine"'
    prompt = base64.b64encode(f"any:{keys['admin']}".encode()).decode()
    assert guarded.http.get("/docs", headers={"authorization": f"Basic {prompt}"}).status_code == 200
    for broken in ("Basic", "Basic %%%", "Basic " + base64.b64encode(b"\xff\xfe").decode()):
        assert_problem(guarded.http.get("/docs", headers={"authorization": broken}), 401)


def test_a_key_above_its_rate_is_told_when_to_come_back(guarded: Running, files: Path) -> None:
    key = add_key(files / "keys.json", "slow", ["recommend"], per_second=2)
    until_known(guarded, key)
    time.sleep(1.0)
    answers = [guarded.http.get(SHOWN, headers=bearer(key)) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[0].headers["ratelimit-limit"] == "2"
    assert int(answers[0].headers["ratelimit-remaining"]) <= 1
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_problem(refused, 429)
    assert refused.headers["retry-after"] == "1"
    assert guarded.http.get(SHOWN, headers=bearer("root")).status_code == 200  # others are not held up


def test_keys_come_and_go_without_a_restart_and_a_broken_file_changes_nothing(guarded: Running, files: Path) -> None:
    path = files / "keys.json"
    first = add_key(path, "rotated", ["recommend"])
    until_known(guarded, first)
    second = add_key(path, "rotated", ["recommend"])
    until_known(guarded, second)
    assert_problem(guarded.http.get(SHOWN, headers=bearer(first)), 401)
    good = path.read_bytes()
    path.write_text("{")
    time.sleep(2 * LOOK_SECONDS)
    assert guarded.http.get(SHOWN, headers=bearer(second)).status_code == 200
    path.write_bytes(good)
    revoke_key(path, "rotated")
    until(lambda: guarded.http.get(SHOWN, headers=bearer(second)).status_code == 401)


def test_the_audit_log_says_who_did_what_and_nothing_about_whom(guarded: Running, files: Path) -> None:
    headers = bearer("root") | {"x-request-id": "audited"}
    guarded.http.delete("/v1/users/secret-person", headers=headers)
    guarded.http.get("/v1/users/secret-person/profile", headers=headers)
    guarded.http.get(SHOWN, headers=headers)
    guarded.http.post("/v1/events", json=event(), headers=headers)
    guarded.http.delete("/v1/users/secret-person", headers={"x-request-id": "audited"})
    text = (files / "audit.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["request_id"] == "audited"]
    assert [(line["key"], line["method"], line["path"], line["status"]) for line in lines] == [
        ("api_key", "DELETE", "/v1/users/{user_id}", 202),
        ("api_key", "GET", "/v1/users/{user_id}/profile", 404),
        (None, "DELETE", "/v1/users/{user_id}", 401),
    ]
    assert "secret-person" not in text


def test_answers_carry_security_headers_and_the_page_may_run_its_own_scripts_only(guarded: Running) -> None:
    headers = guarded.http.get("/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    page = guarded.http.get("/docs", headers=bearer("root"))
    policy = page.headers["content-security-policy"]
    assert re.search(r"script-src 'self' 'sha256-[A-Za-z0-9+/=]{44}';", policy)
    assert "access-control-allow-origin" not in page.headers


def test_browsers_of_named_origins_may_call(start: Start) -> None:
    with start(cors_origins="https://shop.example, https://m.shop.example") as service:
        asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
        assert service.http.options("/v1/events", headers=asked).status_code == 200
        answer = service.http.get(SHOWN, headers={"origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert (
            "access-control-allow-origin"
            not in service.http.get(SHOWN, headers={"origin": "https://x.example"}).headers
        )


def test_a_key_file_that_cannot_be_read_stops_the_start_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.json cannot be read: No such file"):
        gate_of(load_settings(keys_file=tmp_path / "gone.json"))
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"keys": [{"name": "a", "sha256": "x", "scopes": ["all"]}]}')
    with pytest.raises(ConfigurationError, match=r"keys\.0\.sha256: .*; keys\.0\.scopes\.0: "):
        gate_of(load_settings(keys_file=wrong))


def until_known(service: Running, key: str) -> None:
    until(lambda: service.http.get(SHOWN, headers=bearer(key)).status_code == 200)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
