"""`peregrine demo`: real purchases replayed live against the whole service, contenders beside it.

Everything up to 85 % of the year is imported; the rest is replayed over HTTP, each list asked for before its basket is
posted. The contenders start from the service's own state at the start of the replay.
"""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import TYPE_CHECKING, TextIO

import uvloop

from service.client import Client
from service.commands import bundles, datasets, reading_back, terminal
from service.commands.contest import Contest
from service.commands.freshness import Freshness, measure, percentile_ms
from service.commands.import_data import feed
from service.commands.live import LiveService
from service.commands.posting import Account
from service.commands.screen import Screen
from service.commands.up import hello
from service.commands.wire import Wire
from service.errors import ConfigurationError, PeregrineError
from service.logs import configure
from service.processes.all_in_one import Stack
from service.processes.ui import wants_ui
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from model.data import Dataset

IMPORTED = 0.85
"""Fraction of the events before the replay; the shipped bundle was chosen on what comes before, too."""
ONCE_EVENTS = 15_000
"""Events that `--once` replays, of 41,000; at most three quarters of what there is."""
OFFERED = 6
"""Households that the Live page offers."""
FRESHNESS_RATE, FRESHNESS_SECONDS = 200.0, 20.0


class EventsLost(PeregrineError):
    """Accepted events are not in the state."""


@dataclass(frozen=True)
class Show:
    """What the demo runs on. rows: [start, stop) of the replay."""

    stack: Stack
    client: Client
    dataset: Dataset
    rows: tuple[int, int]


def run(
    once: bool, as_json: bool, train: bool, households: int, data_dir: Path | None, port: int | None, ui: bool | None
) -> None:
    """once: replay a fixed part, report and return, without pages unless asked for; otherwise stay up until Ctrl-C."""
    configure("error")
    begun = time.monotonic()
    source = f"complete-journey:{households}"
    try:
        with terminal.interrupted_by_sigterm(), _folder(data_dir) as folder:
            bundle = bundles.train(source, folder) if train else bundles.shipped()
            terminal.say(f"reading the purchases of {households} households")
            dataset = datasets.read(source, prepared=True)
            terminal.say("starting Valkey, worker and API")
            settings = _settings(folder, bundle, 0 if port is None and once else port, dataset)
            with _stack(settings, wants_ui(False if once and ui is None else ui)) as stack, stack.client() as client:
                if stack.ui_url:
                    _open(stack.ui_url)
                _perform(Show(stack, client, dataset, _rows(dataset, once)), once, as_json, begun)
    except KeyboardInterrupt:
        terminal.say("stopped")


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The data folder: the given one, or a fresh one that is removed at the end."""
    if given is not None:
        if (given / "log").exists():
            raise ConfigurationError(
                f"{given} holds events of another run: name a new folder, or serve it with `peregrine up --data-dir`"
            )
        yield given
        return
    with TemporaryDirectory(prefix="peregrine-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _settings(folder: Path, bundle: Path, port: int | None, dataset: Dataset) -> Settings:
    """The whole service on `folder`. port: 0 for a free one, None for that of the settings."""
    own = {"data_dir": folder, "state_url": None, "log_url": None, "bundle": bundle, "clock": "event"} | {
        "profiles": "off"
    }
    logs = {"log_level": "warning", "log_format": "json"}
    users = {"ui_users": ",".join(dataset.user_ids[:OFFERED])}
    return load_settings(**own, **logs, **users, **({} if port is None else {"port": port}))


@contextmanager
def _stack(settings: Settings, ui: bool) -> Iterator[Stack]:
    """Its log is a file in the data folder."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as exits:
        log = exits.enter_context((settings.data_dir / "demo.log").open("a", encoding="utf-8"))
        yield exits.enter_context(Stack(settings, lambda name, line: _write(log, f"{name} | {line}"), ui=ui))


def _open(url: str) -> None:
    """Shows the pages, where there is a screen to show them on."""
    terminal.say(f"the pages are at {url}")
    screen = sys.platform in {"darwin", "win32"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and sys.stderr.isatty():
        webbrowser.open(url)


def _write(log: TextIO, line: str) -> None:
    log.write(line + "\n")
    log.flush()


def _rows(dataset: Dataset, once: bool) -> tuple[int, int]:
    """Rows of the replay; `once` leaves some for the measurement of freshness."""
    from model.evaluate import timestamps

    start = datasets.row_at(dataset, IMPORTED)
    if not once:
        return start, len(dataset)
    enough = start + min(ONCE_EVENTS, (len(dataset) - start) * 3 // 4)
    return start, next(end for _, end in timestamps(dataset, start, len(dataset)) if end >= enough)


def _perform(show: Show, once: bool, as_json: bool, begun: float) -> None:
    start, stop = show.rows
    account = Account(show.client)
    feed(account, show.dataset, start)
    _check(account)
    live = LiveService(show.client, show.dataset, discover=False)
    contest = Contest(show.stack.settings, show.dataset, start, live)
    setup_seconds = time.monotonic() - begun
    with Screen(show.dataset, show.rows, plain=as_json, url=show.stack.url) as screen:
        seconds = _replay(contest, show, live, screen)
    if not once:
        terminal.print_text(hello(show.stack))
        Flag().wait()
    found = _freshness(show, stop)
    report = {
        "events": stop - start,
        "lost": _lost(show, found),
        "recall_at_20": {name: round(value, 4) for name, value in contest.recall_at_20().items()},
        "freshness_ms": {"p50": percentile_ms(found.fresh, 50), "p99": percentile_ms(found.fresh, 99)},
        "events_per_second": round((stop - start) / seconds, 1),
        "setup_seconds": round(setup_seconds, 1),
    }
    terminal.print_json(report)
    if report["lost"]:
        raise EventsLost(f"{report['lost']} accepted events are not in the state: keep the folder with --data-dir")


def _replay(contest: Contest, show: Show, live: LiveService, screen: Screen) -> float:
    """Replays the rows and returns how long it took [s]."""
    from model.evaluate import timestamps

    begun = time.monotonic()
    for first, end in timestamps(show.dataset, *show.rows):
        contest.judge(first, end)
        with screen.watching(live, first, end):
            contest.apply(first, end)
        screen.advance(end - first, contest)
    live.account.wait_until_applied()
    _check(live.account)
    return time.monotonic() - begun


def _check(account: Account) -> None:
    if account.refused:
        raise ConfigurationError(f"the service does not take this data: {account.refused}")


def _freshness(show: Show, start: int) -> Freshness:
    """The events after row `start` as single posts at a steady rate."""
    count = min(len(show.dataset) - start, round(FRESHNESS_RATE * FRESHNESS_SECONDS))
    events = datasets.events(show.dataset, start, start + count)
    key = show.stack.settings.api_key

    async def run() -> Freshness:
        async with Wire(show.stack.url, key.get_secret_value() if key else None) as wire:
            return await measure(wire, events, FRESHNESS_RATE, lambda done: bar.advance(task, done))

    with terminal.progress("") as bar:
        task = bar.add_task(f"freshness at {FRESHNESS_RATE:g} events/s", total=count)
        found = uvloop.run(run())
    if not found.fresh:
        raise EventsLost("no event was accepted and seen at a steady rate")
    return found


def _lost(show: Show, found: Freshness) -> int:
    """Accepted events that the state does not count: those imported, replayed, and posted one by one."""
    _, stop = show.rows
    terminal.say("reading the state back")
    posted = datasets.events(show.dataset, 0, stop)
    single = datasets.events(show.dataset, stop, len(show.dataset))
    accepted, uncertain = ([single[place] for place in places] for places in (found.accepted, found.uncertain))
    account = Account(show.client)
    account.offset = found.offset
    account.wait_until_applied()
    return reading_back.lost(show.client, reading_back.count([*posted, *accepted]), reading_back.count(uncertain))
