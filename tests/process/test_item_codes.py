"""Codes: the same for ever, signs as good as drawn at random."""

from __future__ import annotations

import numpy as np

from model.process.batch import stable_hash
from model.process.item_codes import item_codes

HASHES = stable_hash([f"item-{n}" for n in range(500)])


def test_a_code_is_made_of_signs_and_of_the_id_alone() -> None:
    codes = item_codes(HASHES, 96)
    assert codes.shape == (500, 96)
    assert codes.dtype == np.float32
    assert set(np.unique(codes)) == {-1.0, 1.0}
    np.testing.assert_array_equal(item_codes(HASHES[[7, 3]], 96), codes[[7, 3]])
    np.testing.assert_array_equal(item_codes(HASHES, 40), codes[:, :40])


def test_codes_never_change() -> None:
    """Memory in a store was made with them. The first outputs of SplitMix64 seeded with 0, as others publish them."""
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    bits = [(word >> bit) & 1 for word in first for bit in range(64)]
    np.testing.assert_array_equal(item_codes(np.zeros(1, np.uint64), 128)[0], 2.0 * np.array(bits) - 1.0)


def test_codes_are_as_good_as_orthogonal_and_balanced() -> None:
    width = 96
    codes = item_codes(HASHES, width)
    cosines = (codes @ codes.T / width)[np.triu_indices(len(codes), 1)]
    assert abs(cosines.mean()) < 5e-3
    assert cosines.std() < 1.1 / np.sqrt(width)
    assert np.abs(codes.mean(axis=0)).max() < 5 / np.sqrt(len(codes))


def test_a_sum_of_codes_tells_what_is_in_it() -> None:
    codes = item_codes(HASHES, 96)
    agreement = codes @ codes[:8].sum(axis=0) / 96
    assert agreement[:8].mean() > 0.8  # 1 each, give or take what seven others add by chance
    assert abs(agreement[8:].mean()) < 0.1
