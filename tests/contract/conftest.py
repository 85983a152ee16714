"""The adapters under one roof: factories that make a log, or a state, in memory or on Valkey, and clean up after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from model.spec import ModelSpec
from service.adapters.in_memory import (
    InMemoryEventLog,
    InMemoryEventSource,
    InMemoryGenerations,
    InMemoryLog,
    InMemoryState,
)
from service.adapters.in_memory_archive import InMemoryLogKeeper
from service.adapters.in_memory_erasures import InMemoryErasures
from service.adapters.in_memory_live import InMemoryLiveModels
from service.adapters.in_memory_reading import InMemoryActiveState, InMemoryItemFeed, InMemoryStateReader
from service.adapters.redis_clients import Server
from service.adapters.redis_erasures import RedisErasures
from service.adapters.redis_feed import RedisItemFeed
from service.adapters.redis_generations import RedisActiveState, RedisGenerations
from service.adapters.redis_keeper import RedisLogKeeper
from service.adapters.redis_live import RedisLiveModels
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateReader
from service.core.types import Append
from service.embedded import EmbeddedValkey
from service.ports import (
    ActiveState,
    Erasures,
    EventLog,
    EventSource,
    Generations,
    ItemFeed,
    LiveModels,
    LogKeeper,
    StateReader,
    StateStore,
)
from tests.process.toy import TOY_SPEC

TIMEOUT = 5.0
"""Seconds: a busy machine must not fail a test that is not about timeouts."""


class ManualClock:
    """Starts at a true time of day and moves when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass
class Log:
    """All sides of one log. sleep: lets seconds pass; run_ahead: lets the log's clock give a time that many seconds
    ahead, which is returned, and sets it right again."""

    events: EventLog
    source: EventSource
    keeper: LogKeeper
    erasures: Erasures
    sleep: Callable[[float], None]
    run_ahead: Callable[[int], int]


@dataclass
class State:
    """All sides of one state. active_of: of a live model, by its bundle; store, reader, feed: of its first generation;
    sleep: lets seconds pass; dump: everything that is stored, leases and epochs included.
    """

    generations: Generations
    models: LiveModels
    active: ActiveState
    active_of: Callable[[str], ActiveState]
    store: StateStore
    reader: StateReader
    feed: ItemFeed
    sleep: Callable[[float], None]
    dump: Callable[[], dict[str, Any]]


NewLog = Callable[..., Log]
NewState = Callable[..., State]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights, version `v1`, that knows tea and jam. Not to be written to."""
    from tests.e2e.bundle import shared_bundle  # torch is for those who ask for it

    return shared_bundle(tmp_path_factory, "first-version", version="v1")


@pytest.fixture(params=["in_memory", "valkey"])
async def new_log(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NewLog]:
    """A function that makes a log; options: window (seconds), digests."""
    async with AsyncExitStack() as cleanup:
        if request.param == "in_memory":
            yield _in_memory_log
        else:
            valkey: EmbeddedValkey = request.getfixturevalue("valkey")
            server = Server(valkey.log_url, prefix, TIMEOUT)
            yield lambda **options: _valkey_log(cleanup, server, **options)


@pytest.fixture(params=["in_memory", "valkey"])
async def new_state(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NewState]:
    """A function that makes a state; options: feed_length, spec."""
    async with AsyncExitStack() as cleanup:
        if request.param == "in_memory":
            yield _in_memory_state
        else:
            valkey: EmbeddedValkey = request.getfixturevalue("valkey")
            server = Server(valkey.state_url, prefix, TIMEOUT)
            yield lambda **options: _valkey_state(cleanup, server, **options)


@pytest.fixture
def raw_state(valkey: EmbeddedValkey) -> Iterator[Any]:
    """A plain client of the state's server, to look behind the adapter."""
    with redis.Redis.from_url(valkey.state_url) as client:
        yield client


@pytest.fixture
def raw_log(valkey: EmbeddedValkey) -> Iterator[Any]:
    """A plain client of the log's server, to look behind the adapter."""
    with redis.Redis.from_url(valkey.log_url) as client:
        yield client


def _in_memory_log(**options: int) -> Log:
    clock = ManualClock()
    log = InMemoryLog(clock, **options)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    def run_ahead(seconds: int) -> int:
        clock.now += seconds
        given = log.append([Append(b"ahead")])[0].offset
        clock.now -= seconds
        return log.timestamps[given - 1]

    sides = (InMemoryEventLog(log), InMemoryEventSource(log), InMemoryLogKeeper(log), InMemoryErasures(log))
    return Log(*sides, sleep, run_ahead)


def _valkey_log(cleanup: AsyncExitStack, server: Server, **options: int) -> Log:
    events, source, keeper = RedisEventLog(server, **options), RedisEventSource(server), RedisLogKeeper(server)
    erasures = RedisErasures(server)
    raw: Any = redis.Redis.from_url(server.url)
    cleanup.push_async_callback(events.aclose)
    cleanup.callback(source.close)
    cleanup.callback(keeper.close)
    cleanup.callback(erasures.close)
    cleanup.callback(raw.close)

    def run_ahead(seconds: int) -> int:
        given = int(time.time()) + seconds
        raw.hset(f"{server.prefix}:log:meta", "time", given)
        return given

    return Log(events, source, keeper, erasures, time.sleep, run_ahead)


def _in_memory_state(feed_length: int = 10_000, spec: ModelSpec = TOY_SPEC) -> State:
    clock = ManualClock()
    first = InMemoryState(clock, feed_length)
    generations = InMemoryGenerations(first)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    def dump() -> dict[str, Any]:
        found = {}
        live = [state for state, _ in generations.live.values()]
        found_live = {number: model for number, (_, model) in generations.live.items()}
        for state in (first, generations.active, generations.upcoming, *live):
            for name in vars(state).keys() - {"clock", "lock"} if state else ():
                value = getattr(state, name)
                found[f"{state.number}:{name}"] = value.copy() if hasattr(value, "copy") else value
        return found | {"active": generations.active.number, "live": found_live}

    reader, feed = InMemoryStateReader(first), InMemoryItemFeed(first, spec, generations)
    active = InMemoryActiveState(generations, spec)

    def active_of(bundle: str) -> ActiveState:
        return InMemoryActiveState(generations, spec, bundle)

    models = InMemoryLiveModels(generations)
    return State(generations, models, active, active_of, generations.current(), reader, feed, sleep, dump)


def _valkey_state(
    cleanup: AsyncExitStack, server: Server, feed_length: int = 10_000, spec: ModelSpec = TOY_SPEC
) -> State:
    generations, active = RedisGenerations(server, feed_length), RedisActiveState(server, spec)
    reader, feed = RedisStateReader(server), RedisItemFeed(server, spec)
    models = RedisLiveModels(server)
    raw: Any = redis.Redis.from_url(server.url)

    def active_of(bundle: str) -> ActiveState:
        found = RedisActiveState(server, spec, bundle)
        cleanup.push_async_callback(found.aclose)
        return found

    for close in (generations.close, models.close, raw.close):
        cleanup.callback(close)
    for aclose in (active.aclose, reader.aclose, feed.aclose):
        cleanup.push_async_callback(aclose)
    store = generations.current()
    dump = partial(dump_of, raw, server.prefix)
    return State(generations, models, active, active_of, store, reader, feed, time.sleep, dump)


def dump_of(raw: Any, prefix: str) -> dict[str, Any]:
    """Serialised values of all keys of a prefix."""
    return {key.decode(): raw.dump(key) for key in raw.scan_iter(f"{prefix}:*")}


async def soon(seconds: float, work: Callable[[], object]) -> None:
    """Does `work` in another thread after a while."""
    await asyncio.sleep(seconds)
    await asyncio.to_thread(work)
