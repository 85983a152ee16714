"""item-kNN: items are alike that the same users had.

    S[j, i] = |users of both| / (sqrt(|users of j| |users of i|) + shrink),  S[i, i] = 0,  the k largest of each column

Sarwar et al., WWW 2001; the shrinkage as in Ferrari Dacrema et al., RecSys 2019.
"""

from collections.abc import Iterator

import numpy as np

from model.baselines.baseline import Entry, Job, Round, grid
from model.baselines.item_to_item import Bought, ItemToItem, Matrix
from model.data.dataset import Dataset


def cosine(bought: Bought, shrink: float, neighbours: int | None) -> Matrix:
    """(M, M); neighbours: k, None for all."""
    together = bought.together()
    norm: Matrix = np.sqrt(np.diagonal(together))
    similarity: Matrix = together / (norm[:, None] * norm + np.float32(shrink))
    np.fill_diagonal(similarity, 0.0)
    if neighbours is not None and neighbours < len(similarity):
        least = np.partition(similarity, -neighbours, axis=1)[:, -neighbours]  # (M,) of each row, so of each column
        similarity[similarity < least] = 0.0
    return similarity


def fit(events: Dataset, job: Job, /) -> Iterator[Round]:
    bought = Bought.of(events)
    similarity = cosine(bought, job.setting["shrink"], job.setting["neighbours"])
    yield Round(1, lambda: ItemToItem(events, bought.items, similarity, job.setting["half_life_days"]))


ITEM_KNN = Entry(
    "item-knn",
    fit,
    search=grid(half_life_days=(None, 60, 14), neighbours=(None, 100), shrink=(10, 100)),
    deterministic=True,
    static=True,
)
