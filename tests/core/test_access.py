"""Keys, scopes and rates, without files or HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.core.access import SCOPES, Bucket, Key, KeyFile, Scope, digest, find, scope_of


def key(name: str = "shop", given: str = "s", scopes: tuple[Scope, ...] = ("events",), **more: float) -> Key:
    return Key.model_validate({"name": name, "sha256": digest(given), "scopes": scopes, **more})


def test_a_key_is_found_by_what_was_given_and_by_nothing_else() -> None:
    keys = [key("a", "first"), key("b", "second")]
    assert find(keys, "second", 0.0) is keys[1]
    for wrong in ("", "secon", "second ", digest("second")):
        assert find(keys, wrong, 0.0) is None


def test_an_expired_key_is_none() -> None:
    keys = [key(given="s", expires=100)]
    assert find(keys, "s", 99.9) is keys[0]
    assert find(keys, "s", 100.0) is None


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_may_what_its_scopes_say_and_admin_may_everything(scope: Scope) -> None:
    assert key(scopes=(scope,)).may(scope)
    assert key(scopes=("admin",)).may(scope)
    assert [other for other in SCOPES if key(scopes=(scope,)).may(other)] == (
        list(SCOPES) if scope == "admin" else [scope]
    )


def test_names_and_digests_are_checked() -> None:
    for wrong in ({"name": "two words"}, {"sha256": "abc"}, {"scopes": []}, {"scopes": ["all"]}, {"per_second": 0}):
        with pytest.raises(ValidationError):
            Key.model_validate({"name": "n", "sha256": digest(""), "scopes": ["events"]} | wrong)
    with pytest.raises(ValidationError, match="keys of the same name: shop"):
        KeyFile(keys=(key(), key(given="t")))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/events", "events"),
        ("GET", "/v1/users/a/b/recommendations", "recommend"),
        ("DELETE", "/v1/users/a/recommendations", "privacy"),  # the user "a/recommendations" is erased by it
        ("PUT", "/v1/users/a/personalised", "privacy"),
        ("GET", "/v1/users/recommendations", "privacy"),
        ("GET", "/v1/items/x/similar", "recommend"),
        ("PATCH", "/v1/items/x/similar", "catalogue"),
        ("PUT", "/v1/items/trending", "catalogue"),
        ("POST", "/v1/rank", "recommend"),
        ("POST", "/v1/experiments", "models"),
        ("GET", "/metrics", "admin"),
        ("GET", "/docs", "admin"),
        ("GET", "/v1/what/comes/next", "admin"),
        ("GET", "/livez", None),
        ("GET", "/docs/assets/swagger-ui.css", None),
    ],
)
def test_each_request_needs_one_scope(method: str, path: str, scope: Scope | None) -> None:
    assert scope_of(method, path) == scope


@given(per_second=st.floats(0.1, 50.0), waits=st.lists(st.floats(0.0, 2.0), max_size=200))
def test_no_more_than_the_rate_and_one_burst_gets_through(per_second: float, waits: list[float]) -> None:
    bucket, now, taken = Bucket(per_second), 0.0, 0
    for wait in waits:
        now += wait
        before = bucket.level
        if bucket.take(now):
            taken += 1
            assert 0 <= bucket.remaining <= bucket.size
        else:
            assert bucket.wait > 0.0
            assert before + 1.0 - wait * per_second > bucket.size - 1e-9
    assert taken <= bucket.size + now * per_second + 1e-6


def test_after_the_wait_that_is_named_one_more_gets_through() -> None:
    bucket = Bucket(2.0)
    assert [bucket.take(10.0) for _ in range(3)] == [True, True, False]
    assert bucket.wait == pytest.approx(0.5)
    assert bucket.take(10.5)
