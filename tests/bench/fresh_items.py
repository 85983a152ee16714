"""What it costs that an item's open tick does not show: Recall@20 with item vectors as of the last tick, as they are
served, and with vectors made anew for each list.

    python -m tests.bench.fresh_items complete-journey:600 model/bundles/complete-journey [EVERY]

Every k-th row of the test part is scored, by both on the same rows; JSON on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from model.commands_evaluate import versus
from model.data import load, prepare, split
from model.evaluate import evaluate, warm
from model.process.apply import visible_items
from model.process.records import Float, Int
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.training.progress import ProgressBar
from model.weights import load_model


class Fresh(StateScorer):
    """Scores with the open tick of each item closed; nothing else sees that."""

    def score(self, users: Int, at: Int, /) -> Float:
        self._catch_up()
        state, dim = self._state, self._state.model.spec.dim
        moved = np.fromiter(state._open, np.int64, len(state._open))
        shown = state.item_vectors[moved]
        closed = visible_items(state.items[moved], state._tick + 1, state.model)
        state.item_vectors[moved] = state.matrix[moved, :dim] = closed
        scores = super().score(users, at)
        state.item_vectors[moved] = state.matrix[moved, :dim] = shown
        return scores


def main(source: str, folder: Path, every: int) -> None:
    torch.set_num_threads(1)
    dataset, model = prepare(load(source)), load_model(folder)
    text = item_texts(dataset, model.spec.embedder, model.spec.text_dim)
    part, console, found = split(dataset).test, Console(stderr=True), {}
    for name, kind in {"fresh": Fresh, "served": StateScorer}.items():
        scorer = kind(new_state(model, dataset, text))
        with ProgressBar(console, name, part.stop) as bar:
            warm(scorer, dataset, 0, part.start, bar.advance)
            found[name] = evaluate(scorer, dataset, part.start, part.stop, every=every, progress=bar.advance)
    for name, one in versus(found["fresh"], found["served"]).items():
        if name.endswith("recall@20"):
            report = {"served": one.other_mean, "fresh": one.mean, "low": one.low, "high": one.high, "p": one.p}
            print(json.dumps({"task": name, **report, "relative": one.mean / one.other_mean - 1}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 4)
