"""EASE: the linear item-to-item model with a closed form.

    B = I - P / diag(P),  P = (X^T X + lambda I)^-1,  B[i, i] = 0

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
"""

from collections.abc import Iterator

import numpy as np

from model.baselines.baseline import Entry, Job, Round, grid
from model.baselines.item_to_item import Bought, ItemToItem, Matrix
from model.data.dataset import Dataset


def weights(bought: Bought, regularisation: float) -> Matrix:
    """B (M, M) in float32: 10,000 items take a minute and 2 GB."""
    gram = bought.together()
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    inverse = np.linalg.inv(gram)
    inverse /= -np.diagonal(inverse).copy()
    np.fill_diagonal(inverse, 0.0)
    return inverse


def fit(events: Dataset, job: Job, /) -> Iterator[Round]:
    bought = Bought.of(events)
    matrix = weights(bought, job.setting["regularisation"])
    yield Round(1, lambda: ItemToItem(events, bought.items, matrix, job.setting["half_life_days"]))


EASE = Entry(
    "ease",
    fit,
    search=grid(half_life_days=(None, 30), regularisation=(300, 1_000, 100)),
    deterministic=True,
    static=True,
)
