"""Rollouts as processes of their own, over HTTP, with events coming in and lists being served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.data import Dataset
from model.process.state import State
from service.client import Client
from service.commands import datasets, reading_back
from service.commands.posting import Account
from service.commands.snapshot import read_state
from service.processes.all_in_one import Stack
from service.settings import Settings
from service.wiring import build_worker
from tests.e2e.bundle import make_bundle
from tests.e2e.conftest import Start
from tests.e2e.processes import environment, process, until
from tests.e2e.test_kills import BATCH, assert_same, kill, post_all
from tests.e2e.test_rebuild import listening


@pytest.fixture(scope="module")
def other(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another set of weights."""
    return make_bundle(tmp_path_factory.mktemp("other"), dataset.item_ids, seed=1, version="v2")


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


def shadow(stack: Stack) -> tuple[int, int]:
    """(offset, log end) of the newest live model that is not the active one."""
    services = build_worker(stack.settings)
    written = services.generations.written()
    return written[-1].position().offset if len(written) > 1 else 0, services.source.end()


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
    values = {"models": tmp_path / "models", "batch_size": 4, "log_format": "json"}
    with start(said, **values) as stack, stack.client() as client, stack.client() as reader:
        account = Account(client)

        def post(part: list[list[dict[str, object]]]) -> None:
            for batch in part:
                account.post(batch)

        post(parts[0])
        account.wait_until_applied()
        command = ["rollout", str(other), "--json", "--url", stack.url]
        with (
            listening(reader, dataset, at) as strategies,
            process(command, environment(stack.settings, models=tmp_path / "models")) as rollout,
        ):
            until(lambda: 0 < shadow(stack)[0] < shadow(stack)[1])
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
