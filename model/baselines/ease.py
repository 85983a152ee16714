"""EASE: the linear item-to-item model with a closed form.

    B = I - P / diag(P),  P = (X^T X + lambda I)^-1,  B[i, i] = 0

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import lapack

from model.baselines.baseline import Entry, Job, Round, grid
from model.baselines.item_to_item import Bought, ItemToItem, Matrix
from model.data.dataset import Dataset


def weights(bought: Bought, regularisation: float) -> Matrix:
    """B (M, M) in float32, by a Cholesky factor: 10,000 items take half a minute and 1.5 GB."""
    gram = bought.together()
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    factor, failed = lapack.spotrf(gram.T, lower=True, overwrite_a=True)  # symmetric; the transpose is column-major
    if failed:
        raise ValueError(f"EASE with lambda {regularisation}: X^T X + lambda I is not positive definite in float32")
    inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
    matrix: Matrix = np.tril(inverse) + np.tril(inverse, -1).T
    matrix /= -np.diagonal(inverse)
    np.fill_diagonal(matrix, 0.0)
    return matrix


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
