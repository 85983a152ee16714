"""`retrain` from archive to registry: one run folder, and only what is not worse beyond chance is registered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.adapters.in_memory_archive import InMemoryArchive, InMemoryArchiveStore
from service.adapters.model_folder import ModelFolder
from service.commands import retrain as module
from service.commands.retrain import Plan, RetrainFailed, judge, retrain, seconds_left
from service.core.bundles import RegisteredModel
from tests.paths.world import World

COMPARED = {"mean": 0.2, "other_mean": 0.2, "low": -0.01, "high": 0.01, "p": 0.9}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """An archive of 60 events; training, export and evaluation are told of, and answer as `compared` says."""
    found: dict[str, Any] = {"ran": [], "added": [], "compared": {name: dict(COMPARED) for name in module.MEASURES}}
    world = World()
    world.post([("abcd"[n % 4], "uvwxyz"[n % 6], 1_000 + n) for n in range(60)])
    archive = InMemoryArchive(InMemoryArchiveStore())
    archive.claim(world.log.id)
    archive.append(world.source.read(0, 1_000, 0))

    def peregrine(*arguments: str) -> str:
        found["ran"].append(arguments)
        return json.dumps({"against": found["compared"]})

    class Registry(ModelFolder):
        def add(self, folder: Path) -> RegisteredModel:
            found["added"].append(folder)
            return RegisteredModel(folder.name)

    def roll_out(version: str, **_: Any) -> dict[str, str]:
        found["rolled_out"] = version
        return {"status": "active"}

    monkeypatch.setattr(module, "opened", lambda _: archive)
    monkeypatch.setattr(module, "_peregrine", peregrine)
    monkeypatch.setattr(module, "registry", lambda: Registry(tmp_path / "models"))
    monkeypatch.setattr(module, "roll_out", roll_out)
    return found


def test_a_run_goes_from_the_archive_to_the_registry_and_everything_is_in_its_folder(
    steps: dict[str, Any], tmp_path: Path
) -> None:
    plan = Plan(tmp_path / "runs", serving=tmp_path / "serving", train=("--epochs", "1"))
    report = retrain(plan)
    (folder,) = (tmp_path / "runs").iterdir()
    assert report["registered"]
    assert json.loads((folder / "retrain.json").read_bytes()) == report
    assert (folder / "data" / "interactions.parquet").is_file()
    assert report["data"] == {"events": 60, "items": 0}
    train, export, evaluate = steps["ran"]
    assert train == (
        "train", "--data", str(folder / "data"), "--out", str(folder / "run"),
        "--from", str(tmp_path / "serving"), "--epochs", "1",
    )  # fmt: skip
    assert export[:2] == ("export", str(folder / "run"))
    assert evaluate[-3:] == ("--against", str(tmp_path / "serving"), "--json")
    assert steps["added"] == [folder / "bundle"]
    assert "rolled_out" not in steps


def test_it_is_rolled_out_if_told_so_and_starts_afresh_if_told_so(steps: dict[str, Any], tmp_path: Path) -> None:
    report = retrain(Plan(tmp_path / "runs", serving=tmp_path, fresh=True, rollout=True))
    assert (steps["rolled_out"], report["rolled_out"]) == (report["version"], "active")
    assert "--from" not in steps["ran"][0]


def test_what_is_worse_beyond_chance_is_not_registered_and_the_reason_is_kept(
    steps: dict[str, Any], tmp_path: Path
) -> None:
    steps["compared"]["next ndcg@10"] |= {"mean": 0.1, "low": -0.14, "high": -0.06}
    report = retrain(Plan(tmp_path / "runs", serving=tmp_path, rollout=True))
    assert (report["registered"], steps["added"], "rolled_out" in steps) == (False, [], False)
    assert "next ndcg@10 is 0.1000" in report["reason"]


def test_worse_by_chance_is_not_worse() -> None:
    worse = COMPARED | {"mean": 0.19, "low": -0.03, "high": 0.001}
    assert judge(dict.fromkeys(module.MEASURES, worse)) == ""
    assert judge(dict.fromkeys(module.MEASURES, worse | {"high": -0.001})) != ""


def test_nothing_is_done_before_enough_has_come_in(steps: dict[str, Any], tmp_path: Path) -> None:
    plan = Plan(tmp_path / "runs", serving=tmp_path, min_events=50)
    assert not retrain(plan)["skipped"]
    again = retrain(plan)
    assert (again["skipped"], "0 records since the last run" in again["reason"]) == (True, True)
    assert len(list((tmp_path / "runs").iterdir())) == 1
    shutil.rmtree(tmp_path / "runs")
    assert retrain(Plan(tmp_path / "runs", serving=tmp_path, min_events=61))["skipped"]


def test_a_step_that_fails_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RetrainFailed, match="export"):
        module._peregrine("export", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"))


def test_the_first_model_of_all_is_compared_with_nothing(
    steps: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_serving", lambda _: None)
    report = retrain(Plan(tmp_path / "runs"))
    assert (report["registered"], report["serving"]) == (True, None)
    assert not {"--from", "--against"} & {argument for arguments in steps["ran"] for argument in arguments}


def test_a_run_is_due_so_long_after_the_last_one_began_whoever_began_it(tmp_path: Path) -> None:
    assert seconds_left(tmp_path / "none", 24.0, 1_000.0) == 0.0
    for name in ("20261101-120000", "20261101-090000", "notes"):  # 12:00 is 1,793,534,400
        (tmp_path / name).mkdir()
    assert seconds_left(tmp_path, 24.0, 1_793_534_400.0 + 3_600.0) == 23 * 3_600.0
    assert seconds_left(tmp_path, 1.0, 1_793_534_400.0 + 3_601.0) == 0.0


def test_a_schedule_outlives_a_run_that_fails(
    steps: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Enough(Exception):
        pass

    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise Enough

    def failing(*_: str) -> str:
        raise RetrainFailed("`peregrine train` failed (see above)")

    monkeypatch.setattr(module, "_peregrine", failing)
    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(Enough):
        module.run(Plan(tmp_path / "runs", serving=tmp_path), 2.0, as_json=True)
    assert waited[0] == 0.0
    assert 7_000 < waited[1] <= 7_200
    assert "`peregrine train` failed" in capsys.readouterr().err
