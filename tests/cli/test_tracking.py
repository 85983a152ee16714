"""`track`: nobody waits, nothing is counted twice, and what is lost is told."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from service.client import AsyncClient, Busy, Client, Tracking
from tests.cli.relay import Relay, relayed

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def relay(url: str) -> Iterator[Relay]:
    with relayed(url) as found:
        yield found


def of(user: str, item: str = "i", **more: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "timestamp": 5_000, **more}


def seen(url: str, user: str, events: int) -> None:
    """Raises if the service does not count as many events of the user soon."""
    deadline = time.monotonic() + 10.0
    with Client(url) as client:
        client.post_events([of(uuid4().hex)], wait=True)
        while client.get_user(user)["events"] != events:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_events_of_many_threads_arrive_in_batches_and_in_the_order_of_each(relay: Relay) -> None:
    users = [uuid4().hex for _ in range(4)]
    with Client(relay.address) as client:

        def work(user: str) -> None:
            for number in range(300):
                assert client.track(of(user, f"i{number}"))

        threads = [threading.Thread(target=work, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush()
        tally = client.tracked
    assert (tally.accepted, tally.waiting, tally.dropped, tally.reason) == (1_200, 0, 0, "")
    assert 3 <= len(relay.sent) <= 12
    assert max(len(body) for _, body in relay.sent) <= 500
    for user in users:
        mine = [event["item_id"] for _, body in relay.sent for event in body if event["user_id"] == user]
        assert mine == [f"i{number}" for number in range(300)]


def test_closing_sends_what_waits(relay: Relay) -> None:
    user = uuid4().hex
    with Client(relay.address, tracking=Tracking(interval=60.0)) as client:
        for _ in range(3):
            client.track(of(user))
    assert (client.tracked.accepted, client.tracked.waiting) == (3, 0)
    assert len(relay.sent) == 1
    seen(relay.url, user, 3)
    with pytest.raises(ValueError, match="closed"):
        client.track(of(user))


def test_a_lost_answer_costs_nothing_and_counts_once(relay: Relay) -> None:
    user = uuid4().hex
    relay.turns[:] = ["lose"]
    with Client(relay.address) as client:
        client.track(of(user))
        assert client.flush()
        assert (client.tracked.accepted, client.tracked.duplicates) == (0, 1)
    assert relay.sent[0][1] == relay.sent[1][1]
    seen(relay.url, user, 1)


@pytest.mark.parametrize("turn", ["busy", "many"])
def test_a_busy_service_is_asked_again_when_it_says(relay: Relay, turn: Any) -> None:
    relay.turns[:] = [turn]
    with Client(relay.address) as client:
        client.track(of(uuid4().hex))
        assert client.flush()
        assert client.tracked.accepted == 1
    moments = [moment for moment, _ in relay.sent]
    assert len(moments) == 2
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(moments))


def test_no_more_wait_than_may_and_the_rest_is_told(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    relay.may_pass.clear()
    with Client(relay.address, tracking=Tracking(limit=5, interval=0.0)) as client:
        kept = [client.track(of(uuid4().hex)) for _ in range(8)]
        assert kept == [True] * 5 + [False] * 3
        relay.may_pass.set()
        assert client.flush()
    tally = client.tracked
    assert (tally.accepted, tally.dropped) == (5, 3)
    assert sum(record.name == "peregrine.client" for record in caplog.records) == 2  # at the first one, and at the end
    assert "3 were dropped" in caplog.text


def test_what_the_service_never_answers_for_is_dropped_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    with Client(NOBODY, tracking=Tracking(closing=0.3)) as client:
        client.track(of("u"))
        client.track(of("u"))
        assert not client.flush(0.1)
        assert client.tracked.waiting == 2
    assert time.monotonic() - started < 2.0
    assert (client.tracked.dropped, client.tracked.waiting) == (2, 0)
    assert NOBODY in client.tracked.reason
    assert "2 were dropped" in caplog.text


def test_bad_events_are_rejected_alone_and_a_refused_batch_does_not_stay(relay: Relay) -> None:
    with Client(relay.address) as client:
        client.track(of(uuid4().hex))
        client.track(of(""))
        assert client.flush()
        assert (client.tracked.accepted, client.tracked.rejected) == (1, 1)
        assert client.tracked.reason
        relay.turns[:] = ["refuse"]
        for _ in range(2):
            started = time.monotonic()
            client.track(of(uuid4().hex))
            assert client.flush()
            assert time.monotonic() - started < 5.0
        assert (client.tracked.accepted, client.tracked.rejected) == (2, 2)
        with pytest.raises(TypeError):
            client.track(of("u", properties={"what": object()}))


def test_who_forgets_to_close_loses_nothing(relay: Relay) -> None:
    user = uuid4().hex
    program = (
        "import sys; from service.client import Client\n"
        "client = Client(sys.argv[1])\n"
        "client.track({'user_id': sys.argv[2], 'item_id': 'i', 'timestamp': 5000})\n"
    )
    subprocess.run([sys.executable, "-c", program, relay.address, user], check=True, timeout=30)
    seen(relay.url, user, 1)


@pytest.mark.anyio
async def test_the_asyncio_client_tracks_alike(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    user = uuid4().hex
    relay.turns[:] = ["lose", "busy"]
    async with AsyncClient(relay.address, tracking=Tracking(limit=3)) as client:
        assert [client.track(of(user)) for _ in range(4)] == [True] * 3 + [False]
        assert await client.flush()
        assert (client.tracked.duplicates, client.tracked.dropped) == (3, 1)
        client.track(of(user))
    assert (client.tracked.accepted, client.tracked.waiting) == (1, 0)
    with pytest.raises(ValueError, match="closed"):
        client.track(of(user))
    await asyncio.to_thread(seen, relay.url, user, 4)
    async with AsyncClient(NOBODY, tracking=Tracking(closing=0.3)) as client:
        client.track(of(user))
        assert not await client.flush(0.05)
    assert client.tracked.dropped == 1
    assert len([r for r in caplog.records if r.name == "peregrine.client" and r.levelno == logging.WARNING]) == 3


def test_a_request_is_repeated_if_nothing_was_taken_of_it_or_it_may_be_taken_twice(relay: Relay) -> None:
    with Client(relay.address) as client:
        relay.turns[:] = ["many"]
        assert client.post_events([of("u")]).accepted == 1
        relay.turns[:] = ["busy"]
        assert client.version()["name"] == "peregrine"
        relay.turns[:] = ["busy"]
        with pytest.raises(Busy):
            client.post_events([of("u")])
    assert len(relay.sent) == 5


def test_both_clients_have_the_same_methods() -> None:
    def shown(client: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(m).parameters) for name, m in methods if not name.startswith("_")}

    assert shown(Client) == shown(AsyncClient)
