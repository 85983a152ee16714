"""PNG plots of a report: Recall@K curves, accuracy against training time and time per list, learning curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.compare.report import Standing
from model.compare.run import LIVE
from model.compare.versus import OURS
from model.evaluate import TASKS
from model.metrics import recall_at

MOST = 50
"""The longest list of the Recall@K curves."""


def draw(found: Sequence[Standing], folder: Path) -> None:
    """Writes the four plots, of the live regime."""
    live = [standing for standing in found if standing.regime == LIVE]
    _save(folder / "recall.png", lambda axes, task: _recall(axes, task, live))
    _save(folder / "training-time.png", lambda axes, task: _against(axes, task, live, "train_seconds", "training [s]"))
    _save(folder / "list-time.png", lambda axes, task: _against(axes, task, live, "milliseconds_per_list", "list [ms]"))
    _save(folder / "learning.png", lambda axes, task: _learning(axes, task, live))


def _save(path: Path, draw_task: Callable[[Axes, str], None]) -> None:
    picture = Figure(figsize=(13, 6), layout="constrained")
    for axes, task in zip(picture.subplots(1, len(TASKS)), TASKS, strict=True):
        draw_task(axes, task)
        axes.set_title(task)
        axes.grid(alpha=0.3)
    picture.savefig(path, dpi=100)


def _recall(axes: Axes, task: str, live: Sequence[Standing]) -> None:
    for number, standing in enumerate(live):
        curves = [[recall_at(judged.rank, k).mean() for k in range(1, MOST + 1)] for judged in standing.judged(task)]
        if curves:
            axes.plot(range(1, MOST + 1), np.mean(curves, axis=0), **_look(standing, number))
    axes.set(xlabel="K", ylabel="Recall@K")
    _legend(axes)


def _against(axes: Axes, task: str, live: Sequence[Standing], cost: str, label: str) -> None:
    for number, standing in enumerate(live):
        x = max(1e-3, float(np.mean([result[cost] for result in standing.results])))
        y = standing.mean(task, "all", "recall@20")
        axes.plot([x], [y], marker="o", linestyle="", **_look(standing, number))
        axes.annotate(standing.name, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=7)
    axes.set(xscale="log", xlabel=label, ylabel="Recall@20")
    axes.margins(x=0.15)


def _learning(axes: Axes, task: str, live: Sequence[Standing]) -> None:
    for number, standing in enumerate(live):
        curve = standing.results[0]["curve"]
        seconds = [max(1e-3, point["seconds"]) for point in curve]
        axes.plot(seconds, [point["ndcg"].get(task, np.nan) for point in curve], marker=".", **_look(standing, number))
    axes.set(xscale="log", xlabel="training [s]", ylabel="NDCG@10 on validation")
    _legend(axes)


def _look(standing: Standing, number: int) -> dict[str, Any]:
    ours = standing.name == OURS
    style = {"color": "black" if ours else colormaps["tab20"](number % 20), "label": standing.name}
    return style | {"linewidth": 2.5 if ours else 1.0, "zorder": 3 if ours else 2}


def _legend(axes: Axes) -> None:
    if axes.lines:
        axes.legend(fontsize=7, ncols=2)
