"""`peregrine bench freshness`: single events at a steady rate, and how long they take to show."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from model.spec import DAY, ModelSpec
from service.client import Client
from service.commands import bundles, datasets, reading_back, terminal
from service.commands.connection import connect
from service.commands.freshness import Freshness, measure, percentile_ms
from service.commands.posting import Account
from service.commands.wire import Wire
from service.errors import PeregrineError
from service.processes.all_in_one import Stack
from service.settings import load_settings

USERS, ITEMS = 600, 10_000
_EVENTS_BEFORE = 20
"""Events of each user before the measurement, spread over a month."""
_TICK_SECONDS = 4.0
"""On a stack of our own the events' own clock runs so fast that an item tick closes this often."""


class NotMeasured(PeregrineError):
    """Nothing was accepted, or accepted events did not show."""


@dataclass(frozen=True)
class Target:
    """The service to measure. item_tick: of its model, if the events may bring their own time."""

    client: Client
    api_key: str | None
    item_tick: int | None


def run(rate: float, seconds: float, url: str | None, as_json: bool) -> None:
    """Measures the service at `url`, or a stack of its own. It posts to users and items that no other run uses."""
    with _target(url) as target:
        report = _measure(target, rate, seconds)
    if as_json:
        terminal.print_json(report)
    else:
        _print(report)
    if report["lost"]:
        raise NotMeasured(f"{report['lost']} accepted events are not in the state: see the logs")


@contextmanager
def _target(url: str | None) -> Iterator[Target]:
    settings = load_settings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if url:
        with connect(url) as client:
            yield Target(client, key, None)
        return
    bundle = settings.bundle or bundles.shipped()
    with TemporaryDirectory(prefix="peregrine-bench-") as folder:
        stores = {"data_dir": Path(folder), "state_url": None, "log_url": None}
        own = load_settings(**stores, bundle=bundle, port=0, clock="event", profiles="off", log_level="warning")
        terminal.say("starting Valkey, worker and API")
        with Stack(own) as stack, stack.client() as client:
            yield Target(client, key, ModelSpec.load(bundle / "spec.json").item_tick)


def _measure(target: Target, rate: float, seconds: float) -> dict[str, Any]:
    traffic = Traffic(target.item_tick)
    before = traffic.before()
    events = traffic.during(round(rate * seconds), rate)
    account = Account(target.client)
    terminal.say(f"{ITEMS:,} items, {USERS} users, {len(before):,} events before the measurement")
    for batch in datasets.batches(traffic.items()):
        account.put_items(batch)
    for batch in datasets.batches(before):
        account.post(batch)
    account.wait_until_applied()
    first_tick = _tick(target)
    with terminal.progress("") as bar:
        task = bar.add_task(f"{rate:g} events/s", total=len(events))
        found = uvloop.run(_run(target, events, rate, lambda done: bar.advance(task, done)))
    account.offset = max(account.offset, found.offset)
    account.wait_until_applied()
    if not found.fresh:
        raise NotMeasured(f"none of {len(events)} events was accepted and seen: see the service's log")
    closings = _tick(target) - first_tick
    accepted, uncertain = ([events[place] for place in places] for places in (found.accepted, found.uncertain))
    lost = reading_back.lost(target.client, reading_back.count([*before, *accepted]), reading_back.count(uncertain))
    return _report(found, rate, seconds, closings, lost)


async def _run(target: Target, events: list[dict[str, Any]], rate: float, progress: Callable[[int], None]) -> Freshness:
    async with Wire(target.client.url, target.api_key) as wire:
        return await measure(wire, events, rate, progress)


def _tick(target: Target) -> int:
    return int(target.client.ready().body["tick"])


def _report(found: Freshness, rate: float, seconds: float, closings: int, lost: int) -> dict[str, Any]:
    """seen: events that the times are of. p50, p99: from the 202 to the answer that shows the event; post_*: from the
    start of the POST to there; get_*: of plain GETs."""
    return {
        "rate": rate,
        "seconds": seconds,
        "events": len(found.accepted),
        "seen": len(found.fresh),
        "p50_ms": percentile_ms(found.fresh, 50),
        "p99_ms": percentile_ms(found.fresh, 99),
        "post_p50_ms": percentile_ms(found.whole, 50),
        "post_p99_ms": percentile_ms(found.whole, 99),
        "get_p50_ms": percentile_ms(found.get, 50),
        "get_p99_ms": percentile_ms(found.get, 99),
        "tick_closings": closings,
        "failed": found.failed,
        "unseen": found.unseen,
        "lost": lost,
    }


class Traffic:
    """Made-up events: users alike, items by a long-tailed popularity. item_tick: in seconds, None for events that take
    the server's time."""

    def __init__(self, item_tick: int | None) -> None:
        self._random = random.Random(0)  # noqa: S311 - made-up traffic, the same each time
        self._run = f"bench-{time.time_ns():x}"
        self._item_tick = item_tick
        self._weights = list(accumulate(1.0 / (10 + place) for place in range(ITEMS)))
        self._begin = int(time.time())

    def items(self) -> list[dict[str, Any]]:
        return [{"item_id": self._item(place), "available_from": None} for place in range(ITEMS)]

    def before(self) -> list[dict[str, Any]]:
        """The users' history, over the month before the measurement."""
        count = USERS * _EVENTS_BEFORE
        times = sorted(self._random.randrange(self._begin - 30 * DAY, self._begin) for _ in range(count))
        return [self._event(at, place % USERS) for place, at in enumerate(times)]

    def during(self, count: int, rate: float) -> list[dict[str, Any]]:
        """`count` events that are posted at `rate` a second."""
        if self._item_tick is None:
            return [self._event(None, self._random.randrange(USERS)) for _ in range(count)]
        pace = self._item_tick / _TICK_SECONDS / rate
        return [self._event(self._begin + int(i * pace), self._random.randrange(USERS)) for i in range(count)]

    def _event(self, timestamp: int | None, user: int) -> dict[str, Any]:
        (item,) = self._random.choices(range(ITEMS), cum_weights=self._weights)
        event = {"user_id": f"{self._run}-u{user}", "item_id": self._item(item), "type": "purchase"}
        return event if timestamp is None else event | {"timestamp": timestamp}

    def _item(self, place: int) -> str:
        return f"{self._run}-i{place}"


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("milliseconds", "p50", "p99", title=f"{report['events']:,} events at {report['rate']:g} a second")
    table.add_row("202 received -> visible", f"{report['p50_ms']:.1f}", f"{report['p99_ms']:.1f}")
    table.add_row("POST begun -> visible", f"{report['post_p50_ms']:.1f}", f"{report['post_p99_ms']:.1f}")
    table.add_row("a GET", f"{report['get_p50_ms']:.1f}", f"{report['get_p99_ms']:.1f}")
    terminal.stdout().print(table)
    terminal.say(f"{report['tick_closings']} item ticks closed meanwhile; {report['lost']} events lost")
