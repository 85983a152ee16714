"""`peregrine bench rollout`: how fast a second memory is made while the first one serves, and what the switches cost.

events -> live traffic, the worker drains what waits -> rollout (its worker may be killed on the way) -> back -> there
again -> both memories against a clean replay of the log
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.adapters.model_folder import ModelFolder
from service.client import Client
from service.commands import bundles, terminal
from service.commands.clean_replay import Verdict, judge
from service.commands.posting import Account
from service.commands.steady_traffic import Traffic
from service.commands.zipf import Zipf, encode
from service.errors import PeregrineError
from service.logs import configure
from service.processes.all_in_one import Stack
from service.settings import Settings, load_settings
from service.wiring import build_worker, open_archive

USERS, ITEMS = 20_000, 5_000
BATCH = 500
VERSION = "second"
_BEFORE, _AFTER = 1.0, 2.0
"""Seconds around a switch in which lists are said to be made during it."""
_PATIENCE = 600.0
_AGAIN = 1.5
"""Seconds without any progress after which a pause is one, and no slow progress."""


class RolloutNotMeasured(PeregrineError):
    """The rollout did not end as it should."""


def run(events: int, kill: bool, as_json: bool) -> None:
    configure("warning")  # the clean replay of both memories runs in this process
    with TemporaryDirectory(prefix="peregrine-bench-") as folder:
        report = measure(Path(folder), bundles.shipped(), events, kill)
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_text("\n".join(f"{name}: {value}" for name, value in report.items()))
    if report["failures"] or report["missing"] or report["doubled"]:
        raise RolloutNotMeasured(f"failed: {report['failures'][:3]}, missing: {report['missing']}")


def measure(
    folder: Path, bundle: Path, events: int, kill: bool, seconds: float = 10.0, **settings_of_its_own: Any
) -> dict[str, Any]:
    """kill: SIGKILL to the new model's worker on the way; seconds: of traffic before, and after each switch.

    drain, fill: what the one worker does of what waits, and the second one of archive and log, both while lists are
    served; missing, doubled: accepted events that the two memories have too few, or too many; difference: the largest
    of a float of either from a clean replay of archive and log, as a part of 1 + its size; inf where integers differ.
    """
    said: list[str] = []
    stores = {"data_dir": folder / "data", "state_url": None, "log_url": None, "port": 0}
    plain: dict[str, Any] = {"bundle": bundle, "profiles": "off", "embed_text": "off", "log_format": "json"}
    plain |= {"log_length": events // 2}  # so that half of them are in the archive alone
    settings = load_settings(**(stores | plain | settings_of_its_own))
    with Stack(settings, lambda _, line: said.append(line)) as stack, stack.client() as client:
        second = bundles.remade(bundle, folder / "second", VERSION)
        ModelFolder(folder / "data" / "models").add(second)
        zipf, users = Zipf(USERS, ITEMS), Counter[str]()
        traffic = Traffic(client, zipf, sorted({event.user_id for event in zipf.events(500)}))
        with _stopped(stack.child("worker").pid) as go_on:
            _fill(client, zipf, events, users)
            with traffic.flowing():
                drained = _drained(client, go_on)
                _wait_for_archive(stack.settings, events)
                report = _rolled(client, traffic, said if kill else None, events, seconds)
        users.update(traffic.accepted)
        verdicts = [_judged(stack.settings, client, one, users) for one in (bundle, second)]
    filled = report["fill_records_per_second"]
    report |= {
        "drain_records_per_second": drained,
        "drain_against_fill": round(drained / filled, 2) if drained and filled else None,
        "missing": sum(verdict.missing for verdict in verdicts),
        "doubled": sum(verdict.doubled for verdict in verdicts),
        "difference": max(verdict.difference for verdict in verdicts),
    }
    return report | {"failures": traffic.failures, "lists": len(traffic.lists), "events": users.total()}


@contextmanager
def _stopped(pid: int) -> Iterator[Callable[[], None]]:
    """Stops a process for the time of the block, or until what it gives is called."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield partial(os.kill, pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


def _fill(client: Client, zipf: Zipf, events: int, users: Counter[str]) -> None:
    account = Account(client)
    for _ in range(events // BATCH):
        some = zipf.events(BATCH)
        account.post(encode(some))
        users.update(event.user_id for event in some)


class _Pace:
    """Of something that gets less: told now and then how much is left, it says how many a second were done."""

    def __init__(self) -> None:
        self._at, self._left = 0.0, -1
        self._done, self._took = 0, 0.0

    def tell(self, left: int) -> None:
        now, done = time.monotonic(), self._left - left
        if self._left < 0:
            self._at, self._left = now, left
        elif done >= BATCH:  # less is what came in meanwhile
            if now - self._at < _AGAIN:
                self._done, self._took = self._done + done, self._took + now - self._at
            self._at, self._left = now, left

    @property
    def rate(self) -> int | None:
        return round(self._done / self._took) if self._took else None


def _drained(client: Client, go_on: Callable[[], None]) -> int | None:
    """Records a second of the one worker, while lists are served and events come in."""
    pace, deadline = _Pace(), time.monotonic() + _PATIENCE
    go_on()
    while time.monotonic() < deadline:
        body = client.ready().body
        left = int(body["log_end"]) - int(body["offset"] or 0)
        pace.tell(left)
        if left < BATCH:
            return pace.rate
        time.sleep(0.02)
    raise RolloutNotMeasured("the worker did not catch up")


def _wait_for_archive(settings: Settings, events: int) -> None:
    archive, deadline = open_archive(settings), time.monotonic() + _PATIENCE
    while archive is not None and archive.end() < events:
        if time.monotonic() > deadline:
            raise RolloutNotMeasured(f"the archive ends at {archive.end()}, not at {events}: is the keeper running?")
        time.sleep(0.2)


def _rolled(client: Client, traffic: Traffic, said: list[str] | None, events: int, seconds: float) -> dict[str, Any]:
    first = str(client.call("GET", "/v1/models")["active"])
    began = time.monotonic()
    time.sleep(seconds)
    started = time.monotonic()
    client.call("POST", f"/v1/models/{VERSION}/rollout", {"switch": True})
    filled, pace = _followed(client, said, events)
    marks = [time.monotonic()]
    time.sleep(seconds)
    for path in ("rollback", f"{VERSION}/activate"):
        marks.append(time.monotonic())
        client.call("POST", f"/v1/models/{path}")
        time.sleep(seconds)
    before = traffic.p99((began, started))
    during = traffic.p99(*((mark - _BEFORE, mark + _AFTER) for mark in marks))
    return {
        "from": first,
        "checks": _shown(client)["checks"],
        "fill_seconds": round(filled - started, 2),
        "fill_records_per_second": pace.rate,
        "rollout_seconds": round(marks[0] - started, 2),
        "p99_ms_before": before,
        "p99_ms_filling": traffic.p99((started, filled)),
        "p99_ms_switching": during,
        "p99_ratio": None if before is None or during is None else round(during / before, 2),
        "versions": sorted({version for _, _, version in traffic.lists}),
    }


def _followed(client: Client, said: list[str] | None, events: int) -> tuple[float, _Pace]:
    """Until the new model is active; when its memory had caught up. said: of the processes, to kill the new worker."""
    filled, killed, pace, deadline = 0.0, said is None, _Pace(), time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        model = _shown(client)
        if model["status"] == "filling":
            pace.tell(model["events_behind"])
        if not killed and said is not None and 0 < model["events_behind"] < events * 2 // 3:
            line = next(line for line in reversed(said) if "member_starts" in line)
            os.kill(int(line.split('"pid":')[1].split(",")[0].strip(" }")), signal.SIGKILL)
            killed = True
        if not filled and model["status"] != "filling":
            filled = time.monotonic()
        if model["status"] == "active":
            return filled, pace
        if model["status"] in {"refused", "registered"}:
            raise RolloutNotMeasured(f"the model is {model['status']}: {model['reason']}")
        time.sleep(0.05)
    raise RolloutNotMeasured("the rollout took more than ten minutes")


def _shown(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in client.call("GET", "/v1/models")["models"] if m["version"] == VERSION)
    return found


def _judged(settings: Settings, client: Client, bundle: Path, accepted: Counter[str]) -> Verdict:
    """Of the memory made by a bundle, once it has everything."""
    services = build_worker(settings.model_copy(update={"bundle": bundle}))
    store, deadline = services.generations.of(services.bundle.hash), time.monotonic() + _PATIENCE
    while store.position().offset < int(client.ready().body["log_end"]):
        if time.monotonic() > deadline:
            raise RolloutNotMeasured("a memory did not catch up after the last event")
        time.sleep(0.1)
    return judge(store, services.source, services.bundle, accepted)
