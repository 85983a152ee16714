"""`peregrine bench rollout`: how fast a second memory is made while the first one serves, and what the switches cost.

events -> live traffic -> rollout (its worker may be killed on the way) -> back -> there again -> both memories read
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from threading import Thread
from typing import Any

import numpy as np

from service.adapters.model_folder import ModelFolder
from service.client import Client, ClientError
from service.commands import bundles, terminal
from service.commands.posting import Account
from service.commands.zipf import Zipf, encode
from service.errors import PeregrineError
from service.processes.all_in_one import Stack
from service.settings import load_settings

EVENTS_A_SECOND, LISTS_A_SECOND = 200, 50
USERS, ITEMS = 20_000, 5_000
BATCH = 500
_SECONDS = 5.0
"""Of traffic before, and after each switch."""
VERSION = "second"


class RolloutNotMeasured(PeregrineError):
    """The rollout did not end as it should."""


@dataclass
class Traffic:
    """Events and lists at a steady rate, each answer noted: (moment, seconds it took, version of the model)."""

    client: Client
    zipf: Zipf
    users: Sequence[str]
    lists: list[tuple[float, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    accepted: int = 0
    stop: Flag = field(default_factory=Flag)

    def post(self) -> None:
        for _ in self._beats(EVENTS_A_SECOND / 20):
            try:
                self.accepted += self.client.post_events(encode(self.zipf.events(20))).accepted
            except ClientError as exc:
                self.failures.append(f"event: {exc}")

    def read(self) -> None:
        for beat in self._beats(LISTS_A_SECOND):
            began = time.monotonic()
            try:
                found = self.client.recommendations(self.users[beat % len(self.users)])
            except ClientError as exc:
                self.failures.append(f"list: {exc}")
                continue
            if found.strategy != "model":
                self.failures.append(f"list: {found.strategy}")
            self.lists.append((began, time.monotonic() - began, str(found.model.version)))

    def _beats(self, rate: float) -> Iterator[int]:
        beat, began = 0, time.monotonic()
        while not self.stop.is_set():
            yield beat
            beat += 1
            time.sleep(max(0.0, began + beat / rate - time.monotonic()))

    @contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [Thread(target=work, daemon=True) for work in (self.post, self.read)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def p99(self, start: float, stop: float) -> float | None:
        """Milliseconds, of the lists asked for in between."""
        took = [seconds for began, seconds, _ in self.lists if start <= began < stop]
        return round(1_000 * float(np.quantile(took, 0.99)), 1) if took else None


def run(events: int, kill: bool, as_json: bool) -> None:
    with TemporaryDirectory(prefix="peregrine-bench-") as folder:
        report = measure(Path(folder), bundles.shipped(), events, kill)
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_text("\n".join(f"{name}: {value}" for name, value in report.items()))
    if report["failures"] or report["missing"]:
        raise RolloutNotMeasured(f"failed: {report['failures'][:3]}, missing: {report['missing']}")


def measure(folder: Path, bundle: Path, events: int, kill: bool, **settings_of_its_own: Any) -> dict[str, Any]:
    """kill: SIGKILL to the new model's worker on the way. missing: accepted events that either memory lacks."""
    said: list[str] = []
    stores = {"data_dir": folder / "data", "state_url": None, "log_url": None, "port": 0}
    plain = {"bundle": bundle, "profiles": "off", "embed_text": "off"}
    settings = load_settings(**stores, **plain, **settings_of_its_own)
    with Stack(settings, lambda _, line: said.append(line)) as stack, stack.client() as client:
        ModelFolder(folder / "data" / "models").add(bundles.remade(bundle, folder / "second", VERSION))
        zipf, account = Zipf(USERS, ITEMS), Account(client)
        bodies = zipf.bodies(BATCH)
        for _ in range(events // BATCH):
            account.post(next(bodies))
        account.wait_until_applied()
        users = sorted({event.user_id for event in zipf.events(500)})
        traffic = Traffic(client, zipf, users)
        with traffic.flowing():
            report = _rolled(client, traffic, said if kill else None, events)
        time.sleep(1.0)
        account.offset = int(client.ready().body["log_end"])
        account.wait_until_applied()
        report["missing"] = _missing(client, account.events.accepted + traffic.accepted)
    return report | {"failures": traffic.failures, "lists": len(traffic.lists), "events": events + traffic.accepted}


def _rolled(client: Client, traffic: Traffic, said: list[str] | None, events: int) -> dict[str, Any]:
    first = str(client.call("GET", "/v1/models")["active"])
    began = time.monotonic()
    time.sleep(_SECONDS)
    started = time.monotonic()
    client.call("POST", f"/v1/models/{VERSION}/rollout", {"switch": True})
    filled = _followed(client, said, events)
    switched = time.monotonic()
    time.sleep(_SECONDS)
    marks = [switched]
    for path in ("rollback", f"{VERSION}/activate"):
        marks.append(time.monotonic())
        client.call("POST", f"/v1/models/{path}")
        time.sleep(_SECONDS)
    after = {f"p99_ms_switch_{n}": traffic.p99(mark - 1.0, mark + 2.0) for n, mark in enumerate(marks, 1)}
    return {
        "from": first,
        "fill_seconds": round(filled - started, 2),
        "fill_records_per_second": round(events / (filled - started)),
        "rollout_seconds": round(switched - started, 2),
        "p99_ms_before": traffic.p99(began, started),
        "p99_ms_filling": traffic.p99(started, filled),
        **after,
        "versions": sorted({version for _, _, version in traffic.lists}),
    }


def _followed(client: Client, said: list[str] | None, events: int) -> float:
    """Until the new model is active; when its memory had caught up. said: of the processes, to kill the new worker."""
    filled, killed, deadline = 0.0, said is None, time.monotonic() + 600.0
    while time.monotonic() < deadline:
        model = next(m for m in client.call("GET", "/v1/models")["models"] if m["version"] == VERSION)
        if not killed and said is not None and 0 < model["events_behind"] < events * 2 // 3:
            line = next(line for line in reversed(said) if "member_starts" in line)
            os.kill(int(line.split('"pid":')[1].split(",")[0].strip(" }")), signal.SIGKILL)
            killed = True
        if not filled and model["status"] != "filling":
            filled = time.monotonic()
        if model["status"] == "active":
            return filled
        if model["status"] in {"refused", "registered"}:
            raise RolloutNotMeasured(f"the model is {model['status']}: {model['reason']}")
        time.sleep(0.05)
    raise RolloutNotMeasured("the rollout took more than ten minutes")


def _missing(client: Client, accepted: int) -> int:
    """Records that the log, or either memory, lacks."""
    found = 0
    for path in ("rollback", f"{VERSION}/activate"):
        client.call("POST", f"/v1/models/{path}")
        found += max(0, accepted - int(client.ready().body["offset"]))
    return found
