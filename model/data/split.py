"""Global-time split: what comes later is tested on what came before, for all users at once."""

from dataclasses import dataclass

import numpy as np

from model.data.dataset import Dataset, Int64Array
from model.data.errors import MissingDataError

SCORED_ROWS = 15_000


@dataclass(frozen=True)
class Split:
    """Consecutive parts of a Dataset's rows; events of one timestamp are in one part."""

    train: slice
    validation: slice
    test: slice


def split(dataset: Dataset, fractions: tuple[float, float, float] = (0.70, 0.15, 0.15)) -> Split:
    """Cut at floor(fraction * n) rows; a cut inside a timestamp moves forward to that timestamp's end.

    Raises MissingDataError when a part that should have events gets none: the stream has too few timestamps.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be >= 0 and sum to 1, got {fractions}")
    n = len(dataset)
    first = _cut(dataset.timestamp, fractions[0])
    second = _cut(dataset.timestamp, fractions[0] + fractions[1])
    for fraction, rows in zip(fractions, (first, second - first, n - second), strict=True):
        if fraction > 0 and not rows:
            raise MissingDataError(f"{dataset.name} has too few timestamps ({n} events) to split it {fractions}")
    return Split(slice(0, first), slice(first, second), slice(second, n))


def scored_rows(part: slice, target: int = SCORED_ROWS) -> Int64Array:
    """The rows of a part that are scored: every k-th row of the whole stream, k = max(1, rows of the part // target).

    Rows are counted from the start of the stream, not of the part: row numbers that are multiples of k. (On Online
    Retail II that makes 15,040 rows with k = 7; counting from the start of the test part would make 15,041.)
    """
    k = max(1, (part.stop - part.start) // target)
    first = -(-part.start // k) * k
    return np.arange(first, part.stop, k, dtype=np.int64)


def _cut(timestamp: Int64Array, fraction: float) -> int:
    row = int(fraction * len(timestamp) + 1e-6)  # the margin keeps 0.7 * 10 at 7
    if 0 < row < len(timestamp):
        row = int(np.searchsorted(timestamp, timestamp[row - 1], side="right"))
    return row
