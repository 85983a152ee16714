"""A worker that stands still: writes are refused whole above the limit, lists go on, and nothing accepted is lost."""

from __future__ import annotations

import os
import signal
import time
from threading import Timer

import pytest

from model.data import Dataset
from service.client import Client, Overloaded
from service.commands import datasets, reading_back
from service.commands.posting import Account
from tests.e2e.conftest import Start

BATCH = 40
LIMIT = 200
DEADLINE = 30.0


def test_a_stopped_worker_stops_the_intake_and_not_the_lists_and_loses_nothing(start: Start, dataset: Dataset) -> None:
    events = datasets.events(dataset)
    batches = list(datasets.batches(events, BATCH))
    with start(max_lag=LIMIT, lease_seconds=60.0) as stack, Client(stack.url, patience=0.0) as client:
        account = Account(client)
        account.post(batches[0])
        account.wait_until_applied()
        pid = stack.child("worker").pid
        os.kill(pid, signal.SIGSTOP)
        try:
            refused = post_until_refused(client, account, batches[1:])
            assert refused.retry_after == 1.0
            assert refused.lag is not None
            assert LIMIT < refused.lag <= account.offset
            assert f"above the limit of {LIMIT}" in refused.detail
            ready = client.ready()
            assert ready.ok
            assert "records wait" in ready.body["refusing"]
            found = client.recommendations(events[0]["user_id"])
            assert (found.strategy, bool(found.items)) == ("model", True)
            with pytest.raises(Overloaded):
                client.put_item("any", {"title": "Any"})
            assert client.ready().body["log_end"] == account.offset  # nothing of what was refused
            Timer(1.0, os.kill, (pid, signal.SIGCONT)).start()
            for batch in batches[1:]:  # those that are in are duplicates; the first that is not waits for the worker
                account.post(batch)
        finally:
            os.kill(pid, signal.SIGCONT)
        account.wait_until_applied()
        until_taken(client)
        assert account.events.rejected == 0
        assert reading_back.lost(client, reading_back.count(events)) == 0


def post_until_refused(client: Client, account: Account, batches: list[list[dict[str, object]]]) -> Overloaded:
    """Posts batches for as long as they are taken; what the first refusal said."""
    for batch in batches:
        try:
            account.offset = client.post_events(batch).offset
        except Overloaded as exc:
            return exc
    raise AssertionError("all was taken")


def until_taken(client: Client) -> None:
    deadline = time.monotonic() + DEADLINE
    while client.ready().body["refusing"] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.put_item("any", {"title": "Any"})
