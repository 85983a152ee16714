"""The whole loop: what came in over HTTP is in the archive, a model is trained on it, compared, and comes to serve."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.commands import datasets
from service.commands.posting import Account
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.wiring import open_archive
from tests.e2e.processes import environment, process
from tests.modules.test_train import two_camps


def retrained(stack: Stack, runs: Path, archive: Path, *options: str) -> dict[str, Any]:
    command = ["retrain", "--runs", str(runs), "--rollout", "--url", stack.url, "--json", *options]
    command += ["--epochs", "1", "--dim", "16"]
    with process(command, environment(stack.settings, archive_url=archive)) as running:
        code, printed = running.ends()
    assert code in {0, 1}, running.said
    found: dict[str, Any] = json.loads(printed)
    return found


def archived(stack: Stack, offset: int) -> None:
    archive, deadline = open_archive(stack.settings), time.monotonic() + 60.0
    assert archive is not None
    while archive.end() < offset:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def active(client: Client) -> str:
    return str(client.call("GET", "/v1/models")["active"])


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_a_model_is_trained_on_the_archive_beats_the_one_before_or_stays_out_and_comes_to_serve(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    dataset, archive, runs = two_camps(), tmp_path / "archive", tmp_path / "runs"
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": prefix, "state_timeout": 5.0}
    places = {"models": tmp_path / "models", "archive_url": str(archive), "keeper_seconds": 0.5}
    settings = load_settings(**stores, **places, clock="event", port=0, profiles="off")
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        account = Account(client)
        for batch in datasets.batches(datasets.events(dataset)):
            account.post(batch)
        account.wait_until_applied()
        archived(stack, len(dataset))
        assert active(client) == "none"
        first = retrained(stack, runs, archive)
        assert (first["registered"], first["serving"], first["data"]["events"]) == (True, None, len(dataset))
        assert first["rolled_out"] == "active"
        assert active(client) == first["version"]
        assert client.recommendations(dataset.user_ids[0], k=5).model.version == first["version"]
        assert retrained(stack, runs, archive, "--min-events", "1")["skipped"]

        account.post(datasets.events(dataset, 0, 1))  # a duplicate, and no new record
        second = retrained(stack, runs, archive)
        assert second["serving"] == str(tmp_path / "models" / first["version"])
        assert set(second["compared"]) >= {"next recall@20", "next ndcg@10"}
        assert active(client) == (second["version"] if second["registered"] else first["version"])
        for report in (first, second):
            folder = runs / report["version"]
            found = {path.name for path in folder.iterdir()}
            assert found == {"data", "run", "bundle", "evaluation.json", "retrain.json"}
            assert json.loads((folder / "retrain.json").read_bytes()) == report
