"""The client and the commands while the service takes nothing more for now: they wait, politely, not for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Timer
from uuid import uuid4

import pytest

from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventSource
from service.client import AsyncClient, Busy, Client, Overloaded
from service.client.patience import Patience
from service.commands.posting import Account
from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.http.running import Running, event, toy_bundle

PAUSE = 0.5
"""Seconds after which the service takes events again."""


@pytest.fixture
def overloaded(valkey: EmbeddedValkey) -> Iterator[Running]:
    """A service without a worker: two events wait, and only one may."""
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": f"over-{uuid4().hex}"}
    with Running(load_settings(**stores, clock="event", max_lag=1), toy_bundle(), worker=False) as service:
        service.post([event(), event()])
        yield service


@pytest.fixture
def relief(overloaded: Running) -> Iterator[None]:
    """After a pause it takes events again."""
    settings = overloaded.settings
    source = RedisEventSource(Server(settings.stores()[0], settings.prefix, settings.log_timeout))
    timer = Timer(PAUSE, source.report, (2, ""))
    timer.start()
    yield
    timer.join()
    source.close()


def url_of(service: Running) -> str:
    return f"http://127.0.0.1:{service.port}"


def test_a_request_is_sent_again_when_the_service_asks_for_it(overloaded: Running, relief: None) -> None:
    started = time.monotonic()
    with Client(url_of(overloaded), patience=60.0) as client:
        assert client.post_events([event(event_id="waits")]).accepted == 1
    assert time.monotonic() - started >= 1.0  # its Retry-After


@pytest.mark.anyio
async def test_the_asyncio_client_waits_alike(overloaded: Running, relief: None) -> None:
    async with AsyncClient(url_of(overloaded), patience=60.0) as client:
        assert (await client.put_item("a", {}))["offset"] == 3


def test_without_patience_the_refusal_names_the_lag_and_when_to_come_back(overloaded: Running) -> None:
    with Client(url_of(overloaded), patience=0.0) as client, pytest.raises(Overloaded, match="2 records wait") as found:
        client.post_events([event()])
    assert (found.value.lag, found.value.retry_after) == (2, 1.0)
    assert isinstance(found.value, Busy)


def test_an_account_waits_for_longer_than_its_client(overloaded: Running, relief: None) -> None:
    with Client(url_of(overloaded), patience=0.0) as client:
        account = Account(client)
        account.post([event(event_id="waits")])
        account.put_items([{"item_id": "a"}])
    assert (account.events.accepted, account.items.accepted) == (1, 1)


def test_pauses_are_as_long_as_asked_for_a_little_longer_at_random_and_end() -> None:
    patience = Patience(100.0)
    asked = Overloaded(503, {}, retry_after=4.0)
    pauses = [patience.pause(asked) for _ in range(50)]
    assert 4.0 <= min(pauses) < max(pauses) <= 5.0
    assert patience.pause(Overloaded(503, {}, retry_after=None)) >= 1.0
    with pytest.raises(Overloaded):
        patience.pause(Overloaded(503, {}, retry_after=101.0))
