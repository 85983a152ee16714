"""The evaluator against an outside implementation, pytrec_eval, on scores without ties."""

import numpy as np
import pytest
import pytrec_eval

from model.data import Dataset, split
from model.data.dataset import Int64Array
from model.evaluate import evaluate
from model.metrics import Score
from tests.modules.streams import random_stream

MEASURES = {"recall@10": "recall_10", "recall@20": "recall_20", "ndcg@10": "ndcg_cut_10", "ndcg@30": "ndcg_cut_30"}


class Shuffled:
    """All items in an order of its own for each user and moment; remembers what it said."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.said: dict[tuple[int, int], Score] = {}

    def apply(self, events: Dataset, /) -> None:
        """It does not learn."""

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        scores = [
            np.random.default_rng([u, t]).permutation(self._dataset.n_items) for u, t in zip(users, at, strict=True)
        ]
        self.said |= {(int(u), int(t)): s for u, t, s in zip(users, at, scores, strict=True)}
        return np.array(scores, dtype=np.float64)


def test_figures_agree_with_pytrec_eval_on_scores_without_ties() -> None:
    data = random_stream(11, 1_200, 25, 60)
    part = split(data).test
    scorer = Shuffled(data)
    report = evaluate(scorer, data, part.start, part.stop, every=1, candidates="catalogue").report()["next"]["all"]
    truth, answer = {}, {}
    for row in range(part.start, part.stop):
        user, at = int(data.user[row]), int(data.timestamp[row])
        truth[str(row)] = {data.item_ids[data.item[row]]: 1}
        answer[str(row)] = dict(zip(data.item_ids, map(float, scorer.said[user, at]), strict=True))
    theirs = pytrec_eval.RelevanceEvaluator(truth, {"recall", "ndcg_cut", "recip_rank"}).evaluate(answer)
    for mine, name in {**MEASURES, "mrr": "recip_rank"}.items():
        assert report[mine] == pytest.approx(np.mean([figures[name] for figures in theirs.values()])), mine
