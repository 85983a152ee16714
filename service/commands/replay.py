"""`peregrine replay`: the data set once more as if it were now, over HTTP, with the evaluator counting along.

All lists of one timestamp are asked for after everything before it is applied, then that timestamp's events are
posted: what `peregrine evaluate` does offline, here against the running service. The figures are the same where events
are the service's clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from service.client import Client
from service.commands import datasets, terminal
from service.commands.connection import connect
from service.commands.live import LiveService
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from model.data import Dataset
    from model.metrics import Metrics

_REFRESH = 0.5
"""Seconds between two looks at the running metrics."""
_RECENT = 86_400
"""Seconds of age up to which events are of now, for a service by the wall clock."""


@dataclass
class Pace:
    """Waits so that the data's time goes `speed` times as fast as the clock; None does not wait."""

    speed: float | None
    _begun: tuple[float, int] | None = field(default=None, init=False)

    def wait_for(self, timestamp: int) -> None:
        """Returns when it is `timestamp` [unix seconds] in the replay."""
        if self.speed is None:
            return
        if self._begun is None:
            self._begun = time.monotonic(), timestamp
        clock, first = self._begun
        time.sleep(max(0.0, clock + (timestamp - first) / self.speed - time.monotonic()))


def run(
    source: str,
    start: float,
    stop: float,
    every: int | None,
    speed: str,
    prepared: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Replays the events between two fractions of the data. speed: `fast`, or how many times real time."""
    pace = Pace(parse_speed(speed))
    with connect(url) as client:
        terminal.say(f"reading {source}")
        dataset = datasets.read(source, prepared)
        rows = datasets.row_at(dataset, start), datasets.row_at(dataset, stop)
        if rows[0] >= rows[1]:
            raise ConfigurationError(f"there are no events between {start} and {stop} of {dataset.name}")
        clock = client.version()["clock"]
        if clock == "wall" and time.time() - dataset.timestamp[rows[0]] > _RECENT:
            terminal.say(
                "these events are over, and the service goes by the time of day: its lists are of what is popular now, "
                "not then. For the figures of `peregrine evaluate` replay into one with PEREGRINE_CLOCK=event"
            )
        report = replay(client, dataset, rows, every, pace) | {"clock": clock}
    if as_json:
        terminal.print_json(report)
    else:
        _print(report)


def parse_speed(speed: str) -> float | None:
    """None for `fast`. Raises ConfigurationError for what is no number above 0."""
    if speed == "fast":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ConfigurationError(f"--speed is `fast` or a number above 0 (times real time), got {speed!r}")
    return factor


def replay(client: Client, dataset: Dataset, rows: tuple[int, int], every: int | None, pace: Pace) -> dict[str, Any]:
    """Replays rows [start, stop); every `every`-th row of the stream is scored, by default as `evaluate` chooses."""
    from model.evaluate import TASKS, Evaluation, Referee, default_every, timestamps

    start, stop = rows
    every = every or default_every(start, stop)
    service = LiveService(client, dataset)
    referee = Referee(dataset, start, TASKS, "available")
    begun = time.monotonic()
    with terminal.progress("{task.fields[note]}") as bar:
        task = bar.add_task(f"replay, scoring 1 in {every}", total=stop - start, note="")
        looked = begun
        for first, end in timestamps(dataset, start, stop):
            pace.wait_for(int(dataset.timestamp[first]))
            referee.judge(service, first, np.arange(-(-first // every) * every, end, every))
            service.apply(dataset.subset(slice(first, end)))
            bar.advance(task, end - first)
            if time.monotonic() - looked > _REFRESH:
                bar.update(task, note=_running(referee.metrics))
                looked = time.monotonic()
        service.account.wait_until_applied()
        bar.update(task, note=_running(referee.metrics))
    seconds = time.monotonic() - begun
    if service.account.refused:
        raise ConfigurationError(f"the service does not take these events: {service.account.refused}")
    evaluation = Evaluation(dataset.name, start, stop, every, "available", referee.metrics)
    speeds = {"seconds": round(seconds, 3), "events_per_second": round((stop - start) / seconds, 1)}
    return evaluation.to_json() | speeds


def _running(metrics: Metrics) -> str:
    found = metrics.report().get("next", {}).get("all")
    return f"Recall@20 {found['recall@20']:.3f}  NDCG@10 {found['ndcg@10']:.3f}" if found else ""


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    shown = ("n", "recall@10", "recall@20", "recall@30", "ndcg@10", "ndcg@20", "mrr")
    table = Table("task", *shown, title=f"{report['dataset']}, {report['events_per_second']:,.0f} events/s")
    for task, strata in report["metrics"].items():
        figures = strata["all"]
        table.add_row(task, *(f"{figures[name]:,}" if name == "n" else f"{figures[name]:.4f}" for name in shown))
    terminal.stdout().print(table)
    if report["every"] > 1:
        terminal.say(f"one event in {report['every']} was scored (--every 1 scores all)")
