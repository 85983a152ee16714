"""p-values that stay valid although somebody looks every day: group-sequential, with a constant boundary (Pocock).

At the looks k = 1..K the statistic z_k is that of a random walk with information I_k. The p-value of what was seen so
far is P(max_k |Z_k| >= max |z_k|) over all K planned looks under no difference: it falls below alpha at any of them
with a probability of alpha in all; not less, which an always-valid (mixture) test would pay for looks nobody takes.

Pocock 1977, Biometrika 64; the recursion: Armitage, McPherson and Rowe 1969, J. R. Stat. Soc. A 132.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

_FAR = 9.0  # of a normal variable; beyond, probabilities are below 1e-18


def crossing(bound: float, information: Sequence[float]) -> float:
    """P(|Z_k| >= bound at any look), information: (K,) ascending and positive, of which only ratios matter."""
    if bound <= 0:
        return 1.0
    if bound >= _FAR:
        return 0.0
    times = _apart(information)
    scales = np.sqrt(np.minimum(np.diff(times, prepend=0.0), np.diff(times, append=np.inf)))
    places, weights = _nodes(bound, scales[0])
    density = _normal(places)
    for step, time, scale in zip(np.diff(times), times[1:], scales[1:], strict=True):
        there, next_weights = _nodes(bound * math.sqrt(time), scale)
        kernel = _normal((there[:, None] - places[None]) / math.sqrt(step)) / math.sqrt(step)
        density, places, weights = kernel @ (weights * density), there, next_weights
    return float(np.clip(1.0 - weights @ density, 0.0, 1.0))


def _apart(information: Sequence[float]) -> NDArray[np.float64]:
    """In units of the first; a look that adds less than 2 % to the one before is no other look."""
    kept = [1.0]
    for one in np.asarray(information, np.float64) / information[0]:
        if one > 1.02 * kept[-1]:
            kept.append(float(one))
    return np.array(kept)


def boundary(alpha: float, information: Sequence[float]) -> float:
    """The bound that is crossed with probability `alpha`."""
    low, high = 0.0, _FAR
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if crossing(middle, information) > alpha else (low, middle)
    return high


def planned(information: Sequence[float], looks: int) -> list[float]:
    """Information at all `looks`, given that at the first ones: those to come bring as much each as those before."""
    found = list(accumulate(information, max))
    each = found[-1] / len(found)
    return found + [found[-1] + each * more for more in range(1, looks - len(found) + 1)]


def sequential_p(statistics: Sequence[float], information: Sequence[float], looks: int) -> float:
    """Of the z seen at the first of `looks`; later ones than planned do not count."""
    seen = [abs(z) for z in statistics[:looks]]
    return crossing(max(seen), planned(information[:looks], looks)) if seen else 1.0


def normal_of_t(t: float, freedom: float) -> float:
    """The normal variable of the same tail as Student's t (Wallace 1959)."""
    size = math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(size * (8 * freedom + 1) / (8 * freedom + 3), t)


def chi_square_tail(x: float, freedom: int) -> float:
    """P(chi-square with `freedom` >= x)."""
    tail, at = (math.erfc(math.sqrt(x / 2)), 1) if freedom % 2 else (math.exp(-x / 2), 2)
    while at < freedom:
        tail += (x / 2) ** (at / 2) * math.exp(-x / 2) / math.gamma(at / 2 + 1)
        at += 2
    return tail


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return values


def _nodes(half_width: float, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a Gauss-Legendre quadrature of [-half_width, half_width], dense enough for normals of width `scale`."""
    places, weights = _rule(32 * math.ceil((24 + 4 * half_width / scale) / 32))
    return half_width * places, half_width * weights


@cache
def _rule(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(count)
