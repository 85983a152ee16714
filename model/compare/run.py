"""One model and one seed: trained, timed, evaluated on the test part, and kept on disk.

runs/<model>/result-<seed>.json    figures, what was chosen, what it cost
runs/<model>/live-<seed>.npz       rank and list of each scored row; `model.metrics.load_judged` reads it
runs/<model>/frozen-<seed>.npz     the same with the history stopped at the end of training, for static models
runs/<model>/...                   what the candidate keeps while it trains
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.baselines.baseline import Frozen
from model.compare.candidate import Candidate, Stage, Trained
from model.compare.files import read_json, write_json
from model.data import Dataset, split
from model.evaluate import Evaluation, Scorer, evaluate, warm
from model.metrics import save_judged
from model.training.progress import ProgressBar

LIVE, FROZEN = "live", "frozen"
TIMED_LISTS = 200


@dataclass(frozen=True)
class Run:
    """Where a model's runs are, and what a finished one left."""

    folder: Path
    name: str
    seed: int

    @property
    def path(self) -> Path:
        return self.folder / f"result-{self.seed}.json"

    def judged(self, regime: str) -> Path:
        return self.folder / f"{regime}-{self.seed}.npz"

    def result(self) -> dict[str, Any] | None:
        """None when it is not done."""
        result: dict[str, Any] | None = read_json(self.path)
        return result


def run(candidate: Candidate, stage: Stage, seed: int, every: int | None) -> None:
    """Trains and evaluates; every: one test row in that many is scored, None for the protocol's number."""
    kept = Run(stage.folder, candidate.name, seed)
    stage.console.print(f"{candidate.name}, seed {seed}", markup=False)
    began = time.monotonic()
    trained = candidate.train(stage, seed)
    scorer = trained.scorer()
    part = split(stage.dataset).test
    with ProgressBar(stage.console, f"{candidate.name}, state before test", part.start) as bar:
        warm(scorer, stage.dataset, 0, part.start, bar.advance)
    milliseconds = time_lists(scorer, stage.dataset, part.start)
    reports = {}
    for regime, contestant in _regimes(scorer, candidate.static):
        with ProgressBar(stage.console, f"{candidate.name}, test, {regime}", part.stop - part.start) as bar:
            done = evaluate(contestant, stage.dataset, part.start, part.stop, every=every, progress=bar.advance)
        save_judged(done.metrics, kept.judged(regime))
        reports[regime] = done
    write_json(
        kept.path,
        _result(candidate, seed, trained, reports)
        | {"milliseconds_per_list": milliseconds, "seconds_in_all": time.monotonic() - began},
    )


def time_lists(scorer: Scorer, dataset: Dataset, row: int) -> float:
    """Median milliseconds of scoring all items for one user, who acts at `row` or after, at that row's moment."""
    users = dataset.user[row : row + TIMED_LISTS].astype(np.int64)
    at = dataset.timestamp[[row]]
    times = []
    for user in users:
        began = time.perf_counter()
        scorer.score(np.array([user]), at)
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1e3)


def _regimes(scorer: Scorer, static: bool) -> Iterator[tuple[str, Scorer]]:
    """Frozen first: it leaves the state as it is."""
    if static:
        yield FROZEN, Frozen(scorer)
    yield LIVE, scorer


def _result(candidate: Candidate, seed: int, trained: Trained, done: dict[str, Evaluation]) -> dict[str, Any]:
    return {
        "model": candidate.name,
        "seed": seed,
        "regimes": {regime: evaluation.report() for regime, evaluation in done.items()},
        "validation": dict(trained.chosen.best.ndcg),
        "setting": dict(trained.chosen.setting),
        "rounds": trained.chosen.rounds,
        "curve": [asdict(point) for point in trained.chosen.curve],
        "trials": [
            {"setting": dict(one.setting), "figure": one.best.figure, "rounds": one.rounds, "seconds": one.total}
            for one in trained.trials
        ],
        "train_seconds": trained.seconds,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }
