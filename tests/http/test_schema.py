"""The whole OpenAPI document, by Schemathesis: no 5xx, no status or shape that it does not name, nothing slow."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.conftest import Start
from tests.http.running import Running, event

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CASES = 10_000
SLOW = 2.0
"""Seconds that no case may take, were it asked alone."""
AGAIN = 3
"""Times that a slow case is asked again: the machine may have been busy with something else."""

log = logging.getLogger("tests.schema")


@pytest.fixture(scope="module")
def shop(start: Start) -> Iterator[Running]:
    """With items, users and a list that was shown, under ids that generated cases may meet in examples."""
    with start(state_timeout=5.0, log_timeout=5.0) as running:
        running.applied([event("u-17", "shoe-42"), event("u-18", "boot-7")])
        running.recommend("u-17")
        yield running


def operations(shop: Running) -> list[Any]:
    document = shop.http.get("/openapi.json").json()
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    return [one.ok() for one in found]


def run(
    shop: Running, operation: Any, examples: int, session: requests.Session, start: int = 0
) -> list[tuple[float, str]]:
    """Seconds of each case, and what it was. start: of the chance that cases are made by."""
    took: list[tuple[float, str]] = []

    @seed(start)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        seconds, answer = call(case)
        case.validate_response(answer, checks=CHECKS)
        for _ in range(AGAIN):
            seconds = seconds if seconds < SLOW else min(seconds, call(case)[0])
        took.append((seconds, operation.label))

    def call(case: Any) -> tuple[float, Any]:
        begun = time.perf_counter()
        answer = case.call(base_url=f"http://127.0.0.1:{shop.port}", session=session, timeout=30)
        return time.perf_counter() - begun, answer

    check()
    return took


def test_every_operation_answers_as_it_is_documented(shop: Running) -> None:
    with requests.Session() as session:
        for operation in operations(shop):
            assert max(run(shop, operation, 6, session))[0] < SLOW


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_ten_thousand_cases_answer_as_it_is_documented_and_none_slowly(shop: Running) -> None:
    took: list[tuple[float, str]] = []
    with requests.Session() as session:
        found = operations(shop)
        for start, operation in ((start, operation) for start in count() for operation in found):
            if len(took) >= CASES:
                break
            took += run(shop, operation, CASES // len(found) + 50, session, start)
    log.info("%d cases of %d operations, the slowest %s", len(took), len(found), sorted(took, reverse=True)[:5])
    assert max(took)[0] < SLOW, max(took)
