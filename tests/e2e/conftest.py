"""The whole service as its operators run it: processes of its own, real Valkey, an exported bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from model.data import Dataset
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.e2e.bundle import shared_bundle
from tests.modules.streams import random_stream

Start = Callable[..., AbstractContextManager[Stack]]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PEREGRINE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """2,400 events of 25 users on 60 items, 8 at a time, in about 30 item ticks."""
    return random_stream(seed=7, n_events=2_400, n_users=25, n_items=60, per_timestamp=8)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported graphs with random weights."""
    return shared_bundle(tmp_path_factory, "random")


@pytest.fixture(scope="session")
def start(valkey: EmbeddedValkey, bundle: Path) -> Start:
    """Starts worker and API on servers that are there, on a prefix of their own; settings by keyword."""

    @contextmanager
    def running(said: list[str] | None = None, **settings: Any) -> Iterator[Stack]:
        values = {
            "log_url": valkey.log_url,
            "state_url": valkey.state_url,
            "prefix": f"e2e-{uuid4().hex}",
            "bundle": bundle,
            "clock": "event",
            "port": 0,
            "lease_seconds": 1.0,
            "profiles": "off",
        }
        lines = [] if said is None else said
        with Stack(load_settings(**values | settings), lambda name, line: lines.append(f"{name}: {line}")) as stack:
            yield stack

    return running
