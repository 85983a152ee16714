"""Where the worker's time goes while it drains a filled log: `python -m tests.bench.ingest_profile [events]`.

Every stage is timed by itself: what it calls of the other stages is theirs. Commits do not overlap with computing here,
so that the store's time shows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model.process import apply as process
from service.adapters import redis_commit, redis_log
from service.adapters.bundle import load_bundle
from service.adapters.onnx_model import OnnxModel
from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventSource
from service.adapters.redis_state import RedisStateStore
from service.commands import bench_ingest, bundles
from service.embedded import EmbeddedValkey
from service.event_path import Writer, apply_records, check_state, working_set, writer

STAGES: list[tuple[str, Any, str]] = [
    ("read the log from the store", RedisEventSource, "read"),
    ("cut blocks into columns", redis_log, "_records"),
    ("find the records of users", working_set.WorkingSet, "load_users"),
    ("find the records of items", working_set.WorkingSet, "load_items"),
    ("unpack blobs into arrays", working_set, "unpack_users"),
    ("unpack blobs into arrays", working_set, "unpack_items"),
    ("state process: order, moments, ticks", writer, "apply"),
    ("state process: fold and open rows", process, "_roll"),
    ("state process: messages", process, "_exchange"),
    ("state process: neighbours", process, "add_neighbours"),
    ("state process: pairs", process, "add_pairs"),
    ("state process: popularity", process, "add_popularity"),
    ("onnxruntime", OnnxModel, "_run"),
    ("pack arrays into blobs", writer, "pack_users"),
    ("pack arrays into blobs", writer, "pack_items"),
    ("item vectors that are shown", writer.Writer, "_ended"),
    ("write the commit's commands", redis_commit.Commits, "_commands"),
    ("send the commit, wait for the store", redis_commit.Commits, "commit"),
    ("everything else of the writer", writer.Writer, "step"),
]
"""(name of the stage, where it is defined, function)."""


class Stopwatch:
    """Seconds by stage, each without those that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any], whole: bool) -> Callable[..., Any]:
        """whole: a generator, which is run to its end at once."""

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            self._inner.append(0.0)
            try:
                answer = function(*args, **kwargs)
                return list(answer) if whole else answer
            finally:
                spent = time.perf_counter() - begun
                self.seconds[stage] += spent - self._inner.pop()
                self._inner[-1] += spent

        return run

    def install(self) -> None:
        for stage, owner, name in STAGES:
            setattr(owner, name, self.timed(stage, getattr(owner, name), whole=name == "_commands"))


def main(events: int) -> None:
    """Drains the first half to make users old, and profiles the second. A table on stdout."""
    with TemporaryDirectory() as name, EmbeddedValkey(Path(name) / "data") as valkey:
        bundle = load_bundle(bench_ingest.with_tick(bundles.shipped(), Path(name) / "bundle", 5))
        log, state = Server(valkey.log_url, timeout=10.0), Server(valkey.state_url, timeout=10.0)
        asyncio.run(bench_ingest._fill(log, events, lambda _: None))
        source, store = RedisEventSource(log), RedisStateStore(state)
        epoch = store.acquire("profile", 600_000)
        check_state(store, source, bundle.hash, epoch)
        one = Writer(store, bundle.model, epoch)
        one.resume()
        _drain(one, source, events // 2)
        watch = Stopwatch()
        watch.install()
        begun = time.perf_counter()
        _drain(one, source, events)
        seconds = time.perf_counter() - begun
        source.close()
        store.close()
    _print(watch, events - events // 2, seconds)


def _drain(one: Writer, source: RedisEventSource, until: int) -> None:
    while (before := one.position.offset) < until:
        apply_records(one, source.read(before, min(4_000, until - before), 0))


def _print(watch: Stopwatch, events: int, seconds: float) -> None:
    lines = [*watch.seconds.most_common(), ("the loop around it", seconds - sum(watch.seconds.values()))]
    print(f"{events:,} events in {seconds:.1f} s: {1e6 * seconds / events:.1f} us an event\n")  # noqa: T201
    print("| stage | us an event | share |\n|---|---|---|")  # noqa: T201
    for stage, spent in lines:
        print(f"| {stage} | {1e6 * spent / events:.1f} | {spent / seconds:.0%} |")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
