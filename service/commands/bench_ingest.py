"""`peregrine bench ingest`: how many events a second go in, and what stands in the way.

drain      a filled log, the worker alone: against what onnxruntime alone reaches on the same calls
rebuild    the same log, the first half from an archive, into a second generation of the state
sustained  everything together: POSTs of 500 events, each answered when its events show in recommendations
fresh      single events looked for while 1,000 events a second go in
memory     what users and items take in the store, against the bytes packed
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from service.adapters.bundle import Bundle, load_bundle
from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateStore
from service.commands import bench_rebuild, bundles, graph_times, memory, terminal
from service.commands.freshness import Freshness, measure, percentile_ms
from service.commands.wire import Wire
from service.commands.zipf import Zipf, encode
from service.embedded import EmbeddedValkey
from service.event_path import Writer, accept, apply_records, check_state
from service.processes.all_in_one import Stack
from service.settings import load_settings

BATCH = 500
"""Events of one POST."""
USERS, ITEMS = 100_000, 20_000
TICK_SECONDS = 5
"""The bundle's item tick is cut to this, so that ticks close by the wall clock while it is measured."""
_FILL_RATE = 8_000
"""Events that share a second of time in the filled log."""
_POSTERS = 6
_BATCH_SIZE = 4_000
_TIMEOUT = 10.0
_BACKGROUND = 50
"""Events of a POST of the load that freshness is measured under."""


def run(events: int, seconds: float, entities: int, as_json: bool) -> None:
    """Measures stores and processes of its own. entities: users, and as many items, whose memory is measured."""
    with TemporaryDirectory(prefix="peregrine-bench-") as name:
        folder = Path(name)
        bundle = with_tick(bundles.shipped(), folder / "bundle", TICK_SECONDS)
        report: dict[str, Any] = {"machine": _machine(), "batch": BATCH, "users": USERS, "items": ITEMS}
        report |= _drain(bundle, folder / "drain", events)
        report |= uvloop.run(_together(bundle, folder / "all", seconds))
        report |= memory.measure(folder / "memory", entities)
    terminal.print_json(report, indent=None if as_json else 2)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def with_tick(bundle: Path, copy: Path, seconds: int) -> Path:
    """A copy of a bundle whose items' memory moves every `seconds`."""
    shutil.copytree(bundle, copy)
    spec = json.loads((copy / "spec.json").read_bytes()) | {"item_tick": seconds}
    (copy / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["spec.json"] = hashlib.sha256((copy / "spec.json").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def _drain(folder: Path, data: Path, events: int) -> dict[str, Any]:
    """The second half of a log of `events` events, by a writer in this process; the first half makes its users old."""
    with EmbeddedValkey(data) as valkey:
        log_server, state_server = Server(valkey.log_url, timeout=_TIMEOUT), Server(valkey.state_url, timeout=_TIMEOUT)
        with terminal.progress("") as bar:
            task = bar.add_task("filling the log", total=events)
            asyncio.run(_fill(log_server, events, lambda done: bar.advance(task, done)))
            task = bar.add_task("draining it", total=events)
            bundle = load_bundle(folder)
            found = _drained(bundle, log_server, state_server, events, lambda done: bar.advance(task, done))
        return found | bench_rebuild.measure(bundle, data / "archive", log_server, state_server)


async def _fill(server: Server, events: int, progress: Callable[[int], None]) -> None:
    log, traffic = RedisEventLog(server, max_lag=events), Zipf(USERS, ITEMS)
    begin = int(time.time()) - events // _FILL_RATE - 1
    for start in range(0, events, BATCH):
        some = traffic.events(min(BATCH, events - start), begin + start // _FILL_RATE)
        await log.append(accept(some, [True] * len(some)))
        progress(len(some))
    await log.aclose()


def _drained(
    bundle: Bundle, log_server: Server, state_server: Server, events: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    source, store = RedisEventSource(log_server), RedisStateStore(state_server)
    graphs = graph_times.Recorded(bundle.model)
    epoch = store.acquire("bench", 600_000)
    check_state(store, source, bundle.hash, epoch)
    writer = Writer(store, graphs, epoch, overlap=True)
    writer.resume()

    def drain(until: int) -> float:
        begun = time.perf_counter()
        while writer.position.offset < until:
            before = writer.position.offset
            apply_records(writer, source.read(before, min(_BATCH_SIZE, until - before), 0))
            progress(writer.position.offset - before)
        writer.settle()
        return time.perf_counter() - begun

    drain(events // 2)
    graphs.clear()
    seconds = drain(events)
    writer.close()
    source.close()
    store.close()
    alone = graphs.seconds_alone()
    half = events - events // 2
    return {
        "drain_events_per_second": round(half / seconds),
        "compute_bound_events_per_second": round(half / alone),
        "drain_share_of_compute_bound": round(alone / seconds, 3),
        "graph_calls": graphs.calls,
    }


async def _together(bundle: Path, data: Path, seconds: float) -> dict[str, Any]:
    with _stack(bundle, data) as stack:
        async with Wire(stack.url) as wire:
            sustained = await _sustain(wire, seconds)
            fresh = await _fresh(wire, seconds)
            return sustained | fresh


@contextmanager
def _stack(bundle: Path, data: Path) -> Iterator[Stack]:
    stores = {"data_dir": data, "state_url": None, "log_url": None}
    terminal.say("starting Valkey, worker and API")
    settings = load_settings(**stores, bundle=bundle, port=0, clock="wall", profiles="off", log_level="warning")
    with Stack(settings) as stack:
        yield stack


async def _sustain(wire: Wire, seconds: float) -> dict[str, Any]:
    """POSTs one after the other from a few callers, each answered when its events show."""
    bodies = Zipf(USERS, ITEMS).bodies(BATCH)
    counts = {"shown": 0, "late": 0}
    await wire.ask("POST", "/v1/events?wait=applied", next(bodies))  # the first tick is open from here on
    first_tick, begun = await _tick(wire), time.perf_counter()
    with terminal.progress("") as bar:
        task = bar.add_task("POST to visible", total=round(seconds))

        async def post() -> None:
            while time.perf_counter() - begun < seconds:
                answer = await wire.ask("POST", "/v1/events?wait=applied", next(bodies))
                counts["shown" if answer["applied"] else "late"] += answer["accepted"]
                bar.update(task, completed=round(time.perf_counter() - begun))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_POSTERS):
                tasks.create_task(post())
    elapsed = time.perf_counter() - begun
    return {
        "sustained_events_per_second": round(counts["shown"] / elapsed),
        "sustained_seconds": round(elapsed, 1),
        "not_visible_within_2_s": counts["late"],
        "tick_closings": await _tick(wire) - first_tick,
    }


async def _fresh(wire: Wire, seconds: float) -> dict[str, Any]:
    """Single events, all looked for, while others make it 1,000 a second."""
    traffic = Zipf(USERS, ITEMS)
    rate, probes = 1_000, 25
    stop = asyncio.Event()
    load = asyncio.create_task(_load(wire, traffic, rate - probes, stop))
    events = json.loads(encode(traffic.events(round(probes * seconds))))
    first_tick = await _tick(wire)
    with terminal.progress("") as bar:
        task = bar.add_task(f"freshness under {rate:,} events/s", total=len(events))
        found: Freshness = await measure(wire, events, probes, lambda done: bar.advance(task, done), looked_for=1)
    stop.set()
    posted = await load
    return {
        "freshness_ms": {"p50": percentile_ms(found.fresh, 50), "p99": percentile_ms(found.fresh, 99)},
        "get_ms": {"p50": percentile_ms(found.get, 50), "p99": percentile_ms(found.get, 99)},
        "freshness_load_events_per_second": round((posted + len(events)) / seconds),
        "freshness_tick_closings": await _tick(wire) - first_tick,
        "unseen": found.unseen,
        "failed": found.failed,
    }


async def _load(wire: Wire, traffic: Zipf, rate: float, stop: asyncio.Event) -> int:
    """Posts batches at `rate` events a second until told to stop; how many were accepted."""
    accepted, begun, sent = 0, time.perf_counter(), 0
    while not stop.is_set():
        await asyncio.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
        answer = await wire.ask("POST", "/v1/events", encode(traffic.events(_BACKGROUND)))
        accepted, sent = accepted + answer["accepted"], sent + _BACKGROUND
    return accepted


async def _tick(wire: Wire) -> int:
    return int((await wire.ask("GET", "/readyz"))["tick"] or 0)
