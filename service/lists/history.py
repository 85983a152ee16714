"""What a user's own history does to a list: what it leaves out, and what it turns the user's embedding away from."""

from __future__ import annotations

import numpy as np

from model.process.batch import Users
from model.process.records import Float, Int
from model.spec import ModelSpec
from service.core.dislikes import disliked, push_away
from service.ports import ItemIndex


def disliked_items(row: np.void, index: ItemIndex, spec: ModelSpec) -> Int:
    """Indexes of what one user dislikes, as far as this replica knows the items."""
    found = disliked(row, spec)
    return found[found < len(index.ids)]


def turn_away(h: Float, users: Users, index: ItemIndex, spec: ModelSpec) -> Float:
    """(B, d) the embeddings, turned away from what each user dislikes."""
    turned = h
    for place, row in enumerate(users.rows):
        if len(pushing := disliked_items(row, index, spec)):
            turned = h.copy() if turned is h else turned
            turned[place] = push_away(h[place], index.vectors[pushing])
    return turned


def seen_items(users: Users, index: ItemIndex, since: int | None) -> Int:
    """Indexes of the items of one user's history; since: only those of an event at that time [s] or later."""
    pairs = users.pairs if since is None else users.pairs[users.pairs["last"] >= since]
    seen = pairs["item"].astype(np.int64)
    return seen[seen < len(index.ids)]
