"""Ten minutes of steady traffic against the containers, then each of them killed in turn under the same traffic.

    python -m tests.deploy.soak --seconds 600 > soak.json

300 events (30 POSTs) and 100 lists a second; memory (PSS) of every container each 15 s; all acknowledged events are
looked for at the end. Progress goes to stderr. As root, with podman and buildah; the image is built first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from service.client import ClientError
from service.commands.reading_back import lost
from service.commands.wire import Wire
from service.commands.zipf import Zipf, encode
from tests.deploy.engine import build, check_tools
from tests.deploy.fleet import Fleet, fleet
from tests.deploy.job import until

EVENTS, LISTS, BATCH = 300, 100, 10  # a second, a second, events in one POST
USERS, ITEMS = 500, 100
SAMPLE_SECONDS = 15.0


@dataclass
class Traffic:
    """Runs in a thread until it is told to end. A POST that fails is sent again until it is acknowledged."""

    fleet: Fleet
    ended: bool = False
    accepted: dict[str, Counter[str]] = field(default_factory=dict)
    posts: list[tuple[float, float]] = field(default_factory=list)  # when it was acknowledged, seconds it took
    lists: list[tuple[float, float, str]] = field(default_factory=list)  # when, seconds, strategy
    errors: list[tuple[float, str]] = field(default_factory=list)

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        zipf = Zipf(USERS, ITEMS)
        url = f"http://127.0.0.1:{self.fleet.port}"
        async with Wire(url, self.fleet.key) as wire, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pace(EVENTS / BATCH, lambda: self._post(wire, zipf)))
            tasks.create_task(self._pace(LISTS, lambda: self._list(wire)))

    async def _pace(self, rate: float, work: Any) -> None:
        """Starts `work` so often a second; what is late is started at once, not left out."""
        begun, started, under_way = time.monotonic(), 0, set()
        while not self.ended:
            while started < (time.monotonic() - begun) * rate and len(under_way) < 200:
                task = asyncio.create_task(work())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                started += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*under_way)

    async def _post(self, wire: Wire, zipf: Zipf) -> None:
        events = zipf.events(BATCH)
        body, begun = encode(events), time.monotonic()
        while True:
            try:
                await wire.ask("POST", "/v1/events", body)
                break
            except (ClientError, OSError) as exc:
                self.errors.append((time.monotonic(), f"POST {type(exc).__name__}"))
                await asyncio.sleep(0.1)
        self.posts.append((time.monotonic(), time.monotonic() - begun))
        for event in events:
            self.accepted.setdefault(event.user_id, Counter())[event.item_id] += 1

    async def _list(self, wire: Wire) -> None:
        users = list(self.accepted) or ["nobody"]
        user, begun = users[len(self.lists) % len(users)], time.monotonic()
        try:
            answer = await wire.ask("GET", f"/v1/users/{user}/recommendations?k=10")
        except (ClientError, OSError) as exc:
            self.errors.append((time.monotonic(), f"GET {type(exc).__name__}"))
            await asyncio.sleep(0.1)
            return
        self.lists.append((time.monotonic(), time.monotonic() - begun, answer["strategy"]))


def figures(traffic: Traffic, begun: float, ended: float) -> dict[str, Any]:
    """Of what ended in a span of time."""
    posts = [seconds for at, seconds in traffic.posts if begun <= at < ended]
    lists = [seconds for at, seconds, _ in traffic.lists if begun <= at < ended]
    return {
        "seconds": round(ended - begun, 1),
        "events": BATCH * len(posts),
        "lists": len(lists),
        "errors": dict(Counter(what for at, what in traffic.errors if begun <= at < ended)),
        "strategies": dict(Counter(strategy for at, _, strategy in traffic.lists if begun <= at < ended)),
        "post_ms": _quantiles(posts),
        "list_ms": _quantiles(lists),
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {f"p{q}": round(1000 * float(np.percentile(seconds, q)), 1) for q in (50, 99)}


def growth(samples: list[dict[str, int]]) -> dict[str, dict[str, float]]:
    """Of each container: MB in the first and the last quarter of the samples (medians), and by how much it grew."""
    quarter = max(1, len(samples) // 4)
    found = {}
    for name in samples[0]:
        first, last = (float(np.median([s[name] for s in part])) for part in (samples[:quarter], samples[-quarter:]))
        found[name] = {"first_mb": round(first / 1e6, 1), "last_mb": round(last / 1e6, 1),
                       "growth": round(last / first - 1, 4)}  # fmt: skip
    return found


def recovery(running: Fleet, name: str) -> dict[str, float]:
    """Kills a container, starts it at once as an orchestrator would, and waits for the whole job to be done again."""
    begun = time.monotonic()
    running.containers[name].kill()
    killed = time.monotonic()
    running.containers[name].start()
    until(lambda: _does_its_job(running), 180.0)
    return {"killed_after": round(killed - begun, 1), "recovered_after": round(time.monotonic() - killed, 1)}


def _does_its_job(running: Fleet) -> bool:
    """An event is accepted, applied, and in the state that a list is made of."""
    try:
        with running.client() as client:
            accepted = client.post_events([{"user_id": "probe", "item_id": "probe", "type": "view"}], wait=True)
            shown = client.recommendations("probe", k=1, min_offset=accepted.offset)
            return client.ready().ok and bool(accepted.applied) and shown.strategy == "model" and not shown.state.stale
    except ClientError:
        return False


def soak(warm_up: float, seconds: float, folder: Path) -> dict[str, Any]:
    with fleet(folder, settings={"LOG_LENGTH": "20000"}) as running:
        traffic = Traffic(running)
        thread = Thread(target=traffic.run, daemon=True)
        thread.start()
        time.sleep(warm_up)
        begun, samples = time.monotonic(), []
        while time.monotonic() < begun + seconds:
            samples.append({name: container.memory() for name, container in running.containers.items()})
            _say(f"{time.monotonic() - begun:5.0f} s  {json.dumps({k: v // 10**6 for k, v in samples[-1].items()})}")
            time.sleep(SAMPLE_SECONDS)
        report = {"steady": figures(traffic, begun, time.monotonic()), "memory": growth(samples), "killed": {}}
        for name in running.containers:
            since = time.monotonic()
            found: dict[str, Any] = dict(recovery(running, name))
            time.sleep(5.0)
            found["meanwhile"] = figures(traffic, since, time.monotonic())
            report["killed"][name] = found
            _say(f"{name}: {found}")
        traffic.ended = True
        thread.join()
        with running.client() as client:
            end = max(client.post_events([{"user_id": "probe", "item_id": "probe"}], wait=True).offset or 0, 0)
            until(lambda: client.ready().body["offset"] >= end, 120.0)
            report["acknowledged"] = sum(sum(items.values()) for items in traffic.accepted.values())
            report["lost_or_doubled"] = lost(client, traffic.accepted)
    return report


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of steady traffic")
    parser.add_argument("--warm-up", type=float, default=120.0, help="seconds of it before memory is looked at")
    given = parser.parse_args()
    check_tools()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        (Path(folder) / "fleet").mkdir()
        sys.stdout.write(json.dumps(soak(given.warm_up, given.seconds, Path(folder) / "fleet"), indent=1) + "\n")


if __name__ == "__main__":
    main()
