"""Is it worth training again? Eight months are trained on; the months after them are streamed twice: with the model of
the eight months all along, and with what `peregrine retrain` had registered by the end of each month before.

    python -m tests.bench.monthly_retrains complete-journey:600 runs/months --seeds 3

Memory learns every event on both sides: what is compared is the weights. An archive is written as the keeper would
have left it at the end of each month, and the command itself does the rest: data set, training from the serving
weights, both bundles on the latest 15 % of the events, and only what is not worse beyond chance serves the next month.
What is done is not done again, so a run that was broken off goes on. The table goes to stdout, all figures to
OUT/report.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from model.bootstrap import Comparison, over_seeds, paired_bootstrap
from model.compare.versus import VALUES
from model.data import Dataset, load, prepare
from model.evaluate import TASKS, evaluate, warm
from model.metrics import Judged, load_judged, save_judged
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.weights import load_model
from service.adapters.archive_folder import LocalFolder
from service.adapters.parquet_archive import ParquetArchive
from service.commands import datasets
from service.core.log_records import LogRecords, pack_event, pack_item
from service.core.types import Event, ItemChange

FIRST = 8
"""Months that the first model is trained on."""
STREAMED = 4
"""Months after them; the last day's purchases past midnight UTC are a month of their own, left out."""
EVERY = 3
"""One event in so many is scored; all are applied."""
EPOCHS = 2
"""Of the first model at most, validation chooses; a warm start does one."""


@dataclass(frozen=True)
class Month:
    """name: as 2017-09; rows [start, stop) of a data set."""

    name: str
    start: int
    stop: int


def months(dataset: Dataset) -> list[Month]:
    """Calendar months (UTC) with events, in order."""
    of_row = dataset.timestamp.astype("datetime64[s]").astype("datetime64[M]")
    names, first = np.unique(of_row, return_index=True)
    bounds = [*first.tolist(), len(dataset)]
    return [Month(str(name), bounds[n], bounds[n + 1]) for n, name in enumerate(names)]


def write_archive(dataset: Dataset, stop: int, folder: Path) -> None:
    """What the keeper would have left after the first `stop` events, the catalogue before them."""
    if folder.is_dir():
        return
    at = int(dataset.timestamp[0])
    items = [ItemChange(one["item_id"], json.dumps(one).encode()) for one in datasets.items(dataset)]
    events = [Event(**fields) for fields in datasets.events(dataset, 0, stop)]
    payloads = [*map(pack_item, items), *map(pack_event, events)]
    timestamps = [at] * len(items) + dataset.timestamp[:stop].tolist()
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    archive = ParquetArchive(LocalFolder(unfinished))
    archive.claim("monthly-retrains")
    archive.append(LogRecords.of(range(1, len(payloads) + 1), timestamps, payloads))
    unfinished.rename(folder)


def peregrine(*arguments: str, **settings: Path) -> str:
    """What the command prints. Ends this program if it fails; `retrain` fails, too, if it registers nothing."""
    named = {f"PEREGRINE_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "service.cli", *arguments]
    done = subprocess.run(command, env=environ | named, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode and not (arguments[0] == "retrain" and done.stdout):
        raise SystemExit(f"{' '.join(command)} failed (see above)")
    return done.stdout


@dataclass(frozen=True)
class Life:
    """One seed's models, in a folder of their own."""

    archives: dict[str, Path]  # by month, as of its end
    out: Path
    seed: int

    def first(self, month: str) -> Path:
        """The bundle trained on everything up to the end of `month`."""
        bundle, run = self.out / "first", self.out / "first-run"
        if not (bundle / "manifest.json").is_file():
            for left in (bundle, self.out / "first-data"):
                shutil.rmtree(left, ignore_errors=True)
            data = str(self.out / "first-data")
            peregrine("archive", "dataset", "--archive", str(self.archives[month]), "--out", data)
            resume = ["--resume"] if (run / "config.json").is_file() else []
            options = ("--epochs", str(EPOCHS), "--seed", str(self.seed))
            peregrine("train", "--data", data, "--out", str(run), *resume, *options)
            peregrine("export", str(run), "--out", str(bundle))
        return bundle

    def retrained(self, month: str, serving: Path) -> tuple[Path, dict[str, Any]]:
        """What serves after a retraining at the end of `month`, and what `retrain` reported."""
        runs, models = self.out / month, self.out / "models"
        for left in runs.glob("*"):
            if not (left / "retrain.json").is_file():
                shutil.rmtree(left)
        options = ("--runs", str(runs), "--archive", str(self.archives[month]), "--serving", str(serving))
        if not list(runs.glob("*/retrain.json")):
            peregrine("retrain", *options, "--epochs", "1", "--seed", str(self.seed), "--json", models=models)
        (report,) = runs.glob("*/retrain.json")
        found: dict[str, Any] = json.loads(report.read_bytes())
        return (models / found["version"] if found["registered"] else serving), found


def judged(dataset: Dataset, bundle: Path, months: list[Month], files: list[Path]) -> None:
    """Ranks the events of consecutive months by a bundle whose memory has learned everything before; a file each."""
    if all(file.is_file() for file in files):
        return
    model = load_model(bundle)
    text = item_texts(dataset, model.spec.embedder, model.spec.text_dim)
    scorer = StateScorer(new_state(model, dataset, text))
    warm(scorer, dataset, 0, months[0].start)
    for month, file in zip(months, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_judged(evaluate(scorer, dataset, month.start, month.stop, every=EVERY).metrics, file)


def live(source: str, out: Path, seed: int, console: Console) -> dict[str, dict[str, Any]]:
    """One seed from the first training to the last month; by month, the decision about the model that serves in it."""
    raw, dataset = load(source), prepare(load(source))
    cuts = {month.name: month.stop for month in months(raw)}
    archives = {name: out / f"archive-{name}" for name in list(cuts)[FIRST - 1 : FIRST + STREAMED - 1]}
    for name, folder in archives.items():
        write_archive(raw, cuts[name], folder)
    streamed, mine = months(dataset)[FIRST : FIRST + STREAMED], Life(archives, out / f"seed-{seed}", seed)
    (last, *others), ranks, found = archives, mine.out / "ranks", {}
    serving = first = mine.first(last)
    console.print(f"seed {seed}: first model trained")
    judged(dataset, first, streamed, [ranks / f"never-{month.name}.npz" for month in streamed])
    for month, before in zip(streamed, [None, *others], strict=True):
        if before is not None:
            serving, found[month.name] = mine.retrained(before, serving)
        judged(dataset, serving, [month], [ranks / f"monthly-{month.name}.npz"])
        console.print(f"seed {seed}: {month.name} done", found.get(month.name, {}).get("reason", ""))
    return found


def compared(out: Path, seeds: int, names: list[str]) -> Iterator[tuple[str, str, str, Comparison]]:
    """(months, task, measure) and monthly against never; hits averaged over seeds, bootstrap over users."""
    for label, some in [*((name, [name]) for name in names), (f"{names[1]} to {names[-1]}", names[1:])]:
        for task in TASKS:
            sides = [
                [
                    Judged.join([load_judged(out / f"seed-{seed}/ranks/{side}-{name}.npz")[task] for name in some])
                    for seed in range(seeds)
                ]
                for side in ("monthly", "never")
            ]
            for measure, value in VALUES.items():
                mine, other = (over_seeds([value(one.rank) for one in side]) for side in sides)
                yield label, task, measure, paired_bootstrap(mine, other, sides[0][0].user)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    decisions = [live(given.source, given.out, seed, Console(stderr=True)) for seed in range(given.seeds)]
    names = [month.name for month in months(load(given.source))[FIRST : FIRST + STREAMED]]
    rows = list(compared(given.out, given.seeds, names))
    report = {
        "seeds": given.seeds,
        "decisions": decisions,
        "rows": [{"months": a, "task": b, "measure": c, **vars(found)} for a, b, c, found in rows],
    }
    (given.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(rows))  # noqa: T201 - a script


def table(rows: list[tuple[str, str, str, Comparison]]) -> str:
    """Markdown: a line for each span of months, never / monthly and the difference for each measure."""
    measures = list(dict.fromkeys((task, measure) for _, task, measure, _ in rows))
    lines = [f"| never / monthly | {' | '.join(f'{task} {measure}' for task, measure in measures)} |"]
    lines.append("|---" * (1 + len(measures)) + "|")
    for label in dict.fromkeys(months for months, *_ in rows):
        found = {(task, measure): one for months, task, measure, one in rows if months == label}
        cells = [
            f"{one.other_mean:.4f} / {one.mean:.4f}, {one.low:+.4f} to {one.high:+.4f}"
            for one in (found[each] for each in measures)
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
