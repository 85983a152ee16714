"""What a change of the training configuration is worth, told by less noise than ranks have.

    python -m tests.bench.variants DATA wide.npz --set dim=256 [--set seed=1] [--epochs 1] [--against narrow.npz]

Trains on the training part and scores about 12,000 rows of validation. Beside Recall@20 and NDCG@10 it takes the mean
cross-entropy of the taken item among the candidates, which moves with every score, where ranks move at their edges.
Figures by row go to the file; `--against` compares with another one's, row by row: difference and standard errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import log_softmax

from model.ablations import COMPOSITIONS
from model.data import Dataset, load, prepare, split
from model.evaluate import timestamps, warm
from model.history import History
from model.metrics import ndcg_at, ranks, recall_at
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.torch_model import TorchModel
from model.train import spec_of
from model.training.config import TrainingConfig
from model.training.progress import ProgressBar
from model.training.trainer import Trainer

ROWS = 12_000
Figures = dict[str, NDArray[np.float64]]


def trained(dataset: Dataset, config: TrainingConfig, console: Console) -> TorchModel:
    """After `config.epochs` on the training part, none of which is chosen."""
    torch.set_num_threads(config.threads)
    part = dataset.subset(split(dataset).train)
    spec = spec_of(part, config, console)
    torch.manual_seed(config.seed)
    trainer = Trainer(COMPOSITIONS[spec.preset](spec), part, item_texts(dataset, spec.embedder, spec.text_dim), config)
    for number in range(1, config.epochs + 1):
        with ProgressBar(console, f"epoch {number}", trainer.events) as bar:
            trainer.epoch(lambda done: bar.advance(done.events))
    return trainer.model


def figures(model: TorchModel, dataset: Dataset, console: Console) -> Figures:
    """{"next cross-entropy", "next recall@20", "next ndcg@10", and of discover: (R,)} on rows of validation."""
    text = item_texts(dataset, model.spec.embedder, model.spec.text_dim)
    scorer, part = StateScorer(new_state(model, dataset, text)), split(dataset).validation
    with ProgressBar(console, "validation", part.stop) as bar:
        warm(scorer, dataset, 0, part.start, bar.advance)
        found = list(_rows(scorer, dataset, part, bar))
    names = sorted(set().union(*found))
    return {name: np.array([row[name] for row in found if name in row]) for name in names}


def _rows(scorer: StateScorer, dataset: Dataset, part: slice, bar: ProgressBar) -> Iterator[dict[str, float]]:
    history, every = History(dataset), max(1, (part.stop - part.start) // ROWS)
    for first, end in timestamps(dataset, part.start, part.stop):
        for row in range(-(-first // every) * every, end, every):
            user, item = int(dataset.user[row]), int(dataset.item[row])
            available, unseen = history.available(first), history.available(first).copy()
            unseen[history.items_of(user, first)] = False
            scores = scorer.score(np.array([user]), dataset.timestamp[[row]])
            tasks = {"next": available, "discover": unseen}
            yield {n: v for task, c in tasks.items() if c[item] for n, v in _figures(task, scores, item, c).items()}
        scorer.apply(dataset.subset(slice(first, end)))
        bar.advance(end - first)


def _figures(task: str, scores: NDArray[Any], item: int, candidates: NDArray[np.bool_]) -> dict[str, float]:
    rank = ranks(scores, np.array([item]), candidates)
    lost = -log_softmax(np.where(candidates, scores[0].astype(np.float64), -np.inf))[item]
    figures = {"cross-entropy": lost, "recall@20": recall_at(rank, 20)[0], "ndcg@10": ndcg_at(rank, 10)[0]}
    return {f"{task} {name}": float(value) for name, value in figures.items()}


def report(here: Figures, there: Figures | None) -> dict[str, Any]:
    """Means; beside another's: the difference, and how many of its standard errors that is."""
    told: dict[str, Any] = {}
    for name, values in here.items():
        told[name] = {"n": len(values), "mean": values.mean()}
        if there is not None:
            by = values - there[name]
            told[name] |= {"difference": by.mean(), "errors": by.mean() / (by.std() / len(by) ** 0.5 + 1e-12)}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--against", type=Path)
    told, console = parser.parse_args(), Console(stderr=True)
    changes = {name: _value(value) for name, value in (one.split("=", 1) for one in told.set)}
    config = replace(TrainingConfig(), **changes, epochs=told.epochs)
    dataset = prepare(load(told.data))
    found = figures(trained(dataset, config, console), dataset, console)
    np.savez(told.out, **found)  # type: ignore[arg-type]
    there = dict(np.load(told.against)) if told.against else None
    print(json.dumps(report(found, there), indent=1))  # noqa: T201


def _value(text: str) -> Any:
    """JSON where it is some, a word elsewhere."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    main()
