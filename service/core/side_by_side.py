"""Two models' lists on the same events, each looked for before it was taken: what was found, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from types import MappingProxyType
from typing import Any

LEAST_CHANCE = 0.001
"""A new model that does so much worse that chance would do it more rarely than that must not take over."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """events: looked for in both lists; hits, others: found among the first 20 of the new model's, and of the other's;
    alone, others_alone: in that one only; ndcg, others_ndcg: sums of NDCG@10."""

    events: int = 0
    hits: int = 0
    others: int = 0
    alone: int = 0
    others_alone: int = 0
    ndcg: float = 0.0
    others_ndcg: float = 0.0

    def __add__(self, more: SideBySide) -> SideBySide:
        return SideBySide(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(more), strict=True)))

    def __sub__(self, less: SideBySide) -> SideBySide:
        return SideBySide(*(ours - theirs for ours, theirs in zip(astuple(self), astuple(less), strict=True)))

    @classmethod
    def of(cls, rank: int | None, other: int | None) -> SideBySide:
        """One event at these ranks of the lists, from 1; None where it is not listed."""
        hit, theirs = rank is not None, other is not None
        return cls(1, hit, theirs, hit and not theirs, theirs and not hit, gain(rank), gain(other))

    @property
    def chance(self) -> float:
        """Of so few events in the new one's list alone, if neither model were better (sign test)."""
        n = self.alone + self.others_alone
        return sum(math.comb(n, k) for k in range(self.alone + 1)) / (1 << n)

    def figures(self) -> dict[str, Any]:
        """As they stand among a rollout's checks."""
        n = max(1, self.events)
        return {
            "events": self.events,
            "recall@20": {"old": round(self.others / n, 4), "new": round(self.hits / n, 4)},
            "ndcg@10": {"old": round(self.others_ndcg / n, 4), "new": round(self.ndcg / n, 4)},
        }

    def objection(self) -> str:
        """Why the new model must not take over; "" for nothing."""
        if self.chance >= LEAST_CHANCE:
            return ""
        return (
            f"of {self.events} events that came in, its lists held {self.hits} and those of the active model "
            f"{self.others}; chance does that once in {1 / self.chance:,.0f} times"
        )


NOTHING: Mapping[int, SideBySide] = MappingProxyType({})
"""By generation, of a replica that looks for nothing."""


def gain(rank: int | None) -> float:
    """Of NDCG@10, for the only event that is looked for."""
    return 1 / math.log2(1 + rank) if rank is not None and rank <= 10 else 0.0
