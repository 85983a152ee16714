"""Rollouts as processes of their own, over HTTP, with events coming in and lists being served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.data import Dataset
from model.process.state import State
from service.adapters.model_folder import ModelFolder
from service.client import Client, Conflict, NotFound
from service.commands import bench_rollout, datasets, reading_back
from service.commands.bundles import remade
from service.commands.posting import Account
from service.commands.snapshot import read_state
from service.event_path import tidy
from service.settings import Settings
from service.wiring import WorkerServices, build_worker
from tests.e2e.conftest import Start
from tests.e2e.processes import environment, process, until
from tests.e2e.test_kills import BATCH, assert_same, kill, post_all
from tests.e2e.test_rebuild import listening


@pytest.fixture(scope="module")
def other(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another set of weights."""
    return remade(bundle, tmp_path_factory.mktemp("other") / "bundle", "v2")


def memory(settings: Settings, bundle: Path, dataset: Dataset) -> tuple[State, list[str]]:
    """What the generation of a live bundle holds."""
    services = build_worker(settings.model_copy(update={"bundle": bundle}))
    store = services.generations.of(services.bundle.hash)
    until(lambda: store.position().offset == services.source.end())
    return read_state(store, services.bundle.model, dataset.user_ids)


@pytest.fixture(scope="module")
def undisturbed(start: Start, dataset: Dataset, bundle: Path, other: Path) -> dict[Path, State]:
    """By bundle, the state of a service with it that nobody disturbed."""
    found = {}
    for folder in (bundle, other):
        with start(bundle=folder) as calm, calm.client() as client:
            account = Account(client)
            post_all(account, dataset)
            account.wait_until_applied()
            found[folder] = memory(calm.settings, folder, dataset)[0]
    return found


def of_version(client: Client, version: str) -> dict[str, object]:
    return next(m for m in client.call("GET", "/v1/models")["models"] if m["version"] == version)


def half_filled(services: WorkerServices) -> bool:
    """Whether the newest live model is on its way."""
    written = services.generations.written()
    return len(written) > 1 and 0 < written[-1].position().offset < services.source.end()


def member_of(said: list[str]) -> int:
    """The process that writes for the newest live model."""
    return int(re.findall(r'"pid": (\d+)', [line for line in said if "member_starts" in line][-1])[0])


def test_a_model_is_rolled_out_back_and_again_under_traffic_and_both_learn_everything(
    start: Start, dataset: Dataset, undisturbed: dict[Path, State], bundle: Path, other: Path, tmp_path: Path
) -> None:
    """The shadow worker is killed in the middle."""
    batches = list(datasets.batches(datasets.events(dataset), BATCH))
    parts = [batches[len(batches) * n // 4 : len(batches) * (n + 1) // 4] for n in range(4)]
    at = int(dataset.timestamp[-1])
    said: list[str] = []
    values = {"models": tmp_path / "models", "batch_size": 10, "log_format": "json", "state_timeout": 5.0}
    with start(said, **values) as stack, stack.client() as client, stack.client() as reader:
        account = Account(client)

        def post(part: list[list[dict[str, object]]]) -> None:
            for batch in part:
                account.post(batch)

        post(parts[0])
        account.wait_until_applied()
        services = build_worker(stack.settings)
        command = ["rollout", str(other), "--json", "--url", stack.url]
        with (
            listening(reader, dataset, at) as strategies,
            process(command, environment(stack.settings, models=tmp_path / "models")) as rollout,
        ):
            until(lambda: half_filled(services))
            kill(member_of(said))
            post(parts[1])
            code, printed = rollout.ends()
            assert code == 0, rollout.said
            assert '"active"' in printed
            account.wait_until_applied()
            assert client.recommendations(dataset.user_ids[0], k=5, at=at).model.version == "v2"
            post(parts[2])
            assert client.call("POST", "/v1/models/rollback")["version"] == "random"
            assert client.recommendations(dataset.user_ids[0], k=5, at=at).model.version == "random"
            post(parts[3])
            assert client.call("POST", "/v1/models/v2/activate")["status"] == "active"
            assert client.recommendations(dataset.user_ids[0], k=5, at=at).model.version == "v2"
        account.wait_until_applied()
        checks = of_version(client, "v2")["checks"]
        for folder in (bundle, other):
            assert_same(memory(stack.settings, folder, dataset)[0], undisturbed[folder])
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0
    assert [line for line in said if "ended with exit code -9" in line]
    assert set(strategies) == {"model"}
    assert isinstance(checks, dict)
    assert checks["canary"]["least_cosine"] > 0.9999
    assert checks["lists"]["users"] > 0


def test_a_rollout_that_is_broken_off_leaves_no_trace_but_the_bundle(
    start: Start, dataset: Dataset, other: Path, tmp_path: Path
) -> None:
    with start(models=tmp_path / "models", batch_size=4) as stack, stack.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        before = client.recommendations(dataset.user_ids[0], k=10)
        ModelFolder(tmp_path / "models").add(other)
        services = build_worker(stack.settings)
        started = client.call("POST", "/v1/models/v2/rollout", {})
        assert started["status"] == "filling"
        with pytest.raises(Conflict, match="live already"):
            client.call("POST", "/v1/models/v2/rollout", {})
        until(lambda: half_filled(services))
        assert client.call("DELETE", "/v1/models/v2/rollout")["status"] == "registered"
        generations = services.generations
        tidy(generations, "test", 0.0)
        assert generations.alone()
        assert of_version(client, "v2")["status"] == "registered"
        assert client.recommendations(dataset.user_ids[0], k=10).items == before.items
        with pytest.raises(NotFound):
            client.call("DELETE", "/v1/models/v2/rollout")
        with pytest.raises(Conflict, match="go back to"):
            client.call("POST", "/v1/models/rollback")


def test_after_a_restart_the_model_of_the_record_serves_whatever_the_settings_name(
    start: Start, dataset: Dataset, other: Path, tmp_path: Path
) -> None:
    at = int(dataset.timestamp[-1])
    with start(models=tmp_path / "models") as stack, stack.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        with process(["rollout", str(other), "--url", stack.url], environment(stack.settings)) as rollout:
            assert rollout.ends()[0] == 0, rollout.said
        client.call("DELETE", "/v1/models/random/rollout")
        expected = client.recommendations(dataset.user_ids[0], k=10, at=at)
        prefix = stack.settings.prefix
    with start(models=tmp_path / "models", prefix=prefix) as stack, stack.client() as client:
        until(lambda: client.recommendations(dataset.user_ids[0], k=10, at=at).model.version == "v2")
        assert client.recommendations(dataset.user_ids[0], k=10, at=at).items == expected.items
        account = Account(client)
        account.post(datasets.events(dataset, 0, 10))
        account.wait_until_applied()


@pytest.mark.parametrize(
    ("events", "seconds"),
    [(2_000, 2.0), pytest.param(200_000, 10.0, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])],
)
def test_under_steady_traffic_no_request_fails_and_both_memories_are_those_of_a_clean_replay(
    events: int, seconds: float, bundle: Path, tmp_path: Path
) -> None:
    """200 events and 50 lists a second; where there is time for it the new worker is killed on the way, and lists are
    timed. 1e-4 is what float32 sums in another order leave of vectors."""
    at_length = events > 100_000
    quick = {} if at_length else {"keeper_seconds": 1.0, "rollout_watch": 3.0}
    found = bench_rollout.measure(tmp_path, bundle, events, kill=at_length, seconds=seconds, state_timeout=5.0, **quick)
    assert (found["failures"], found["missing"], found["doubled"]) == ([], 0, 0)
    assert found["difference"] <= 1e-4
    assert found["versions"] == ["random", bench_rollout.VERSION]
    assert found["lists"] > 100
    assert found["checks"]["live"]["events"] > 0
    if at_length:
        assert found["p99_ratio"] <= 2.0
        assert found["drain_against_fill"] <= 1.5
