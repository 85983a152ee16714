"""Models over HTTP: what is listed, what is refused and why, and experiments between live ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from service.adapters.bundle import Bundle
from service.adapters.redis_live import RedisLiveModels
from service.client import Conflict
from service.commands import models as commands
from service.core.bundles import RegisteredModel
from service.core.live_models import LiveModel
from service.errors import BundleError
from service.processes.worker import Worker
from service.wiring import build_worker
from tests.http.conftest import Start
from tests.http.running import Running, assert_problem, event, toy_bundle
from tests.paths.test_worker import until
from tests.process.toy import ToyModel

NEWER = Bundle(ToyModel(), "toy-2", "newer")


class ToyRegistry:
    """A registry of toys, which lie in no folder."""

    def models(self) -> list[RegisteredModel]:
        broken = RegisteredModel("broken", "b", problem="no readable manifest.json")
        return [RegisteredModel("toy-2", "newer", code="0.1"), broken]

    def add(self, folder: Path) -> RegisteredModel:
        raise BundleError("toys do not go in")

    def load(self, version: str) -> Bundle:
        if version in {"toy-1", "toy-2"}:
            return toy_bundle() if version == "toy-1" else NEWER
        raise BundleError("spec.json has another sha256 than the manifest says")

    def folder(self, version: str) -> Path:
        return Path(version)


@pytest.fixture(scope="module")
def rolling(start: Start) -> Iterator[Running]:
    """A service with a registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.wiring.open_registry", lambda _: ToyRegistry())
        with start(state_timeout=5.0) as running:
            running.applied([event("ann", "a"), event("bob", "b"), event("ann", "c")])
            yield running


@contextmanager
def rolled_out(running: Running, switch: bool) -> Iterator[None]:
    """For the time of the block `toy-2` is live beside `toy-1`, with a worker of its own: ready, or active."""
    answer = running.http.post("/v1/models/toy-2/rollout", json={"switch": switch})
    assert answer.status_code == 202, answer.text
    worker = Worker(build_worker(running.settings, NEWER), running.settings, owner="member")
    thread = Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        wanted = "active" if switch else "ready"
        until(lambda: models(running)["toy-2"]["status"] == wanted)
        yield
        running.http.post("/v1/models/toy-1/activate")
        assert running.http.delete("/v1/models/toy-2/rollout").json()["status"] == "registered"
    finally:
        worker.stop.set()
        thread.join(30.0)


def models(running: Running) -> dict[str, dict[str, Any]]:
    return {model["version"]: model for model in running.http.get("/v1/models").json()["models"]}


def test_models_are_listed_with_what_is_wrong_with_them(rolling: Running) -> None:
    found = models(rolling)
    assert found["toy-1"]["status"] == "active"
    assert (found["toy-2"]["status"], found["toy-2"]["code"]) == ("registered", "0.1")
    assert found["broken"]["problem"] == "no readable manifest.json"
    for version, status, says in (
        ("broken", 409, "sha256"),
        ("unheard-of", 404, "no version"),
        ("toy-1", 404, "no version"),
    ):
        body = assert_problem(rolling.http.post(f"/v1/models/{version}/rollout", json={}), status)
        assert says in body["detail"]
    assert_problem(rolling.http.post("/v1/models/toy-2/activate"), 404)
    assert_problem(rolling.http.post("/v1/models/rollback"), 409)


def test_a_model_goes_live_and_serves_and_the_way_back_is_one_call(rolling: Running) -> None:
    with rolled_out(rolling, switch=True):
        until(lambda: rolling.recommend("ann")["model"]["version"] == "toy-2")
        checks = models(rolling)["toy-2"]["checks"]
        assert checks["lists"]["overlap"] == 1.0  # toys are all alike
        assert assert_problem(rolling.http.delete("/v1/models/toy-2/rollout"), 409)["detail"].endswith(
            "another one before"
        )
        assert rolling.http.post("/v1/models/rollback").json()["version"] == "toy-1"
        assert rolling.recommend("ann")["model"]["version"] == "toy-1"
        rolling.applied([event("ann", "d", 1_700_000_100)])
        assert rolling.http.post("/v1/models/toy-2/activate").json()["status"] == "active"
        seen = rolling.recommend("ann", min_offset=4)
        assert (seen["model"]["version"], seen["state"]["events_seen"], seen["state"]["stale"]) == ("toy-2", 3, False)
    assert models(rolling)["toy-2"]["status"] == "registered"


def test_a_model_for_which_there_is_no_memory_is_not_begun(rolling: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisLiveModels, "fullness", lambda _: 0.6)
    body = assert_problem(rolling.http.post("/v1/models/toy-2/rollout", json={}), 409)
    assert "60% is taken" in body["detail"]
    assert models(rolling)["toy-2"]["status"] == "registered"


def test_a_model_with_the_texts_of_an_embedder_that_is_not_here_is_refused(
    rolling: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ToyModel(ToyModel().spec.model_copy(update={"embedder": "another"}))
    monkeypatch.setattr(ToyRegistry, "load", lambda *_: replace(NEWER, model=model))
    body = assert_problem(rolling.http.post("/v1/models/toy-2/rollout", json={}), 409)
    assert "embedder another" in body["detail"]


EXPERIMENT = {
    "id": "trial",
    "variants": [{"name": "old", "version": "toy-1", "share": 0.5}, {"name": "new", "version": "toy-2", "share": 0.5}],
}


def test_an_experiment_splits_users_counts_what_they_do_and_ends(rolling: Running) -> None:
    body = assert_problem(rolling.http.post("/v1/experiments", json=EXPERIMENT), 409)
    assert "not live and ready" in body["detail"]
    with rolled_out(rolling, switch=False):
        assert rolling.http.post("/v1/experiments", json=EXPERIMENT).status_code == 201
        users = [f"user-{n}" for n in range(60)]
        lists = {user: rolling.recommend(user, k=2) for user in users}
        assert {one["model"]["variant"] for one in lists.values()} == {"old", "new"}
        for user in users:
            again = rolling.recommend(user, k=2)
            assert again["model"] == lists[user]["model"]
        versions = {one["model"]["variant"]: one["model"]["version"] for one in lists.values()}
        assert versions == {"old": "toy-1", "new": "toy-2"}
        clicked = [user for user in users[:30] if lists[user]["model"]["variant"] == "new"]
        rolling.http.get("/v1/requests/" + lists[users[-1]]["request_id"])
        until(lambda: all(rolling.http.get("/v1/requests/" + lists[user]["request_id"]).is_success for user in clicked))
        rolling.post([event(user, "a", type="click", request_id=lists[user]["request_id"]) for user in clicked])

        def report() -> dict[str, Any]:
            found: dict[str, Any] = rolling.http.get("/v1/experiments/trial/report").json()
            return found

        until(lambda: report()["variants"]["new"]["clicks"] == len(clicked))
        until(lambda: sum(one["lists"] for one in report()["variants"].values()) == 2 * len(users))
        found = report()["variants"]
        assert found["old"]["users"] + found["new"]["users"] == len(users)
        assert (found["old"]["clicks"], found["new"]["fallback_share"]) == (0, 0.0)
        assert not report()["sample_ratio"]["suspicious"]
        assert report()["looks"] == {"done": 0, "planned": 14}
        assert_problem(rolling.http.post("/v1/experiments", json=EXPERIMENT), 409)
        forced = rolling.recommend(users[0], variant="new")
        assert forced["model"] == {"version": "toy-2", "variant": "new"}
        assert_problem(rolling.http.get(f"/v1/users/{users[0]}/recommendations", params={"variant": "third"}), 422)
        assert_problem(rolling.http.delete("/v1/experiments/trial", params={"winner": "third"}), 422)
        assert rolling.http.get("/v1/experiments").json()["experiments"][-1]["ended"] is None
        ended = rolling.http.delete("/v1/experiments/trial", params={"winner": "new"}).json()
        assert ended["ended"] is not None
        until(lambda: rolling.recommend(users[0])["model"] == {"version": "toy-2", "variant": "default"})
        rolling.http.post("/v1/models/rollback")


def test_shares_that_do_not_add_up_and_names_that_are_none_are_refused(rolling: Running) -> None:
    old, new = EXPERIMENT["variants"]
    for body in (
        EXPERIMENT | {"variants": [old, dict(new) | {"share": 0.4}]},  # type: ignore[arg-type]
        EXPERIMENT | {"variants": [old, dict(new) | {"name": "old"}]},  # type: ignore[arg-type]
        EXPERIMENT | {"id": "a b"},
        EXPERIMENT | {"variants": [old, dict(new) | {"name": "default"}]},  # type: ignore[arg-type]
    ):
        assert_problem(rolling.http.post("/v1/experiments", json=body), 422)
    assert_problem(rolling.http.get("/v1/experiments/unheard-of/report"), 404)


def test_the_record_of_a_live_model_survives_in_one_piece() -> None:
    model = LiveModel(3, "v", "h", "ready", 7, None, False, 5, 0.5, {"canary": {"least_cosine": 1.0}}, "why")
    from service.core.live_models import pack_live, unpack_live

    assert unpack_live(3, pack_live(model)) == model


def test_the_commands_show_switch_and_retire(rolling: Running, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{rolling.port}"
    with rolled_out(rolling, switch=True):
        commands.roll_back(url, as_json=False)
        commands.activate("toy-2", url, as_json=True)
        commands.show(url, as_json=False)
        commands.roll_back(url, as_json=False)
    said = capsys.readouterr().out
    assert "version toy-1 is active" in said
    assert '"version": "toy-2"' in said
    assert "no readable manifest.json" in said
    with pytest.raises(Conflict, match="is active"):
        commands.retire("toy-1", url)
