"""Codes: fixed random signs by which memory tells items apart, whatever training has seen of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.process.records import Float

_STEP, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def item_codes(hashes: NDArray[np.uint64], width: int) -> Float:
    """(B, width) of -1 and 1, made from the items' stable hashes (B,): the same in every process and for ever.

    Two codes are as good as orthogonal (a cosine of about 1 / sqrt(width)), so that a sum of codes is a sketch of the
    set that they belong to. Each 64 columns are one output of SplitMix64 (Steele, Lea and Flood, 2014) seeded by the
    hash.
    """
    z = hashes[:, None] + _STEP * np.arange(1, -(-width // 64) + 1, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    bits = np.unpackbits(z.astype("<u8").view(np.uint8), axis=1, bitorder="little")[:, :width]
    return 2.0 * bits.astype(np.float32) - np.float32(1.0)
