"""What a user's own history does to a list: what it leaves out, and what it turns the user's embedding away from."""

from __future__ import annotations

import numpy as np

from model.process.batch import Users
from model.process.records import Float, Int
from model.spec import ModelSpec
from service.core.dislikes import disliked, dislikers, push_away
from service.ports import ItemIndex

_NOTHING: Int = np.empty(0, np.int64)


def disliked_items(users: Users, place: int, index: ItemIndex, spec: ModelSpec) -> Int:
    """Indexes of what the user at `place` dislikes, as far as this replica knows the items."""
    found = disliked(users.rows[place], spec)
    return found[found < len(index.ids)]


def turn_away(h: Float, users: Users, index: ItemIndex, spec: ModelSpec) -> Float:
    """(B, d) the embeddings, turned away from what each user dislikes."""
    turned = h
    for place in dislikers(users.rows, spec).tolist():
        if len(pushing := disliked_items(users, place, index, spec)):
            turned = h.copy() if turned is h else turned
            turned[place] = push_away(h[place], index.vectors[pushing])
    return turned


def left_out_of_each(
    users: Users, at: Int, index: ItemIndex, spec: ModelSpec, seen: bool, seen_within: int | None
) -> tuple[Int, Int]:
    """(user, index) of what lists of these users leave out: what each dislikes and, with `seen`, the items of their
    histories; seen_within: only those of so many seconds before the moment `at` (B,)."""
    pushed = [(place, disliked_items(users, place, index, spec)) for place in dislikers(users.rows, spec).tolist()]
    owner = [np.full(len(found), place) for place, found in pushed]
    item = [found for _, found in pushed]
    if seen:
        of, pairs = users.owner(), users.pairs
        if seen_within is not None:
            late = pairs["last"] >= at[of] - seen_within
            of, pairs = of[late], pairs[late]
        owner.append(of)
        item.append(pairs["item"].astype(np.int64))
    return np.concatenate([_NOTHING, *owner]), np.concatenate([_NOTHING, *item])


def seen_items(users: Users, index: ItemIndex, since: int | None) -> Int:
    """Indexes of the items of one user's history; since: only those of an event at that time [s] or later."""
    pairs = users.pairs if since is None else users.pairs[users.pairs["last"] >= since]
    seen = pairs["item"].astype(np.int64)
    return seen[seen < len(index.ids)]
