"""Profiles over HTTP, on real stores: made by a fake language model, shown, changed, reset, gone when they must be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from service.client import Client, NotFound
from service.errors import ConfigurationError
from service.settings import load_settings
from tests.http.conftest import Start
from tests.http.running import Running, assert_problem, event
from tests.profiles.endpoint import FakeEndpoint
from tests.profiles.running import facet_bundle, profiler, until

START = 1_700_000_000
TITLES = {
    "shoe": "Trail running shoe",
    "vest": "Running vest",
    "tea": "Green tea",
    "pot": "Tea pot",
    "lamp": "Desk lamp",
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def shop(start: Start, fake: FakeEndpoint) -> Iterator[Running]:
    """With a catalogue, chat and embeddings from the fake endpoint, and no profiler yet."""
    with start(
        facet_bundle(), chat_url=fake.url, chat_model="small", chat_api_key="k3y", embed_url=fake.url,
        embed_model="words", profiler_seconds=0.02, profile_nearness=0.1, state_timeout=5.0,
    ) as running:  # fmt: skip
        for item_id, title in TITLES.items():
            answer = running.http.put(f"/v1/items/{item_id}", json={"title": title, "category": title.split()[-1]})
            assert answer.is_success, answer.text
        yield running


@contextmanager
def profiled(shop: Running) -> Iterator[None]:
    with profiler(shop.settings, facet_bundle()):
        yield


def buys(shop: Running, user: str, *items: str, at: int = START) -> None:
    shop.applied([event(user, item, at + place) for place, item in enumerate(items)])


def profile(shop: Running, user: str) -> dict[str, Any]:
    answer = shop.http.get(f"/v1/users/{user}/profile")
    body: dict[str, Any] = answer.json()
    return body if answer.is_success else {}


def scores(shop: Running, user: str) -> dict[str, float]:
    return {item["item_id"]: item["score"] for item in shop.recommend(user)["items"]}


def test_events_become_a_profile_and_the_next_list_is_another(shop: Running) -> None:
    buys(shop, "ann", "shoe", "vest", "tea")
    assert_problem(shop.http.get("/v1/users/ann/profile"), 404)
    before, state = scores(shop, "ann"), shop.recommend("ann")["state"]
    assert (state["profile_source"], state["profile_made_at"]) == (None, None)
    with profiled(shop):
        until(lambda: bool(profile(shop, "ann")))
    found = profile(shop, "ann")
    assert found["facets"]["category"] == {"phrases": ["tea", "vest", "shoe"], "status": "made"}
    assert "running" in [phrase.casefold() for phrase in found["facets"]["interest"]["phrases"]]
    assert (found["source"], found["model"], found["embedder"]) == ("chat", "small", "words")
    assert found["made_from"]["items"] == ["tea", "vest", "shoe"]
    assert found["made_from"]["events"] == 3
    assert found["age_seconds"] < 600
    assert found["in_use"] == ["crowd", "interest", "category"]
    after = scores(shop, "ann")
    assert after.keys() == before.keys()
    assert max(abs(after[item] - before[item]) for item in after) > 1e-3
    explained = shop.recommend("ann", explain=True)
    assert explained["state"]["profile_source"] == "chat"
    assert {item["item_id"]: item["score"] for item in explained["items"]} == after
    facets = {facet for item in explained["items"] for facet in item["reason"]["facets"]}
    assert facets
    assert facets <= {"crowd", "interest", "category"}  # there is no brand
    carried = {name for item in explained["items"] for name in item["reason"]["items"]}
    assert carried
    assert carried <= {"shoe", "vest", "tea"}
    assert {item["item_id"] for item in explained["items"] if item["reason"]["again"]} == {"shoe", "vest", "tea"}
    assert "reason" not in shop.recommend("ann")["items"][0]
    assert not any(item["reason"]["facets"] for item in shop.recommend("nobody", explain=True)["items"])


def test_with_the_endpoint_down_nothing_changes_but_the_age_of_profiles(shop: Running, fake: FakeEndpoint) -> None:
    buys(shop, "bea", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "bea")))
        old = profile(shop, "bea")
        fake.down = True
        try:
            buys(shop, "bea", *["pot"] * 6, at=START + 60)
            buys(shop, "cem", "tea", "pot", "lamp")
            shop.http.post("/v1/users/bea/profile/refresh")
            until(lambda: shop.http.get("/v1/users/cem").is_success)
            asked = len(fake.asked)
            for user in ("bea", "cem"):
                assert shop.recommend(user)["strategy"] == "model"
            assert shop.recommend("bea")["degraded"] == []
            new = profile(shop, "bea")
            assert {**new, "age_seconds": 0} == {**old, "age_seconds": 0}
            assert profile(shop, "cem") == {}
            assert len(fake.asked) == asked
        finally:
            fake.down = False


def test_what_a_person_changes_is_in_force_at_once_and_stays(shop: Running) -> None:
    buys(shop, "dan", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "dan")))
    changed = shop.http.put("/v1/users/dan/profile", json={"override": {"interest": ["chess"]}, "block": ["crowd"]})
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert body["facets"]["interest"] == {"phrases": ["chess"], "status": "overridden"}
    assert body["facets"]["crowd"] == {"phrases": [], "status": "blocked"}
    assert body["in_use"] == ["category"]
    with profiled(shop):
        until(lambda: profile(shop, "dan")["in_use"] == ["interest", "category"])
    again = shop.http.put("/v1/users/dan/profile", json={}).json()
    assert again["facets"]["crowd"]["status"] == "made"
    assert again["facets"]["crowd"]["phrases"]


def test_a_reset_takes_everything_and_a_refresh_brings_it_back(shop: Running) -> None:
    buys(shop, "eve", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "eve")))
        shop.http.put("/v1/users/eve/profile", json={"block": ["crowd"]})
        until(lambda: profile(shop, "eve")["in_use"] == ["interest", "category"])
    assert shop.http.delete("/v1/users/eve/profile").json() == {"user_id": "eve", "status": "reset"}
    assert_problem(shop.http.get("/v1/users/eve/profile"), 404)
    assert shop.recommend("eve")["state"]["profile_source"] is None
    assert shop.http.post("/v1/users/eve/profile/refresh").json() == {"user_id": "eve", "status": "queued"}
    with profiled(shop):
        until(lambda: bool(profile(shop, "eve")))
    assert profile(shop, "eve")["facets"]["crowd"]["status"] == "made"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"override": {"mood": ["x"]}}, "override"), ({"override": {"interest": []}}, "override.interest"),
        ({"override": {"interest": ["see evil.com"]}}, "override.interest.0"), ({"block": ["mood"]}, "block.0"),
        ({"override": {"interest": ["devout christians"]}}, "override.interest.0"), ({"other": 1}, "other"),
        ({"override": {"interest": ["x" * 61]}}, "override.interest.0"),
    ],
)  # fmt: skip
def test_changes_that_no_profile_may_hold_are_refused(shop: Running, body: Any, field: str) -> None:
    problem = assert_problem(shop.http.put("/v1/users/ann/profile", json=body), 422)
    assert problem["errors"][0]["field"].startswith(field)


def test_a_facet_cannot_be_overridden_and_blocked(shop: Running) -> None:
    body = {"override": {"interest": ["chess"]}, "block": ["interest"]}
    assert_problem(shop.http.put("/v1/users/ann/profile", json=body), 422)


def test_nobody_is_described_who_is_unknown_or_switched_off(shop: Running) -> None:
    assert_problem(shop.http.put("/v1/users/nobody/profile", json={"block": ["crowd"]}), 404)
    assert_problem(shop.http.post("/v1/users/nobody/profile/refresh"), 404)
    buys(shop, "shy", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "shy")))
        assert shop.http.put("/v1/users/shy/personalised", json={"personalised": False}).json()["applied"]
        assert_problem(shop.http.get("/v1/users/shy/profile"), 404)
        assert_problem(shop.http.put("/v1/users/shy/profile", json={"block": ["crowd"]}), 409)
        assert_problem(shop.http.post("/v1/users/shy/profile/refresh"), 409)
        buys(shop, "shy", "shoe", "vest", "tea", at=START + 60)
        buys(shop, "next", "shoe", "vest", "tea", at=START + 120)
        until(lambda: bool(profile(shop, "next")))  # whoever comes later has been looked at
    assert_problem(shop.http.get("/v1/users/shy/profile"), 404)
    assert shop.recommend("shy")["state"]["profile_source"] is None


def test_an_erased_users_profile_is_gone_when_the_answer_comes(shop: Running) -> None:
    buys(shop, "leaver", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "leaver")))
        assert shop.http.delete("/v1/users/leaver").json()["applied"]
        assert_problem(shop.http.get("/v1/users/leaver/profile"), 404)


def test_an_export_holds_the_profile(shop: Running) -> None:
    buys(shop, "exported", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "exported")))
    lines = [json.loads(line) for line in shop.http.get("/v1/users/exported/export").text.splitlines()]
    [found] = [line for line in lines if line["record"] == "profile"]
    assert found["facets"]["category"]["phrases"] == ["tea", "vest", "shoe"]
    assert {name: len(vector) for name, vector in found["vectors"].items()} == dict.fromkeys(found["facets"], 256)


def test_lines_of_the_log_hold_no_title_no_answer_no_user_and_no_key(
    shop: Running, fake: FakeEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    buys(shop, "s3cretive", "shoe", "vest", "tea")
    with profiled(shop):
        until(lambda: bool(profile(shop, "s3cretive")))
    assert "outdated_profiles" in caplog.text
    for secret in ("s3cretive", "Trail", "running", "fans of", "k3y", "Green"):
        assert secret not in caplog.text


def test_the_client_reaches_all_of_it(shop: Running) -> None:
    user = "clara / ö?"
    buys(shop, user, "shoe", "vest", "tea")
    with Client(f"http://127.0.0.1:{shop.port}") as client:
        with pytest.raises(NotFound):
            client.get_profile(user)
        assert client.edit_profile(user, {"block": ["brand"]})["facets"]["brand"]["status"] == "blocked"
        assert client.refresh_profile(user)["status"] == "queued"
        assert client.reset_profile(user)["status"] == "reset"
        with pytest.raises(NotFound):
            client.get_profile(user)


def test_chat_and_embedder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEREGRINE_CHAT_URL", "http://127.0.0.1/v1")
    with pytest.raises(ConfigurationError, match="PEREGRINE_CHAT_URL and PEREGRINE_CHAT_MODEL belong together"):
        load_settings()
    monkeypatch.setenv("PEREGRINE_CHAT_MODEL", "small")
    load_settings()
    monkeypatch.setenv("PEREGRINE_CHAT_URL", "ftp://host")
    with pytest.raises(ConfigurationError, match="PEREGRINE_CHAT_URL"):
        load_settings()


def test_metrics_tell_of_the_profile_path(shop: Running) -> None:
    def metric(name: str) -> float:
        lines = shop.http.get("/metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"peregrine_profile_{name} "))

    described = metric('refreshes_total{outcome="described"}')
    buys(shop, "met", "shoe", "vest", "tea")
    assert metric("tokens_limit") == shop.settings.chat_daily_tokens
    with profiled(shop):
        until(lambda: bool(profile(shop, "met")))
        buys(shop, "met", "pot", at=START + 60)
        until(lambda: metric("age_seconds_count") >= 1)
    assert metric('refreshes_total{outcome="described"}') > described
    assert metric("users_met_total") >= metric("age_seconds_count")
    assert 0 < metric("tokens_today") < metric("tokens_limit")
    assert metric('queue{state="dead"}') == 0
