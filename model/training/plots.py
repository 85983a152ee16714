"""curves.png: losses along the run, validation after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_curves(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws the lines of metrics.jsonl; writes `path` whole or not at all."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, figures = figure.subplots(1, 2)
    for stage in ("select", "refit"):
        steps = [r for r in records if r["kind"] == "loss" and r["stage"] == stage]
        for task in ("next", "discover"):
            losses.plot([r["epoch"] + r["part"] for r in steps], [r[task] for r in steps], label=f"{task}, {stage}")
    for task in ("next", "discover"):
        epochs = [r for r in records if r["kind"] == "epoch" and task in r.get("validation", {})]
        for name in ("ndcg@10", "recall@20"):
            values = [r["validation"][task]["all"][name] for r in epochs]
            figures.plot([r["epoch"] for r in epochs], values, marker="o", label=f"{task} {name}")
    for axes, title in ((losses, "loss in training"), (figures, "validation")):
        axes.set(xlabel="epoch", title=title)
        if axes.lines:
            axes.legend()
    figure.savefig(path.with_suffix(".new.png"), dpi=100)
    path.with_suffix(".new.png").replace(path)
