"""`peregrine evaluate`: a model and the baselines on one part of a data set, all through one evaluator.

Figures go to stdout, progress to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from model.baselines import BASELINES
from model.bootstrap import Comparison, paired_bootstrap
from model.compare.versus import VALUES
from model.data import Dataset, load, prepare, split
from model.evaluate import Candidates, Evaluation, Scorer, evaluate, warm
from model.process.records import Float
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.torch_model import TorchModel
from model.training.profiles import attach
from model.training.progress import ProgressBar
from model.weights import WeightsError, load_model

Part = Literal["test", "validation"]

AGAINST = "against"
"""Name of the scorer that the model is compared with."""
SHOWN = ("recall@10", "recall@20", "recall@30", "ndcg@10", "ndcg@20", "ndcg@30", "mrr")
PREPARED = (
    "Identical (user, item, timestamp) rows count once; kept are items with at least 5 distinct buyers and users with "
    "at least 5 events, in three rounds over the whole stream: this looks ahead, as is customary."
)


def run(
    source: str,
    model: Path | None,
    part: Part,
    every: int | None,
    candidates: Candidates,
    baselines: bool,
    profiles: Path | None,
    as_json: bool,
    against: Path | None = None,
) -> None:
    """Evaluates the model of a folder, or the baselines, or both, and prints the figures. profiles: a file of them.

    against: another folder, with which the model is compared on the same events.

    Raises DataError or WeightsError, which say what to do.
    """
    progress = Console(stderr=True, highlight=False)
    progress.print(f"reading {source}", markup=False)
    dataset = prepare(load(source))
    rows: slice = getattr(split(dataset), part)
    evaluations = {}
    scorers = _scorers(dataset, model, baselines, profiles)
    if against is not None:
        scorers[AGAINST] = _model_scorer(dataset, against, profiles)
    for name, scorer in scorers.items():
        with ProgressBar(progress, name, rows.stop) as bar:
            warm(scorer, dataset, 0, rows.start, bar.advance)
            evaluations[name] = evaluate(
                scorer, dataset, rows.start, rows.stop, every=every, candidates=candidates, progress=bar.advance
            )
    found = {}
    if model is not None and against is not None:
        found = versus(evaluations[model.resolve().name], evaluations[AGAINST])
    if as_json:
        print_json(evaluations, part, found)
    else:
        print_tables(evaluations, part)
        for measure, comparison in found.items():
            typer.echo(
                f"{measure}: {comparison.mean:.4f} against {comparison.other_mean:.4f}, difference "
                f"{comparison.low:+.4f} to {comparison.high:+.4f} (95 %), p {comparison.p:.3f}"
            )


def versus(mine: Evaluation, other: Evaluation) -> dict[str, Comparison]:
    """By measure, the one evaluation against the other of the same events: a paired bootstrap over users."""
    found = {}
    for task in mine.metrics.tasks():
        ours, theirs = mine.metrics.judged(task), other.metrics.judged(task)
        for name, value in VALUES.items():
            found[f"{task} {name}"] = paired_bootstrap(value(ours.rank), value(theirs.rank), ours.user)
    return found


def print_json(
    evaluations: Mapping[str, Evaluation], part: Part, found: Mapping[str, Comparison] | None = None
) -> None:
    """One object: the part, the figures of each scorer with all strata, and what was compared."""
    scorers = {name: evaluation.to_json() for name, evaluation in evaluations.items()}
    compared = {measure: asdict(comparison) for measure, comparison in (found or {}).items()}
    typer.echo(json.dumps({"part": part, "scorers": scorers} | ({"against": compared} if compared else {})))


def print_tables(evaluations: Mapping[str, Evaluation], part: Part) -> None:
    """A table a task, one row a scorer."""
    first = next(iter(evaluations.values()))
    console = Console(highlight=False)
    console.print(f"{first.dataset}, {part} part, candidates: {first.candidates}", markup=False)
    if first.every > 1:
        console.print(f"one event in {first.every} is scored (--every 1 scores all), all are applied")
    for task in first.report():
        console.print(_table(evaluations, task))
    console.print(PREPARED)


def _table(evaluations: Mapping[str, Evaluation], task: str) -> Table:
    figures = {name: evaluation.report()[task]["all"] for name, evaluation in evaluations.items()}
    first = next(iter(figures.values()))
    title = f"{task}: {first['n']:,} events, {first['unavailable']} of them unavailable to every model"
    table = Table("", title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for metric in SHOWN:
        table.add_column(metric.replace("@", "\n@"), justify="right")
    for name, values in figures.items():
        table.add_row(name, *(f"{values[metric]:.4f}" for metric in SHOWN))
    return table


def _scorers(dataset: Dataset, model: Path | None, baselines: bool, profiles: Path | None) -> dict[str, Scorer]:
    scorers: dict[str, Scorer] = {}
    if model is not None:
        scorers[model.resolve().name] = _model_scorer(dataset, model, profiles)
    if baselines:
        scorers |= {name: make(dataset.n_users, dataset.n_items) for name, make in BASELINES.items()}
    return scorers


def _model_scorer(dataset: Dataset, folder: Path, profiles: Path | None) -> Scorer:
    torch.set_num_threads(1)  # reads are small, and one thread makes a run repeatable
    model = load_model(folder)
    text = _texts(dataset, model, folder)
    told = attach(dataset, None if profiles is None else str(profiles), "made", model.spec, text)
    return StateScorer(new_state(model, told, text))


def _texts(dataset: Dataset, model: TorchModel, folder: Path) -> Float:
    try:
        return item_texts(dataset, model.spec.embedder, model.spec.text_dim)
    except ModuleNotFoundError as error:
        raise WeightsError(f'{folder} was trained on item texts: pip install "peregrine-recsys[text]"') from error
    except ValueError as error:
        raise WeightsError(f"{folder}: {error}") from error
