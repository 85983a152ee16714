"""The hot route is found without the router, and is the route that the router would have found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from starlette.routing import Match

from service.api.hot_route import _user
from service.api.recommendations import UserId, get_recommendations, router
from tests.http.running import Running, assert_problem

IDS = TypeAdapter[str](UserId)
pieces = st.sampled_from(["/v1/users/", "/recommendations", "/", "ann", "\x1f", "ä", "%2F", "x" * 250, "?", ""])


def routed(path: str) -> str | None:
    """The user by the router and the checks of its route; None for another route, or an id that is refused."""
    for route in router.routes:
        match, scope = route.matches({"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []})
        if match is Match.FULL:
            assert getattr(route, "endpoint", None) is get_recommendations
            try:
                return IDS.validate_python(scope["path_params"]["user_id"])
            except ValidationError:
                return None
    return None


@settings(max_examples=500, deadline=None)
@given(
    path=st.tuples(
        st.sampled_from(["/v1/users/", "/v1/users/", ""]),
        st.lists(pieces | st.text(max_size=5), max_size=4).map("".join),
        st.sampled_from(["/recommendations", "/recommendations", ""]),
    ).map("".join)
)
def test_it_takes_what_the_router_would_give_it(path: str) -> None:
    assert _user(path) == routed(path)


@pytest.mark.parametrize("path", ["/v1/users/ann/recommendations", "/v1/users/a/recommendations/recommendations"])
def test_what_goes_wrong_in_it_is_a_problem_like_any_other(service: Running, path: str) -> None:
    assert service.http.get(path).status_code == 200
    problem = assert_problem(service.http.get(f"{path}?k=0"), 422)
    assert [error["field"] for error in problem["errors"]] == ["k"]
    assert problem["instance"] == path
    assert service.http.post(path).status_code == 405
    metrics = service.http.get("/metrics").text
    assert 'route="/v1/users/{user_id:path}/recommendations",status="422"' in metrics
