"""Two workers as processes: one leads, the other takes over when it is killed or stalls. Each test says what it did."""

from __future__ import annotations

import os
import signal
import time

from model.data import Dataset
from service.commands import datasets
from service.commands.posting import Account
from tests.e2e.conftest import Start
from tests.e2e.processes import environment, process, until
from tests.e2e.test_kills import assert_same, kill, post_all, state_of


def test_a_second_worker_stands_by_and_names_the_first(start: Start, dataset: Dataset) -> None:
    with start() as stack, stack.client() as client, process(["worker"], environment(stack.settings)) as second:
        assert f":{stack.child('worker').pid}:" in second.says("standby")
        account = Account(client)
        account.post(datasets.events(dataset, 0, 10))
        account.wait_until_applied()  # the first one works on
        second.popen.send_signal(signal.SIGTERM)
        second.says("worker_stopped")
        assert second.popen.wait(10) == 0
        assert len([line for line in second.said if '"standby"' in line]) == 1  # it says so once
        assert not [line for line in second.said if '"resumed"' in line]


def test_a_standby_takes_over_from_a_killed_leader_and_nothing_is_lost_or_doubled(
    start: Start, dataset: Dataset
) -> None:
    """Kill -9 of the leader in mid-stream, then, when it has come back as a standby, of its successor."""
    with start() as calm, calm.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        expected, expected_ids = state_of(calm, dataset)
    with (
        start() as stack,
        stack.client() as client,
        process(["worker"], environment(stack.settings)) as second,
    ):
        second.says("standby")
        account = Account(client)
        seconds: list[float] = []

        def fail_over() -> None:
            begun = time.monotonic()
            kill(stack.child("worker").pid)
            second.says('"resumed"')
            seconds.append(time.monotonic() - begun)

        def fail_back() -> None:
            kill(second.popen.pid)

        post_all(account, dataset, {20: fail_over, 40: fail_back})
        account.wait_until_applied()
        found, found_ids = state_of(stack, dataset)
    print(f"taken over after {seconds[0]:.2f} s, with a lease of {stack.settings.lease_seconds} s")  # noqa: T201
    assert found_ids == expected_ids
    assert found.log_time == expected.log_time
    assert_same(found, expected)


def test_a_stalled_leader_is_replaced_and_stands_by_when_it_wakes(start: Start, dataset: Dataset) -> None:
    """SIGSTOP of the leader with accepted events before it, SIGCONT when the other one has applied them."""
    said: list[str] = []
    with start() as calm, calm.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        expected, _ = state_of(calm, dataset)
    with (
        start(said, log_format="json") as stack,
        stack.client() as client,
        process(["worker"], environment(stack.settings)) as second,
    ):
        second.says("standby")
        first = stack.child("worker").pid
        account = Account(client)

        def wake() -> None:
            account.wait_until_applied()
            os.kill(first, signal.SIGCONT)

        post_all(account, dataset, {20: lambda: os.kill(first, signal.SIGSTOP), 40: wake})
        account.wait_until_applied()
        found, _ = state_of(stack, dataset)
        second.says('"resumed"')
        assert stack.child("worker").pid == first  # it did not die of it
        for what in ("fenced", "standby"):
            until(lambda what=what: any(f'"{what}"' in line for line in said if line.startswith("worker:")))  # type: ignore[misc]
    assert_same(found, expected)
