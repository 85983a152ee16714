"""Probes, version and documents."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

from service.api.app import create_app
from tests.http.running import Running, assert_problem, event


def test_readyz_tells_where_the_replica_stands(service: Running) -> None:
    offset = service.applied(event("ann", "ready"))["offset"]
    body = service.http.get("/readyz").json()
    assert body["ready"] is True
    assert body["offset"] >= offset
    assert body["log_end"] - body["offset"] == body["lag"]
    assert body["items"] >= 1


def test_readyz_says_no_on_the_way_down(service: Running) -> None:
    service.services.draining = True
    try:
        answer = service.http.get("/readyz")
    finally:
        service.services.draining = False
    body = assert_problem(answer, 503)
    assert body["reasons"] == ["shutting down"]
    assert "retry-after" in answer.headers


def test_version_names_release_and_weights(service: Running, bare: Running) -> None:
    assert service.http.get("/version").json() == {
        "name": "peregrine",
        "version": version("peregrine-recsys"),
        "model": "toy-1",
        "preset": "peregrine",
        "bundle": "toy",
        "clock": "event",
    }
    assert bare.http.get("/version").json()["bundle"] == "none"


def test_the_documents_need_no_internet(service: Running) -> None:
    page = service.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in re.sub(r"<!--.*?-->|//[^'\"/]*$", "", page.text, flags=re.M).replace("<!DOCTYPE", "")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert service.http.get(link).status_code == 200
    assert_problem(service.http.get("/docs/assets/../../settings.py"), 404)


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_answer_has_an_example_and_every_error_is_a_problem(service: Running) -> None:
    document = service.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            ((kind, content),) = response["content"].items()
            if kind == "text/plain":
                assert content["example"], (name, status)
                continue
            schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
            assert schema["examples"], (name, status)
            assert (kind == "application/problem+json") == (int(status) >= 400), (name, status)
            assert response["description"], (name, status)
        assert operation["summary"], name
        if "/v1/" in name:
            assert {"401", "422", "500", "503"} <= set(operation["responses"]), name


def test_every_request_body_has_an_example_that_is_accepted(service: Running) -> None:
    document = service.http.get("/openapi.json").json()
    bodies = {
        name: operation["requestBody"]["content"]["application/json"]
        for name, operation in operations(document)
        if "requestBody" in operation
    }
    assert set(bodies) == {
        "post /v1/events",
        "post /v1/experiments",
        "post /v1/items/bulk",
        "post /v1/models/{version}/rollout",
        "post /v1/rank",
        "post /v1/recommendations",
        "post /v1/recommendations/batch",
        "patch /v1/items/{item_id}",
        "put /v1/items/{item_id}",
        "put /v1/users/{user_id}/personalised",
        "put /v1/users/{user_id}/profile",
    }
    service.applied(event("described"))
    for of_models in ("post /v1/experiments", "post /v1/models/{version}/rollout"):
        del bodies[of_models]  # these need a registry: test_models
    for name, content in sorted(bodies.items(), reverse=True):  # put, post, patch
        method, path = name.split(" ")
        example = content.get("example") or content["schema"]["examples"][0]
        name_of = "described" if path.endswith("/profile") else "example"  # the other one is switched off by then
        answer = service.http.request(method, re.sub("{.*}", name_of, path), json=example)
        assert answer.is_success, (name, answer.text)


def test_references_of_the_document_resolve(service: Running) -> None:
    document = service.http.get("/openapi.json").json()
    for reference in set(re.findall(r'"#/components/([^"]+)"', json.dumps(document))):
        kind, name = reference.split("/")
        assert name in document["components"][kind]


def test_the_document_asks_for_the_key_only_where_one_is_set(service: Running, keyed: Running) -> None:
    cases: list[tuple[Running, list[dict[str, list[str]]]]] = [(service, []), (keyed, [{"bearer": []}, {"header": []}])]
    for running, expected in cases:
        for name, operation in operations(create_app(running.services).openapi()):
            assert operation.get("security", []) == (expected if "/v1/" in name or "/metrics" in name else [])
