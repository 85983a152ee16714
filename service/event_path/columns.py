"""What the writer asks of columns: what stands at some places, codes for ids, whether numbers are numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from model.process.records import Float, Int


class NotFinite(ValueError):
    """A record made memory infinite or not a number."""


def at(column: list[bytes], places: Int) -> list[bytes]:
    """What stands at `places`, which ascend."""
    return column if len(places) == len(column) else [column[place] for place in places.tolist()]


def codes(ids: Iterable[bytes]) -> tuple[list[bytes], Int]:
    """Distinct ids in order of appearance, and each one's place among them."""
    places: dict[bytes, int] = {}
    codes = [places.setdefault(i, len(places)) for i in ids]
    return list(places), np.array(codes, dtype=np.int64)


def check_finite(name: str, values: Float) -> None:
    """Raises NotFinite."""
    if not np.isfinite(values).all():
        raise NotFinite(f"{name} of {int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())} records")
