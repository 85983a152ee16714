"""What a model passes before it becomes active: replicas that have it, checks of what it learned, a person's word."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from threading import Event as Flag
from typing import Any

import pytest

from service.core.live_models import LiveModel
from service.errors import StoreUnavailable
from service.event_path import Checks, Rollout, in_turn
from service.event_path import rollout as rollout_module
from tests.paths.test_rollout import NEW, OLD, Stage


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_module, "EVERY", 0.0)


def turned(rollout: Rollout, stage: Stage) -> list[str]:
    """Stages that the model goes through in some turns."""
    found = []
    for _ in range(100):
        rollout.turn()
        found.append(stage.model.stage)
        if rollout._under_way is not None:
            rollout._under_way.exception()  # waits
    return list(dict.fromkeys(found))


@pytest.mark.usefixtures("_at_once")
def test_a_model_becomes_active_when_all_replicas_have_it_and_the_checks_are_passed() -> None:
    stage = Stage()
    stage.fill()
    stage.models.report("one", [1, 2])
    stage.models.report("two", [1])
    asked: list[tuple[str, str]] = []

    def check(serving: LiveModel, new: LiveModel, _: Flag) -> Mapping[str, Any]:
        asked.append((serving.version, new.version))
        return {"lists": {"users": 3}, "reason": ""}

    with closing(Rollout(stage.models, "new", check)) as rollout:
        assert turned(rollout, stage) == ["checking"]
        assert not asked
        stage.models.report("two", [1, 2])
        assert turned(rollout, stage)[-1] == "ready"
        assert rollout.turn()
    assert asked == [("v1", "v2")]
    assert stage.models.live().active == 2
    assert set(stage.model.checks) == {"canary", "lists", "reason"}


@pytest.mark.usefixtures("_at_once")
def test_a_model_that_is_held_waits_and_one_that_was_rolled_back_does_not_take_over_again() -> None:
    stage = Stage()
    stage.fill()
    stage.models.note(replace(stage.model, switch=False))
    with closing(Rollout(stage.models, "new")) as rollout:
        assert turned(rollout, stage)[-1] == "ready"
        assert not rollout.turn()
        stage.models.note(replace(stage.model, switch=True))
        rollout.turn()
        assert rollout.turn()
        assert stage.models.switch(1)
        assert turned(rollout, stage)[-1] == "ready"
    assert stage.models.live().active == 1


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("why", ["found", "raised", "canary"])
def test_a_model_that_fails_a_check_is_refused_with_the_reason_and_learns_on(why: str) -> None:
    stage = Stage()
    stage.fill()

    def check(*_: object) -> Mapping[str, Any]:
        if why == "raised":
            raise ValueError("broken")
        return {"reason": "its lists are empty" if why == "found" else ""}

    if why == "canary":
        stage.models.note(replace(stage.model, checks={"canary": {"least_cosine": 0.99}}))
    with closing(Rollout(stage.models, "new", check)) as rollout:
        assert turned(rollout, stage)[-1] == "refused"
        assert not rollout.turn()
    reason = {"found": "its lists are empty", "raised": "broken", "canary": "least cosine is 0.99"}[why]
    assert reason in stage.model.reason
    assert stage.models.live().active == 1


@pytest.mark.usefixtures("_at_once")
def test_checks_that_a_store_kept_from_being_made_are_made_again() -> None:
    stage, tries = Stage(), []
    stage.fill()

    def check(*_: object) -> Mapping[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise StoreUnavailable("away")
        return {}

    with closing(Rollout(stage.models, "new", check)) as rollout:
        with pytest.raises(StoreUnavailable):
            turned(rollout, stage)
        assert turned(rollout, stage)[-1] == "ready"
    assert len(tries) == 2


@pytest.mark.usefixtures("_at_once")
def test_the_first_check_that_objects_is_the_last_one_and_what_was_found_is_kept() -> None:
    asked: list[str] = []

    def finding(name: str, reason: str = "") -> Checks:
        def check(*_: object) -> Mapping[str, Any]:
            asked.append(name)
            return {name: 1, "reason": reason}

        return check

    found = in_turn(finding("lists"), finding("live", "it is worse"), finding("last"))(OLD, NEW, Flag())
    assert found == {"lists": 1, "live": 1, "reason": "it is worse"}
    assert asked == ["lists", "live"]


@pytest.mark.usefixtures("_at_once")
def test_a_worker_that_stops_does_not_wait_for_its_checks() -> None:
    stage = Stage()
    stage.fill()

    def check(_: LiveModel, __: LiveModel, stop: Flag) -> Mapping[str, Any]:
        assert stop.wait(60.0)
        return {}

    began = time.monotonic()
    with closing(Rollout(stage.models, "new", check)) as rollout:
        rollout.turn()
    assert time.monotonic() - began < 30.0
    assert stage.model.stage == "checking"
