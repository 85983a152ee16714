"""Items with something to filter by, and what filters find in an index."""

from __future__ import annotations

import json

import numpy as np

from service.core.filters import Match
from service.core.types import ItemChange
from service.lists.selection import mask_of
from service.ports import ItemIndex


def what_matches(index: ItemIndex) -> dict[Match, set[str]]:
    asked = [Match(category=(name,)) for name in ("cat-0", "cat-1", "cat-2")]
    asked += [Match(tags=("even",)), Match(attributes=(("n", (4,)),)), Match(max_price=3.0), Match(brand=("moved",))]
    masks = {match: mask_of(match, index) for match in asked}
    return {match: {index.ids[i] for i in np.flatnonzero(mask)} for match, mask in masks.items() if mask is not None}


def described(item_id: str, n: int, **more: object) -> ItemChange:
    """Item number n, with something to filter by."""
    fields = {"category": f"cat-{n % 3}", "price": n, "tags": ["even"] * (n % 2 == 0), "attributes": {"n": n}}
    return ItemChange(item_id, json.dumps(fields | more).encode(), available_from=0)
