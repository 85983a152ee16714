"""`peregrine bench recommend`: how fast lists are at a size of catalogue, and how many a second one API process makes.

latency   GETs at a steady rate while events go in and ticks close; timed from when each was due (open loop), so that a
          slow answer cannot hide by delaying the next question; then the same of a bare FastAPI application, while the
          same events go in: what the machine alone takes
capacity  as many GETs as some callers get answered, one after the other; the same of a bare FastAPI application
batch     lists a second that whole batches of users make, and that one caller gets who asks for one after the other
index     recall against a search of every item, time of an update, memory (`bench_index`)

Stores, worker, API and this generator share the machine.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvloop

from service.adapters.ivf_index import LEAST
from service.client import ClientError
from service.commands import bench_catalogue, bench_index, bundles, terminal
from service.commands.bench_ingest import with_tick
from service.commands.freshness import percentile_ms
from service.commands.wire import Wire
from service.embedded import EmbeddedValkey
from service.errors import PeregrineError
from service.processes.all_in_one import Stack
from service.settings import load_settings

RATE = 150.0
EVENTS = 500
"""A second, posted in batches of BATCH."""
BATCH = 50
TICK_SECONDS = 5
CALLERS = 16
BATCHES = 5
STAGES = ("state", "embed", "search", "rules", "serialise")
_WARM_UP = 3.0
_PATIENCE = 600.0
_STAGE = re.compile(rb"([a-z]+);dur=([0-9.]+)")


class NotMeasured(PeregrineError):
    """Some questions were not answered."""


def run(items: int, seconds: float, rate: float, as_json: bool) -> None:
    """Measures stores and processes of its own."""
    with TemporaryDirectory(prefix="peregrine-bench-") as name:
        folder = Path(name)
        bundle = with_tick(bundles.shipped(), folder / "bundle", TICK_SECONDS)
        terminal.say("making a shop")
        shop = bench_catalogue.make(bundles.shipped(), items, TICK_SECONDS, int(time.time()) - 60)
        of_index = bench_index.measure(shop, bundle)
        with EmbeddedValkey(folder / "stores") as stores:
            bench_catalogue.write(shop, bundle, stores.log_url, stores.state_url)
            user_ids, item_ids = shop.user_ids, shop.item_ids[:10_000]
            del shop
            urls = {"log_url": stores.log_url, "state_url": stores.state_url, "data_dir": folder}
            settings = load_settings(**urls, bundle=bundle, port=0, clock="wall", profiles="off", log_level="warning")
            terminal.say("starting worker and API")
            with Stack(settings, start_seconds=_PATIENCE) as stack:
                traffic = Traffic(user_ids, item_ids, items)
                compares = settings.live_evaluation > 0
                report = uvloop.run(_measure(stack, traffic, folder, seconds, rate, compares))
    report |= of_index
    terminal.print_json(report, indent=None if as_json else 2)


class Traffic:
    """Who asks, and what happens meanwhile."""

    def __init__(self, user_ids: list[str], item_ids: list[str], items: int) -> None:
        self._users, self._items, self.items = user_ids, item_ids, items
        self._rng = np.random.default_rng(2)

    def path(self) -> str:
        return f"/v1/users/{self._users[int(self._rng.integers(len(self._users)))]}/recommendations?k=20"

    @property
    def users(self) -> int:
        return len(self._users)

    def everybody(self) -> bytes:
        return json.dumps({"user_ids": self._users, "k": 20}).encode()

    def events(self) -> bytes:
        users = self._rng.integers(0, len(self._users), BATCH).tolist()
        items = (len(self._items) * self._rng.random(BATCH) ** 3).astype(np.int64).tolist()
        rows = zip(users, items, strict=True)
        return json.dumps(
            [{"user_id": self._users[u], "item_id": self._items[i], "type": "purchase"} for u, i in rows]
        ).encode()


async def _measure(
    stack: Stack, traffic: Traffic, folder: Path, seconds: float, rate: float, compares: bool
) -> dict[str, Any]:
    async with Wire(stack.url) as wire:
        answer = await wire.ask("GET", traffic.path())
        await _settled(wire, traffic, compares)
        first_tick = await _tick(wire)
        report = await _latency(wire, wire, traffic, seconds, rate)
        terminal.say(f"{await _tick(wire) - first_tick} item ticks closed meanwhile")
        terminal.say("capacity of one API process")
        report["capacity_rps"] = await _capacity(wire, traffic, max(3.0, seconds / 4))
        report["single_rps"] = await _capacity(wire, traffic, max(3.0, seconds / 12), callers=1)
        report["batch_rps"] = await _batches(wire, traffic)
        with _bare(answer, folder) as url:
            async with Wire(url) as bare:
                await _answers(bare, traffic.path())
                alone = await _latency(bare, wire, traffic, seconds / 2, rate)
                report |= {"bare_p50_ms": alone["p50_ms"], "bare_p99_ms": alone["p99_ms"]}
                report["bare_rps"] = await _capacity(bare, traffic, max(3.0, seconds / 4))
    return report


async def _settled(wire: Wire, traffic: Traffic, compares: bool) -> None:
    """Returns when caches are warm, the index has what lists it wants and has measured them, and items are copied for
    the comparison with a memory that stands still, if there is one."""
    stop, deadline = asyncio.Event(), time.monotonic() + _PATIENCE
    await _capacity(wire, traffic, _WARM_UP)
    load = asyncio.create_task(_load(wire, traffic, stop))
    while time.monotonic() < deadline:
        await _capacity(wire, traffic, 1.0, callers=1)
        _, metrics = await wire.fetch("GET", "/metrics")
        read = re.search(rb"peregrine_index_lists_read ([0-9.]+)", metrics)
        made = traffic.items < LEAST or (read is not None and float(read[1]) < 1.0)
        if made and (not compares or re.search(rb'peregrine_live_evaluated_total.contender="frozen"', metrics)):
            break
    stop.set()
    await load


async def _latency(wire: Wire, events: Wire, traffic: Traffic, seconds: float, rate: float) -> dict[str, Any]:
    """Milliseconds from when each GET of `wire` was due, and mean milliseconds by stage; events go to the other."""
    took: list[float] = []
    stages: dict[str, list[float]] = defaultdict(list)
    failed = 0

    async def ask(due: float) -> None:
        nonlocal failed
        try:
            head, _ = await wire.fetch("GET", traffic.path())
        except ClientError:
            failed += 1
            return
        took.append(time.perf_counter() - due)
        for name, milliseconds in _STAGE.findall(head):
            stages[name.decode()].append(float(milliseconds))

    stop = asyncio.Event()
    load = asyncio.create_task(_load(events, traffic, stop))
    terminal.say(f"{rate:g} lists a second for {seconds:g} s, {EVENTS} events a second going in")
    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for n in range(round(rate * seconds)):
            due = start + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(ask(due))
    stop.set()
    await load
    if failed or not took:
        raise NotMeasured(f"{failed} of {failed + len(took)} questions were not answered: see the lines of the API")
    return {
        "p50_ms": percentile_ms(took, 50),
        "p99_ms": percentile_ms(took, 99),
        "stages_ms": {name: round(float(np.mean(stages[name])), 3) for name in STAGES if stages[name]},
    }


async def _load(wire: Wire, traffic: Traffic, stop: asyncio.Event) -> None:
    """EVENTS a second until told to stop."""
    begun, sent = time.perf_counter(), 0
    while not stop.is_set():
        await asyncio.sleep(max(0.0, begun + sent / EVENTS - time.perf_counter()))
        await wire.ask("POST", "/v1/events", traffic.events())
        sent += BATCH


async def _capacity(wire: Wire, traffic: Traffic, seconds: float, callers: int = CALLERS) -> float:
    """Answers a second that the callers get together."""
    answered, begun = 0, time.perf_counter()

    async def call() -> None:
        nonlocal answered
        while time.perf_counter() - begun < seconds:
            await wire.fetch("GET", traffic.path())
            answered += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(call())
    return round(answered / (time.perf_counter() - begun), 1)


async def _batches(wire: Wire, traffic: Traffic) -> float:
    """Lists a second: the median of BATCHES requests for all users."""
    body, took = traffic.everybody(), []
    for _ in range(BATCHES):
        begun = time.perf_counter()
        await wire.ask("POST", "/v1/recommendations/batch", body)
        took.append(time.perf_counter() - begun)
    return round(traffic.users / float(np.median(took)), 1)


async def _tick(wire: Wire) -> int:
    return int((await wire.ask("GET", "/readyz"))["tick"] or 0)


async def _answers(wire: Wire, path: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            await wire.fetch("GET", path)
        except ClientError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


@contextmanager
def _bare(answer: dict[str, Any], folder: Path) -> Iterator[str]:
    """A process that answers the same, and does nothing for it."""
    path = folder / "answer.json"
    path.write_text(json.dumps(answer))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.commands.bare_api", str(path), str(port)]
    process = subprocess.Popen(command)  # noqa: S603 - our own module
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
