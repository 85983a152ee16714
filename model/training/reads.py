"""What training saw of users at their moments: exact raw inputs, as they were before the moments' events.

All moments of a step are read together, also several of one user. What the state process does to memory comes out of
the one pass that applies the events (`Commits`); neighbours and pairs, which depend on their own user's events alone,
are brought forward on copies of the user, one for each moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.process.apply import moments_of
from model.process.batch import Events, Items, Users
from model.process.groups import starts_of
from model.process.neighbours import add_neighbours
from model.process.pairs import add_pairs
from model.process.read import user_inputs
from model.process.records import Float, Int, Records, counters_of
from model.process.state import State
from model.state import Steps, TrainingState

NEIGHBOUR_FIELDS = ("nb_time", "nb_item", "nb_type")


@dataclass
class Reads:
    """B moments, each of a user at its own time. n neighbours, M pairs of their histories, E events that followed.

    nb_item: catalogue codes, 0 where masked; gaps in seconds; pair_row (M,) and event_row (E,) are rows of B;
    event_weight (E,) is 0 where the event could not have been recommended; event_new (E,) 1 for a first-time pair.
    """

    steps: Steps
    since: Float  # (B,)
    gap_stats: Float  # (B, 2)
    habits: Float  # (B, F_user)
    nb_item: Int  # (B, n)
    nb_type: Int
    nb_gap: Float
    nb_mask: Float
    facets: Float  # (B, 4, d_f)
    has: Float  # (B, 4)

    pair_row: Int  # (M,)
    pair_item: Int
    pair_features: Float  # (M, F_pair)
    pair_v: Float  # (M, d)

    event_row: Int  # (E,)
    event_item: Int
    event_weight: Float
    event_new: Float

    def __len__(self) -> int:
        return len(self.since)

    def parts(self, most: int) -> Iterator[Reads]:
        """Cut into parts of at most `most` moments."""
        for low in range(0, len(self), most):
            high = low + most
            pairs = (self.pair_row >= low) & (self.pair_row < high)
            events = (self.event_row >= low) & (self.event_row < high)
            yield Reads(
                steps=self.steps.take(slice(low, high)),
                since=self.since[low:high],
                gap_stats=self.gap_stats[low:high],
                habits=self.habits[low:high],
                nb_item=self.nb_item[low:high],
                nb_type=self.nb_type[low:high],
                nb_gap=self.nb_gap[low:high],
                nb_mask=self.nb_mask[low:high],
                facets=self.facets[low:high],
                has=self.has[low:high],
                pair_row=self.pair_row[pairs] - low,
                pair_item=self.pair_item[pairs],
                pair_features=self.pair_features[pairs],
                pair_v=self.pair_v[pairs],
                event_row=self.event_row[events] - low,
                event_item=self.event_item[events],
                event_weight=self.event_weight[events],
                event_new=self.event_new[events],
            )


def read_and_apply(memory: TrainingState, events: Events, available: NDArray[np.bool_]) -> Reads:
    """Reads every moment of `events` at its user's exact state before it, and applies the events.

    The items' side of what is read (vectors, counters) is as of the log's time before the events. available: (N,) what
    may be recommended.
    """
    state, spec = memory.state, memory.state.model.spec
    users, at, row = _moments(events)
    before = state.gather(users)
    vectors, counters = state.item_vectors.copy(), counters_of(state.items, spec)
    rows, steps = memory.apply_and_see(events, users, at)
    _follow(before, rows, _earlier(events, users, row), state)
    inputs = user_inputs(before, at, vectors, counters, spec, state.facets(users, at))
    owner, item = inputs.pair_row, inputs.pair_item
    weight = np.asarray(spec.weights(), dtype=np.float32)[events.type]
    return Reads(
        steps=steps,
        since=inputs.since,
        gap_stats=inputs.gap_stats,
        habits=inputs.habits,
        nb_item=np.where(inputs.nb_mask > 0, inputs.rows["nb_item"], 0).astype(np.int64),
        nb_type=inputs.rows["nb_type"].astype(np.int64),
        nb_gap=inputs.nb_gap,
        nb_mask=inputs.nb_mask,
        facets=inputs.facets,
        has=inputs.has,
        pair_row=owner,
        pair_item=item,
        pair_features=inputs.pair_features,
        pair_v=inputs.pair_v,
        event_row=row,
        event_item=events.item,
        event_weight=weight * available[events.item],
        event_new=(~np.isin(row << 32 | events.item, owner << 32 | item)).astype(np.float32),
    )


def _moments(events: Events) -> tuple[Int, Int, Int]:
    """users (M,) and times (M,) of the moments of `events`, ascending; and the moment of each event (E,)."""
    order = np.lexsort((events.timestamp, events.user))
    user, time = events.user[order], events.timestamp[order]
    begins = starts_of(user) | starts_of(time)
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.cumsum(begins) - 1
    return user[begins], time[begins], row


def _earlier(events: Events, users: Int, row: Int) -> Events:
    """For each moment, the events of its user's earlier ones among `events`; their `user` is the moment."""
    order = np.argsort(row, kind="stable")
    start = np.searchsorted(row[order], np.arange(len(users)))  # of each moment's events in that order
    first = start[np.searchsorted(users, users)]  # of its user's
    count = start - first
    owner = np.repeat(np.arange(len(users)), count)
    place = np.arange(len(owner)) + np.repeat(first - np.cumsum(count) + count, count)
    return replace(events.take(order[place]), user=owner)


def _follow(copies: Users, rows: Records, events: Events, state: State) -> None:
    """Brings copies of users, one for each moment, to where their `rows` (M,) were taken: `events` are those that came
    before. The rows know memory and gaps already; neighbours and pairs follow."""
    codes, item = np.unique(events.item, return_inverse=True)
    items = Items(state.items[codes], codes.astype(np.uint32), state.hash[codes])  # what is counted into them is lost
    events = replace(events, item=item)
    moment, _ = moments_of(copies, events)
    add_neighbours(copies, items, events, state.hash)
    for name in NEIGHBOUR_FIELDS:
        rows[name] = copies.rows[name]
    copies.rows = rows
    add_pairs(copies, items, events, moment, state.model.spec, state.hash)
