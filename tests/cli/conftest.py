"""A running service for the commands to talk to, and a data set for them to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.http.running import Running, toy_bundle


@pytest.fixture(scope="module")
def service(valkey: EmbeddedValkey) -> Iterator[Running]:
    """With a toy model, events being the clock."""
    settings = load_settings(
        log_url=valkey.log_url,
        state_url=valkey.state_url,
        prefix=f"cli-{uuid4().hex}",
        clock="event",
        embed_text="off",
    )
    with Running(settings, toy_bundle()) as running:
        yield running


@pytest.fixture
def url(service: Running) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """200 events of 8 users on 50 items, four at each timestamp; two equal ones at the end; ids new to the service."""
    run = uuid4().hex[:8]
    rows = [
        {"user_id": f"{run}-u{i % 8}", "item_id": f"{run}-i{i * 7 % 50}", "timestamp": 1_000 + i // 4 * 30}
        for i in range(200)
    ]
    items = [{"item_id": f"{run}-i{i}", "title": f"Product {i}"} for i in range(50)]
    for name, table in (("interactions", [*rows, rows[-1]]), ("items", items)):
        (tmp_path / f"{name}.ndjson").write_text("\n".join(map(json.dumps, table)))
    return tmp_path
