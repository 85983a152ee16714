"""A made-up shop of any size for measuring: what the shipped bundle makes of made-up traffic on some items, and more
items between those, so that vectors and their lengths are distributed as trained ones are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.process.apply import visible_items
from model.process.batch import Events, Users
from model.process.records import NEVER, Float, Int, Records
from model.process.state import State
from model.spec import DAY
from service.adapters.bundle import Bundle, load_bundle
from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventSource
from service.adapters.redis_state import RedisStateStore
from service.commands import terminal
from service.core.blobs import pack_items, pack_users
from service.core.types import Commit, Position

USERS = 1_000
_EVENTS = 30
"""Of each user, over the month before."""
_LIVED = 10_000
"""Items with traffic of their own."""
_TASTE = 10
"""Items that a user comes back to."""
_STEP = 5_000
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Shop:
    """item_ids, items: (N,); users: USERS records with their pairs; now: unix seconds of the newest event."""

    item_ids: list[str]
    items: Records
    users: Users
    now: int

    @property
    def user_ids(self) -> list[str]:
        return [f"bench-u{n}" for n in range(USERS)]


def make(bundle: Path, count: int, item_tick: int, now: int) -> Shop:
    """`count` items for a service whose ticks are `item_tick` seconds long."""
    loaded, lived = load_bundle(bundle), min(count, _LIVED)
    ids = [f"bench-i{n}" for n in range(count)]
    rng = np.random.default_rng(0)
    state = _lived(loaded, ids[:lived], rng, now)
    items = _settled(state, item_tick)
    if more := count - len(items):
        items = np.concatenate([items, _between(items, more, rng)])
    return Shop(ids, items, state.gather(np.arange(USERS)), now)


def _lived(bundle: Bundle, ids: list[str], rng: np.random.Generator, now: int) -> State:
    """The state after a month of traffic on the items `ids`."""
    model, count = bundle.model, len(ids)
    static = model.static_items(np.zeros((count, model.spec.text_dim), np.float32))
    state = State(model, USERS, ids, static, np.full(count, now - 365 * DAY))
    total = USERS * _EVENTS
    popular = rng.choice(count, total, p=_zipf(count))
    taste = rng.integers(0, count, (USERS, _TASTE))
    user = rng.integers(0, USERS, total)
    item = np.where(rng.random(total) < 0.5, taste[user, rng.integers(0, _TASTE, total)], popular)
    times = np.sort(rng.integers(now - 30 * DAY, now, total))
    types = np.full(total, model.spec.type_code("purchase"), np.uint8)
    state.apply(Events(user, item, times, types, np.ones(total, np.float32), np.zeros(total, np.int64)))
    return state


def _zipf(count: int) -> Float:
    weights = 1.0 / (10 + np.arange(count))
    return np.asarray(weights / weights.sum())


def _settled(state: State, item_tick: int) -> Records:
    """Items with their ticks closed, numbered by ticks of another length."""
    items, spec = state.items.copy(), state.model.spec
    items["m"] = visible_items(items, state.log_time // spec.item_tick + 1, state.model)[:, spec.static_dim :]
    items["sum"], items["count"] = 0.0, 0
    items["key"] = np.where(items["key"] == NEVER, items["key"], items["last"] // item_tick)
    return items


def _between(items: Records, count: int, rng: np.random.Generator) -> Records:
    """Items that lie between two others each, nearer to the one whose counters they share."""
    one, other = rng.integers(0, len(items), (2, count))
    share = rng.uniform(0.05, 0.5, (count, 1)).astype(np.float32)
    found: Records = items[one]
    for name in ("x", "m"):
        found[name] = (1 - share) * items[name][one] + share * items[name][other]
    return found


def write(shop: Shop, bundle: Path, log_url: str, state_url: str) -> None:
    """Writes it to stores that hold nothing yet, as the state of an empty log."""
    store = RedisStateStore(Server(state_url, timeout=_TIMEOUT))
    source = RedisEventSource(Server(log_url, timeout=_TIMEOUT))
    epoch = store.acquire("bench", 600_000)
    base = Position(log_time=shop.now, log_id=source.log_id(), bundle=load_bundle(bundle).hash)
    store.reset(epoch, base)
    with terminal.progress("") as bar:
        task = bar.add_task("writing items", total=len(shop.item_ids))
        for start in range(0, len(shop.item_ids), _STEP):
            stop = min(start + _STEP, len(shop.item_ids))
            blobs = dict(zip(range(start, stop), pack_items(shop.items[start:stop]), strict=True))
            position = _at(base, stop)
            names = tuple(shop.item_ids[start:stop])
            store.commit(Commit(epoch, 0, position, items=blobs, new_items=names))
            bar.advance(task, stop - start)
    blobs_of = zip((user_id.encode() for user_id in shop.user_ids), pack_users(shop.users), strict=True)
    store.commit(Commit(epoch, 0, _at(base, len(shop.item_ids)), users=dict(blobs_of)))
    store.release("bench")
    store.close()
    source.close()


def _at(base: Position, count: int) -> Position:
    return Position(0, base.log_time, base.tick, count, base.log_id, base.bundle)


def moments(shop: Shop) -> Int:
    """(USERS,) a moment soon after all events."""
    return np.full(USERS, shop.now + 60)
