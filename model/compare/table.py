"""table.md: every model on both tasks, by stratum, with what was chosen, what it cost, and how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.compare.report import Standing
from model.evaluate import TASKS

SHOWN = ("recall@10", "recall@20", "recall@30", "ndcg@10", "ndcg@20", "ndcg@30", "mrr")
BESIDE = ("macro_recall@20", "coverage@20", "popularity_bias")
ACCURACY = (*SHOWN, "macro_recall@20")
STRATA = ("repeat", "new", "user:0", "user:1-5", "user:6+", "item:new", "item:known")


def table(found: Sequence[Standing], title: str, statements: Sequence[str]) -> str:
    """The whole page; the best accuracy of a column is bold."""
    parts = [f"# {title}", ""]
    for task in TASKS:
        parts += _task(found, task)
    parts += ["## What was chosen, and what it cost", "", *_costs(found), ""]
    parts += ["## What was tried on validation", "", *_trials(found), ""]
    parts += ["## How it was measured", "", *(f"- {statement}" for statement in statements), ""]
    return "\n".join(parts)


def lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def figure(value: float) -> str:
    """.1234"""
    return "" if np.isnan(value) else f"{value:.4f}".replace("0.", ".", 1)


def _task(found: Sequence[Standing], task: str) -> list[str]:
    events, missed = (found[0].mean(task, "all", name) for name in ("n", "unavailable"))
    if np.isnan(events):
        return []
    return [
        f"## {task}: {events:,.0f} events, {missed:.0f} of them unavailable to every model",
        "",
        *_columns(found, [(name, task, "all", name) for name in (*SHOWN, *BESIDE)], "recall@20"),
        "",
        "Recall@20 by stratum:",
        "",
        *_columns(found, [(stratum, task, stratum, "recall@20") for stratum in STRATA]),
        "",
    ]


def _columns(
    found: Sequence[Standing], columns: Sequence[tuple[str, str, str, str]], deviation_of: str | None = None
) -> list[str]:
    """columns: (title, task, stratum, metric); those that the data has nothing of are left out."""
    columns = [c for c in columns if not np.isnan(found[0].mean(*c[1:]))]
    values = np.array([[standing.mean(*c[1:]) for c in columns] for standing in found])
    rows = []
    for standing, mine in zip(found, values, strict=True):
        best = values.max(axis=0)
        bold = [c[3] in ACCURACY and value == top for c, value, top in zip(columns, mine, best, strict=True)]
        cells = [f"**{figure(value)}**" if b else figure(value) for value, b in zip(mine, bold, strict=True)]
        for place, c in enumerate(columns):
            if c[3] == deviation_of and len(several := standing.values(*c[1:])) > 1:
                cells[place] += f" ± {figure(float(np.std(several, ddof=1)))}"
        rows.append([standing.name, str(len(standing.runs)), *cells])
    return lines(["model", "seeds", *(c[0] for c in columns)], rows)


def _costs(found: Sequence[Standing]) -> list[str]:
    header = ["model", "setting", "rounds", "search s", "training s", "ms a list", *(f"validation {t}" for t in TASKS)]
    rows = []
    for standing in _once(found):
        results = standing.results
        search = sum(trial["seconds"] for trial in results[0]["trials"])
        rows.append(
            [
                standing.model,
                setting(results[0]["setting"]),
                ", ".join(str(result["rounds"]) for result in results),
                f"{search:.0f}",
                f"{np.mean([result['train_seconds'] for result in results]):.1f}",
                f"{np.mean([result['milliseconds_per_list'] for result in results]):.2f}",
                *(figure(standing.validation(task)) for task in TASKS),
            ]
        )
    return lines(header, rows)


def _trials(found: Sequence[Standing]) -> list[str]:
    """The mean NDCG@10 of both tasks after the best round of each setting."""
    rows = [
        [standing.model, setting(trial["setting"]), str(trial["rounds"]), figure(trial["figure"])]
        for standing in _once(found)
        for trial in standing.results[0]["trials"]
    ]
    return lines(["model", "setting", "rounds", "validation"], rows)


def setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "-"


def _once(found: Sequence[Standing]) -> Iterator[Standing]:
    """Each model once, whatever its regimes."""
    seen: set[str] = set()
    for standing in found:
        if standing.model not in seen:
            seen.add(standing.model)
            yield standing
