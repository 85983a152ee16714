"""Misspelt settings are told, and a container's limit is the number of cores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from service.processes.surroundings import cores, unknown_variables
from service.settings import Settings
from tests.cli.running import peregrine


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    found = unknown_variables({"PEREGRINE_LOG_LEVELL": "x", "PEREGRINE_STATE_ULR_FILE": "x", "PEREGRINE_WINGS": "x"})
    assert found == {
        "PEREGRINE_LOG_LEVELL": "PEREGRINE_LOG_LEVEL",
        "PEREGRINE_STATE_ULR_FILE": "PEREGRINE_STATE_URL_FILE",
        "PEREGRINE_WINGS": None,
    }


def test_what_is_no_mistake_is_not_told() -> None:
    known = {f"PEREGRINE_{name.upper()}" for name in Settings.model_fields} | {
        "PEREGRINE_API_KEY_FILE",
        "PEREGRINE_URL",
    }
    of_kubernetes = {"PEREGRINE_SERVICE_HOST", "PEREGRINE_SERVICE_PORT_HTTP", "PEREGRINE_PORT_8000_TCP_ADDR"}
    assert unknown_variables(dict.fromkeys(known | of_kubernetes | {"PEREGRINE_TEST_SERVER", "PATH"}, "x")) == {}


def test_processes_and_doctor_say_so() -> None:
    started = peregrine("worker", log_levell="debug", log_format="json")
    assert started.returncode == 1  # there are no stores
    (warning,) = [json.loads(line) for line in started.stderr.splitlines() if "unknown_setting" in line]
    assert (warning["level"], warning["name"], warning["did_you_mean"]) == (
        "warning", "PEREGRINE_LOG_LEVELL", "PEREGRINE_LOG_LEVEL",
    )  # fmt: skip
    checks = json.loads(peregrine("doctor", "--json", log_levell="debug", port="0").stdout)["checks"]
    (check,) = [check for check in checks if check["name"] == "unknown setting"]
    assert check["verdict"] == "note"
    assert "PEREGRINE_LOG_LEVEL?" in check["todo"]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_cores_are_those_of_the_container(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    here = len(os.sched_getaffinity(0))
    assert cores(tmp_path) == (here if limit is None else min(here, limit))
