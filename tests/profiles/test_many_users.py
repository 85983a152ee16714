"""Ten thousand users, a language model that takes its time, and profilers that are killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.e2e.bundle import make_bundle
from tests.e2e.processes import environment, process
from tests.profiles.endpoint import FakeEndpoint
from tests.profiles.words import WordEmbedder

USERS, KILLS, CONCURRENCY, CALL_SECONDS = 10_000, 10, 8, 0.05
DEADLINE = 1_500.0
START = 1_700_000_000
BATCH = 500


def post(stack: Stack, users: int) -> None:
    """Three events of each user, on an item that nobody else has."""
    with stack.client() as client:
        for first in range(0, users, BATCH):
            numbers = range(first, min(first + BATCH, users))
            client.put_items({"item_id": f"i{n}", "title": f"thing{n} running shoe"} for n in numbers)
        offset = 0
        for first in range(0, users, BATCH // 3):
            numbers = range(first, min(first + BATCH // 3, users))
            events = [
                {"user_id": f"u{n}", "item_id": f"i{n}", "timestamp": START + k} for n in numbers for k in range(3)
            ]
            offset = client.post_events(events).offset
        until(lambda: client.ready().body.get("offset", 0) >= offset)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def described(fake: FakeEndpoint) -> Counter[str]:
    """Calls that were answered, by user's item."""
    return Counter(body["messages"][1]["content"].partition("thing")[2].partition(" ")[0] for body in list(fake.asked))


@contextmanager
def writes_of_profiles(server: Any, prefix: str) -> Iterator[Counter[str]]:
    """How often each user's profile is written during the block; the server tells."""
    server.config_set("notify-keyspace-events", "K$")
    written: Counter[str] = Counter()
    listening = server.pubsub(ignore_subscribe_messages=True)
    start = f"{prefix}:profile:u:"
    listening.psubscribe(
        **{f"__keyspace@0__:{start}*": lambda m: written.update([m["channel"].decode().partition(start)[2]])}
    )
    thread = listening.run_in_thread(sleep_time=0.1, daemon=True)
    try:
        yield written
    finally:
        thread.stop()
        thread.join()
        listening.close()
        server.config_set("notify-keyspace-events", "")


def stored(server: Any, prefix: str) -> int:
    return sum(1 for _ in server.scan_iter(f"{prefix}:profile:u:*", count=10_000))


@pytest.mark.long
def test_ten_thousand_users_are_described_once_each_though_profilers_are_killed(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    """Killed 10 times with up to 8 calls under way: no profile is stored twice, none is missing.

    An answer that was on its way to a process that is killed is lost with it: only those users, 8 a kill at most, are
    asked about again, and what their first call can have cost stays counted.
    """
    chance = np.random.default_rng(1)
    with (
        FakeEndpoint(delay=CALL_SECONDS, embedder=WordEmbedder(32)) as fake,
        redis.Redis.from_url(valkey.state_url) as server,
        writes_of_profiles(server, prefix) as written,
    ):
        settings = load_settings(
            log_url=valkey.log_url, state_url=valkey.state_url, prefix=prefix, bundle=make_bundle(tmp_path),
            clock="event", port=0, profiles="off", embed_url=fake.url, embed_model="words", state_timeout=5.0,
        )  # fmt: skip
        more = {
            "chat_url": fake.url, "chat_model": "small", "embed_url": fake.url, "embed_model": "words",
            "chat_concurrency": CONCURRENCY, "chat_timeout": 5, "profiler_seconds": 0.05, "profile_nearness": 0,
            "chat_daily_tokens": 10**9, "state_timeout": 5.0,
        }  # fmt: skip
        with Stack(settings, lambda *_: None) as stack:
            post(stack, USERS)
            running = environment(stack.settings, **more)
            for kill in range(1, KILLS + 1):
                with process(["profiler"], running):  # killed at the end of the block
                    until(lambda at=kill: len(fake.asked) >= at * USERS // (2 * KILLS))
                    time.sleep(chance.random() / 5)
            began, before = time.monotonic(), len(fake.asked)
            with process(["profiler"], running):
                until(lambda: len(fake.asked) >= USERS)
                rate = (len(fake.asked) - before) / (time.monotonic() - began)
                until(lambda: stored(server, prefix) == USERS)
            until(lambda: written.total() >= USERS)
        assert len(written) == USERS
        assert set(written.values()) == {1}
        counts = described(fake)
        assert len(counts) == USERS
        again = sum(counts.values()) - USERS
        assert again <= KILLS * CONCURRENCY, again
        assert fake.most <= CONCURRENCY
        assert server.zcard(f"{prefix}:profile:due") == server.hlen(f"{prefix}:profile:dead") == 0
    print(f"{rate:.0f} users/s of {CONCURRENCY / CALL_SECONDS:.0f}; asked about again: {again}")  # noqa: T201 - the figure


@pytest.mark.long
def test_a_days_tokens_are_not_passed(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    """By two profilers with 8 calls under way each: what calls can cost is set aside before them."""
    limit = 60_000
    with FakeEndpoint(delay=0.01, embedder=WordEmbedder(32)) as fake, redis.Redis.from_url(valkey.state_url) as server:
        settings = load_settings(
            log_url=valkey.log_url, state_url=valkey.state_url, prefix=prefix, bundle=make_bundle(tmp_path),
            clock="event", port=0, profiles="off", embed_url=fake.url, embed_model="words", state_timeout=5.0,
        )  # fmt: skip
        more = {
            "chat_url": fake.url, "chat_model": "small", "embed_url": fake.url, "embed_model": "words",
            "chat_concurrency": CONCURRENCY, "profiler_seconds": 0.05, "chat_daily_tokens": limit, "state_timeout": 5.0,
        }  # fmt: skip
        with Stack(settings, lambda *_: None) as stack:
            post(stack, 600)
            running = environment(stack.settings, **more)
            with process(["profiler"], running) as first, process(["profiler"], running) as second:
                first.says("profiles_paused")
                second.says("profiles_paused")
                time.sleep(1.0)
        spent = sum(int(server.get(key)) for key in server.scan_iter(f"{prefix}:profile:tokens:*"))
        assert 0 < spent <= limit
        assert 0 < len(fake.asked) < 600
