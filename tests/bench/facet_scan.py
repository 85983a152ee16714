"""What profiles know that a trained model does not: its scores with a share of the facets' likeness to items added.

    python -m tests.bench.facet_scan complete-journey:600 profiles.parquet runs/first

score + beta * cos(facet, item's text), the facets averaged, on every k-th row of the test part, the model's own scores
being read once. Beside the profiles as made: those of somebody else, and mean titles in their place. No training, so no
seed: what a beta gains is in the profiles, and what it gains for shuffled ones is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model.data import Dataset, ProfileTable, load, prepare, split
from model.evaluate import Scorer, evaluate, warm
from model.metrics import Report
from model.process.records import Float, Int
from model.spec import FACETS
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.training.config import ProfileForm
from model.training.profiles import attach
from model.weights import load_model

ROWS = 4_000
BETAS = (1.0, 3.0, 8.0)
FORMS: tuple[ProfileForm, ...] = ("made", "shuffled", "titles")


class Remembered:
    """A scorer whose answers are kept by user and moment."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.scores: dict[tuple[int, int], Float] = {}

    def apply(self, events: Dataset, /) -> None:
        self._scorer.apply(events)

    def score(self, users: Int, at: Int, /) -> Float:
        found = self._scorer.score(users, at)
        self.scores |= zip(zip(users.tolist(), at.tolist(), strict=True), found, strict=True)
        return np.asarray(found, dtype=np.float32)


class Added:
    """The remembered scores and the likeness. facets: places of those that count."""

    def __init__(self, base: Remembered, table: ProfileTable, items: Float, facets: list[int], beta: float) -> None:
        self._base, self._table, self._items = base, table, items
        self._facets, self._beta = facets, beta

    def apply(self, events: Dataset, /) -> None:
        """The answers are there."""

    def score(self, users: Int, at: Int, /) -> Float:
        base = np.stack([self._base.scores[key] for key in zip(users.tolist(), at.tolist(), strict=True)])
        facets = self._table.facets(users, at)[:, self._facets].mean(axis=1)
        return np.asarray(base + self._beta * (facets @ self._items.T), dtype=np.float32)


def scan(source: str, profiles: Path, run: Path) -> Iterator[tuple[str, Report]]:
    """What was added, and the figures with it."""
    torch.set_num_threads(1)
    dataset, model = prepare(load(source)), load_model(run)
    text = item_texts(dataset, model.spec.embedder, model.spec.text_dim)
    part = split(dataset).test
    every = max(1, (part.stop - part.start) // ROWS)
    base = Remembered(StateScorer(new_state(model, dataset, text)))
    warm(base, dataset, 0, part.start)
    yield "nothing", evaluate(base, dataset, part.start, part.stop, every=every).report()
    likeness = [(form, [1, 2, 3]) for form in FORMS] + [("made", [place]) for place in range(1, len(FACETS))]
    for form, facets in likeness:
        table = attach(dataset, str(profiles), form, model.spec, text).profiles
        assert table is not None
        for beta in BETAS:
            added = Added(base, table, text, [1] if form == "titles" else facets, beta)
            name = f"{beta:g} x {form}" + (f", {FACETS[facets[0]]} alone" if len(facets) == 1 else "")
            yield name, evaluate(added, dataset, part.start, part.stop, every=every).report()


def line(report: Report) -> str:
    """Recall@20 / NDCG@10 of both tasks, then of discover for users of 1 to 5 events, and how many events these are."""
    cells = [f"{report[task]['all']['recall@20']:.4f} / {report[task]['all']['ndcg@10']:.4f}" for task in report]
    cold = report.get("discover", {}).get("user:1-5")
    return " | ".join([*cells, f"{cold['recall@20']:.4f} of {cold['n']}" if cold else "-"])


if __name__ == "__main__":
    for added, report in scan(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])):
        print(f"| {added} | {line(report)} |", flush=True)  # noqa: T201 - the figures
