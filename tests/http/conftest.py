"""Services under test. One of each kind serves a whole module; tests keep apart by the ids they use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import structlog

from service.adapters.bundle import Bundle, no_bundle
from service.embedded import EmbeddedValkey
from service.settings import PREFIX, load_settings
from tests.http.running import Running, toy_bundle

Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def _logs_through_the_standard_library() -> None:
    """So that pytest keeps them with the test that wrote them."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture(scope="module")
def start(valkey: EmbeddedValkey) -> Start:
    """Starts a service on a prefix of its own; settings by keyword."""

    @contextmanager
    def running(bundle: Bundle | None = None, worker: bool = True, **settings: Any) -> Iterator[Running]:
        values = {"clock": "event", "embed_text": "off", "prefix": f"http-{uuid4().hex}"} | settings
        found = load_settings(log_url=valkey.log_url, state_url=valkey.state_url, **values)
        with Running(found, bundle or toy_bundle(), worker) as service:
            yield service

    return running


@pytest.fixture(scope="module")
def service(start: Start) -> Iterator[Running]:
    """With a toy model, events being the clock."""
    with start() as running:
        yield running


@pytest.fixture(scope="module")
def live(start: Start) -> Iterator[Running]:
    """By the wall clock."""
    with start(clock="wall") as running:
        yield running


@pytest.fixture(scope="module")
def bare(start: Start) -> Iterator[Running]:
    """Without a bundle."""
    with start(no_bundle()) as running:
        yield running


@pytest.fixture(scope="module")
def stalled(start: Start) -> Iterator[Running]:
    """Without a worker."""
    with start(worker=False) as running:
        yield running


@pytest.fixture(scope="module")
def strict(start: Start) -> Iterator[Running]:
    """Refusing unknown items."""
    with start(unknown_items="reject") as running:
        yield running


@pytest.fixture(scope="module")
def keyed(start: Start) -> Iterator[Running]:
    """With a key."""
    with start(api_key="s3cret") as running:
        yield running


@pytest.fixture(scope="module")
def narrow(start: Start) -> Iterator[Running]:
    """With room for two requests."""
    with start(max_in_flight=2) as running:
        yield running
