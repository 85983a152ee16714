"""iALS: factors of users and items by weighted least squares, solved side by side.

    min sum_ui c_ui (p_ui - x_u . y_i)^2 + lambda (|x_u|^2 + |y_i|^2),  p_ui = 1 where u had i,  c_ui = 1 + alpha n_ui

Hu, Koren, Volinsky, ICDM 2008; the solver is that of the library `implicit`. After training the item factors stand
still and a user's are solved anew from the live history, in which n_ui may be a decayed count.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from model.baselines.baseline import Entry, Job, Round, grid
from model.baselines.tail import Tail
from model.baselines.user_events import UserEvents
from model.data.dataset import Dataset, Int64Array
from model.spec import DAY

SWEEPS = 5
"""Alternations between users and items in a round."""
MOST_ROUNDS = 6


class FoldedIn:
    """Fixed item factors, user factors from the live history. half_life: days, None for none."""

    def __init__(self, events: Dataset, model: AlternatingLeastSquares, alpha: float, half_life: float | None) -> None:
        self._model, self._alpha, self._n_items = model, alpha, events.n_items
        self._factors: NDArray[np.float32] = model.item_factors.copy()
        self._half_life = None if half_life is None else half_life * DAY
        self._users = UserEvents(events.n_users)
        self._tail = Tail(events.n_items)

    def apply(self, events: Dataset, /) -> None:
        self._users.apply(events)
        self._tail.apply(events)

    def score(self, users: Int64Array, at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) for B users, each at its own moment [s]."""
        counts = np.zeros((len(users), self._n_items), dtype=np.float32)
        for row, (user, now) in enumerate(zip(users.tolist(), at.tolist(), strict=True)):
            items, times = self._users.of(user)
            ages = 0.0 if self._half_life is None else np.maximum(now - times, 0) / self._half_life
            np.add.at(counts[row], items, np.exp2(-ages))
        wanted = self._model.recalculate_user(np.arange(len(users)), confidence(sp.csr_matrix(counts), self._alpha))
        return np.asarray(wanted @ self._factors.T + self._tail.scores())


def confidence(counts: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """c where something was had, nothing elsewhere; `implicit` takes 1 there."""
    found = counts.astype(np.float32)
    found.data = 1.0 + np.float32(alpha) * found.data
    return found


def fit(events: Dataset, job: Job, /) -> Iterator[Round]:
    ones = np.ones(len(events), dtype=np.float32)
    counts = sp.csr_matrix(
        (ones, (events.user, events.item)), shape=(events.n_users, events.n_items)
    )  # sums equal cells
    alpha = job.setting["alpha"]
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=job.setting["factors"],
            regularization=job.setting["regularisation"],
            iterations=SWEEPS,
            num_threads=1,
            random_state=job.seed,
        )
        for number in range(1, MOST_ROUNDS + 1):
            model.fit(confidence(counts, alpha), show_progress=False)  # goes on from the factors it has
            job.progress(len(events))
            yield Round(number, lambda: FoldedIn(events, model, alpha, job.setting["half_life_days"]))


IALS = Entry(
    "ials",
    fit,
    search=grid(half_life_days=(None, 30), alpha=(1.0, 10.0), regularisation=(1.0, 0.1, 10.0), factors=(64,)),
    static=True,
)
