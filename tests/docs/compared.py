"""README's table of models, from what `peregrine compare` left in docs/compare: `python -m tests.docs.compared`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.compare.lineup import LINEUP
from model.compare.report import RESULTS
from model.compare.table import figure, lines
from model.compare.versus import OURS
from model.evaluate import TASKS
from tests.docs.pages import DOCS, ROOT

FOLDER = DOCS / "compare"
README = ROOT / "README.md"
BEGIN, END = "<!-- Made by `python -m tests.docs.compared`. -->\n", "<!-- End of what is made. -->\n"
SETS = {
    "online-retail": "Online Retail II",
    "complete-journey": "the Complete Journey",
    "movietweetings": "MovieTweetings",
}
METRICS = ("recall@20", "ndcg@10")

Column = tuple[str, str]
"""Set of data, task."""


def table() -> str:
    """Recall@20 / NDCG@10 of all events, the mean over seeds; what has most Recall@20 in a column is bold."""
    found = {(name, task): means(FOLDER / name, task) for name in SETS for task in TASKS}
    models = [OURS, *(model for model in LINEUP if model != OURS)]
    rows = [[model, *(cell(figures, model) for figures in found.values())] for model in models]
    return "\n".join(lines(["", *(f"{SETS[name]}, {task}" for name, task in found)], [r for r in rows if any(r[1:])]))


def means(folder: Path, task: str) -> Mapping[str, Mapping[str, float]]:
    """{model: {metric: mean over seeds}} of the stratum `all`."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows: list[dict[str, Any]] = json.loads((folder / RESULTS).read_bytes())
    for row in rows:
        if (row["task"], row["stratum"]) == (task, "all"):
            values[row["model"]][row["metric"]].append(row["value"])
    return {
        model: {metric: sum(v) / len(v) for metric, v in by_metric.items()}
        for model, by_metric in values.items()
        if model in LINEUP
    }


def cell(figures: Mapping[str, Mapping[str, float]], model: str) -> str:
    if model not in figures:
        return ""
    text = " / ".join(figure(figures[model][metric]) for metric in METRICS)
    best = max(figures, key=lambda other: figures[other][METRICS[0]])
    return f"**{text}**" if model == best else text


def readme(text: str) -> str:
    """README with the table as it is now."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + table() + "\n\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
