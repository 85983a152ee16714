"""`peregrine compare`: models side by side on one data set, every run kept, then a report.

    report/table.md  results.json                         written anew after each run
    report/summary.md  *.png                              and when all models have run with a seed
    report/compare.json                                   what is compared; another data set needs another folder
    report/runs/                                          finished runs, which are not done again, and unfinished ones

Progress goes to stderr; one JSON object or the summary to stdout.
"""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from model.commands_evaluate import PREPARED
from model.compare import lineup
from model.compare.candidate import VALIDATION_ROWS, Candidate, Stage
from model.compare.errors import FolderTakenError
from model.compare.files import read_json, write_json
from model.compare.plots import draw
from model.compare.report import Standing, standings, write_results
from model.compare.run import Run, run
from model.compare.summary import summary
from model.compare.table import table
from model.data import Dataset, load, prepare, split
from model.evaluate import default_every

CANDIDATES = (
    "Candidates: every item that had an event strictly before the moment, or whose `available_from` had come; `next` "
    "ranks all of them at every event, `discover` ranks those that the user has not had, at first-time pairs. An "
    "unavailable positive is a miss for every model. rank = 1 + greater + half of the ties."
)
REGIMES = (
    "Regime: before each list every model has seen every event of an earlier timestamp, with its parameters as they "
    "were at the end of training. `-frozen`: the history, too, stops there."
)
BESIDE = (
    "macro: the mean over users of each user's mean. coverage@20: share of the items that could be recommended which "
    "are on any list. popularity_bias: mean popularity percentile (by events before the test part) of what is on the "
    "lists; 0.5 is a draw at random. ±: standard deviation over seeds."
)


def compare(
    source: str,
    names: str,
    ablations: bool,
    seeds: int,
    out: Path,
    budget: float | None,
    every: int | None,
    profiles: Path | None = None,
) -> dict[str, Any]:
    """Runs what is not there yet and writes the report. budget: processor minutes of search on validation, a model and
    seed; profiles: a file of them, for the models that read profiles.

    Returns {"out", "models", "failed": {run: error}}. Raises DataError, UnknownModelError or FolderTakenError, which
    say what to do; a model that fails is told, the others go on.
    """
    torch.set_num_threads(1)
    console = Console(stderr=True, highlight=False)
    candidates = lineup.choose(names, ablations)
    console.print(f"reading {source}", markup=False)
    dataset = prepare(load(source))
    part = split(dataset).test
    every = every or default_every(part.start, part.stop)
    _claim(out, {"dataset": dataset.name, "events": len(dataset), "every": every})
    report = _Report(
        out, dataset, seeds, _statements(every, budget, _command(source, names, ablations, seeds, budget, profiles))
    )
    failed: dict[str, str] = {}
    for seed in range(seeds):
        ran = False
        for candidate in candidates:
            folder = out / "runs" / candidate.name
            if (seed and candidate.deterministic) or Run(folder, candidate.name, seed).result() is not None:
                continue
            stage = Stage(dataset, source, folder, None if budget is None else 60 * budget, console, profiles)
            if error := _attempt(candidate, stage, seed, every):
                failed[f"{candidate.name}, seed {seed}"] = error
            report.write_figures()
            ran = True
        if ran or seed == seeds - 1:
            report.write_all()
    return {"out": str(out), "models": [standing.name for standing in report.found()], "failed": failed}


@dataclass(frozen=True)
class _Report:
    """Of all finished runs of a folder, whoever asked for them."""

    out: Path
    dataset: Dataset
    seeds: int
    statements: Sequence[str]

    def found(self) -> Sequence[Standing]:
        return standings(self.out, [*lineup.LINEUP, *lineup.ABLATED], self.seeds)

    @property
    def _title(self) -> str:
        data = self.dataset
        return f"{data.name}: {len(data):,} events, {data.n_users:,} users, {data.n_items:,} items"

    def write_figures(self) -> None:
        """results.json and table.md, where there is anything to tell."""
        if found := self.found():
            write_results(self.out, found)
            (self.out / "table.md").write_text(
                table(found, self._title, [*self.statements, *self._failures()]), encoding="utf-8"
            )

    def _failures(self) -> list[str]:
        notes = sorted(self.out.glob("runs/*/error-*.txt"))
        told = ", ".join(f"{note.parent.name} (seed {note.stem.removeprefix('error-')})" for note in notes)
        return [f"Failed and not in these figures: {told}."] if told else []

    def write_all(self) -> None:
        """And what takes a minute: paired tests and plots."""
        if found := self.found():
            self.write_figures()
            (self.out / "summary.md").write_text(summary(found, self._title), encoding="utf-8")
            draw(found, self.out)


def _attempt(candidate: Candidate, stage: Stage, seed: int, every: int) -> str | None:
    """None, or what went wrong; the whole of it is in error-<seed>.txt of the run's folder."""
    note = stage.folder / f"error-{seed}.txt"
    note.unlink(missing_ok=True)
    try:
        run(candidate, stage, seed, every)
    except Exception as error:  # one model of a night's run must not take the others with it
        stage.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(traceback.format_exc(), encoding="utf-8")
        stage.console.print(f"{candidate.name}, seed {seed}: {error!r}, see {note}", markup=False)
        return repr(error)
    return None


def _claim(out: Path, what: dict[str, Any]) -> None:
    there = read_json(out / "compare.json")
    if there is not None and there != what:
        raise FolderTakenError(f"{out} holds a comparison of {there}, this one is of {what}: choose another --out")
    write_json(out / "compare.json", what)


def _statements(every: int, budget: float | None, command: str) -> list[str]:
    bounded = "without a bound" if budget is None else f"bounded to {budget:g} processor minutes a model and seed"
    return [
        f"Preparation, the same for every model. {PREPARED}",
        f"Split by global time 70/15/15, no timestamp divided; one test row in {every} is scored, all are applied.",
        CANDIDATES,
        REGIMES,
        f"Choice: settings and rounds by the mean NDCG@10 of both tasks on about {VALIDATION_ROWS:,} rows of the "
        f"validation part, {bounded}; the first seed tries all settings, every seed chooses its rounds, then each "
        "model is refitted on training + validation.",
        BESIDE,
        f"Machine: {_machine()}; training and lists on one thread. A list is timed alone, all items scored.",
        f"Command: `{command}`",
    ]


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _command(source: str, names: str, ablations: bool, seeds: int, budget: float | None, profiles: Path | None) -> str:
    bounded = "" if budget is None else f" --budget {budget:g}"
    told = "" if profiles is None else f" --profiles {profiles.name}"
    return (
        f"peregrine compare --data {source} --models {names}{' --ablations' * ablations} --seeds {seeds}{bounded}{told}"
    )
