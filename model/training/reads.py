"""What training saw of users at their moments: exact raw inputs, gathered before their events were applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Events
from model.process.records import Float, Int
from model.state import Steps, TrainingState


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

    @classmethod
    def join(cls, parts: Sequence[Reads]) -> Reads:
        """One after the other."""
        base = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__dataclass_fields__
            if name != "steps"
        }
        for name in ("pair_row", "event_row"):
            joined[name] += np.repeat(base, [len(getattr(part, name)) for part in parts])
        return cls(steps=Steps.join([part.steps for part in parts]), **joined)

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


def read_moments(memory: TrainingState, events: Events, available: NDArray[np.bool_]) -> Reads:
    """Reads the users of `events`, one moment a user, at the state before them. available: (N,) what counts."""
    state = memory.state
    spec = state.model.spec
    codes, row = np.unique(events.user, return_inverse=True)
    at = np.zeros(len(codes), dtype=np.int64)
    at[row] = events.timestamp
    inputs = state.read(codes, at)
    owner, item = inputs.pair_row, inputs.pair_item
    weight = np.asarray(spec.weights(), dtype=np.float32)[events.type]
    return Reads(
        steps=memory.user_steps(codes),
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
