"""Why an item has its score: parts that add up to it, found by embedding the user again without each of them.

    score = popularity + again + boost + h . v
    h . v = anyone + memory + facets + items + rest

popularity, again and boost are summands of the score. `anyone` is h . v of a user of whom nothing is known. What the
memory, each facet of the profile and each of the newest items carry is what h . v loses without it, through the same
graphs; as a network is not a sum, what they carry only together, and all that is not named, is `rest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.process.batch import Users
from model.process.popularity import popularity_features
from model.process.read import user_inputs
from model.process.records import NEVER, PAIR, Float, Int, new_users
from model.process.temporal_model import TemporalModel
from model.spec import FACETS
from service.lists.history import turn_away
from service.lists.reading import Known
from service.lists.scoring import Scored
from service.ports import ItemIndex

CARRIERS = 3
"""Facets, and items, that a reason names at most."""
LEAST = 1e-5
"""What a name must carry; less may be a rounding of float32."""
LOOKED = 12
"""Items of the user's newest events that are looked at for that."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Parts of one item's score. facets: by name; items: by id, those of the user's newest events; both name only what
    raises the score, most first."""

    popularity: float
    again: float
    boost: float
    anyone: float
    memory: float
    facets: Mapping[str, float]
    items: Mapping[str, float]
    rest: float


def explain(
    known: Known, at: Int, scored: Scored, found: Int, bonus: Float | None, index: ItemIndex, model: TemporalModel
) -> tuple[Reason, ...]:
    """Of each of the items at `found` (K,). bonus: (N,) of the boosts."""
    names, lost = _shares(known, at, found, index, model)  # (V, K)
    _, item, addition = scored.additions
    own = dict(zip(item.tolist(), addition.tolist(), strict=True))
    features = popularity_features(index.counters[found], index.position.log_time, model.spec)
    popular = model.popularity(features) @ scored.queries[0, model.spec.dim :]
    similar = index.vectors[found] @ scored.queries[0, : model.spec.dim]
    boosts = np.zeros(len(found), np.float32) if bonus is None else bonus[found]
    return tuple(
        _reason(float(popular[place]), own.get(at_index, 0.0), float(boosts[place]), float(similar[place]),
                names, lost[:, place])
        for place, at_index in enumerate(found.tolist())
    )  # fmt: skip


def _reason(popularity: float, again: float, boost: float, similar: float, names: Sequence[str], lost: Float) -> Reason:
    """lost: (V,) [anyone, memory, each facet, each item of `names`]."""
    anyone, memory = float(lost[0]), float(lost[1])
    facets = _raising(FACETS, lost[2 : 2 + len(FACETS)])
    items = _raising(names, lost[2 + len(FACETS) :])
    rest = similar - anyone - memory - sum(facets.values()) - sum(items.values())
    return Reason(popularity, again, boost, anyone, memory, facets, items, rest)


def _shares(known: Known, at: Int, found: Int, index: ItemIndex, model: TemporalModel) -> tuple[list[str], Float]:
    """Ids of the newest items, and (2 + 4 + items, K): what anyone gets, and what h . v loses without the rest."""
    row, spec = known.users.rows[0], model.spec
    recent = row["nb_item"][row["nb_time"] != NEVER].tolist()
    newest = [item for item in dict.fromkeys(recent) if item < len(index.ids)][:LOOKED]
    users = _variants(known.users, newest, model)
    facets = np.repeat(known.facets, len(users), axis=0)
    facets[1] = 0.0
    facets[np.arange(3, 3 + len(FACETS)), np.arange(len(FACETS))] = 0.0
    inputs = user_inputs(users, np.repeat(at, len(users)), index.vectors, index.counters, spec, facets)
    h = turn_away(model.embed_users(inputs).h, users, index, spec)
    whole, anyone, *without = h @ index.vectors[found].T  # each (K,)
    return [index.ids[item] for item in newest], np.stack([anyone, *(whole - one for one in without)])


def _variants(users: Users, items: Sequence[int], model: TemporalModel) -> Users:
    """The first user as they are, one of whom nothing is known, then without memory, once for each facet, and without
    each of `items`."""
    same = 3 + len(FACETS)
    rows, pairs = np.repeat(users.rows[:1], same + len(items)), users.pairs_of(0)
    rows[1:2] = new_users(1, model.spec, model.initial_user)
    rows["m"][2], rows["sum"][2], rows["count"][2] = model.initial_user, 0.0, 0
    for place, item in enumerate(items, start=same):
        rows["nb_time"][place, rows["nb_item"][place] == item] = NEVER
    own = [pairs[pairs["item"] != item] for item in items]
    return Users.gather(rows, [pairs, np.empty(0, PAIR), *[pairs] * (same - 2), *own])


def _raising(names: Sequence[str], lost: Float) -> dict[str, float]:
    """Those that carry most, most first."""
    order = np.argsort(-lost, kind="stable")[:CARRIERS].tolist()
    return {names[place]: float(lost[place]) for place in order if lost[place] > LEAST}
