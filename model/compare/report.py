"""results.json: every figure as a flat list of rows, from the finished runs of a report folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.compare.files import write_rows
from model.compare.run import FROZEN, LIVE, Run
from model.metrics import Judged, load_judged

RESULTS = "results.json"


@dataclass(frozen=True)
class Standing:
    """A model in one regime with all its finished seeds. name: as in results.json; results: one a seed."""

    name: str
    regime: str
    runs: Sequence[Run]
    results: Sequence[dict[str, Any]]

    @property
    def model(self) -> str:
        return self.runs[0].name

    def values(self, task: str, stratum: str, metric: str) -> list[float]:
        """One a seed; empty where the data has no such stratum."""
        reports = (result["regimes"][self.regime].get(task, {}) for result in self.results)
        return [report[stratum][metric] for report in reports if stratum in report]

    def mean(self, task: str, stratum: str, metric: str) -> float:
        """Over seeds; NaN where there is nothing."""
        values = self.values(task, stratum, metric)
        return float(np.mean(values)) if values else float("nan")

    def validation(self, task: str) -> float:
        """NDCG@10 on validation, mean over seeds."""
        return float(np.mean([result["validation"].get(task, 0.0) for result in self.results]))

    def judged(self, task: str) -> list[Judged]:
        """One a seed, all of the same events in the same order."""
        loaded = (load_judged(run.judged(self.regime)) for run in self.runs)
        return [judged[task] for judged in loaded if task in judged]


def standings(folder: Path, names: Sequence[str], seeds: int) -> list[Standing]:
    """Of the models that have finished a seed, in the order of `names`, static ones live and then frozen."""
    found: list[Standing] = []
    for name in names:
        runs = [Run(folder / "runs" / name, name, seed) for seed in range(seeds)]
        done = [(run, result) for run in runs if (result := run.result()) is not None]
        if done:
            for regime in (LIVE, FROZEN):
                if regime in done[0][1]["regimes"]:
                    shown = name if regime == LIVE else f"{name}-{FROZEN}"
                    found.append(Standing(shown, regime, [run for run, _ in done], [result for _, result in done]))
    return found


def write_results(folder: Path, found: Sequence[Standing]) -> None:
    """Rows of model, seed, task, stratum, metric, value, each on a line."""
    write_rows(folder / RESULTS, (row for standing in found for row in _rows(standing)))


def _rows(standing: Standing) -> Iterator[dict[str, Any]]:
    for result in standing.results:
        for task, strata in result["regimes"][standing.regime].items():
            for stratum, figures in strata.items():
                for metric, value in figures.items():
                    yield {
                        "model": standing.name,
                        "seed": result["seed"],
                        "task": task,
                        "stratum": stratum,
                        "metric": metric,
                        "value": value,
                    }
