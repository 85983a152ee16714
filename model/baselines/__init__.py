"""Baselines: one small class a file.

baseline      what a model of the comparison is                  counts     entries of those that only count
popularity, decayed_popularity, own_frequency                    item_knn, ease (over item_to_item), ials
user_events   live history of those with fixed parameters        tail       what they give a user without history

Here by name: those that only count, each a `Scorer` of `model.evaluate`. All of them: `model.compare.lineup`.
"""

from collections.abc import Callable, Mapping

from model.baselines.decayed_popularity import DecayedPopularity
from model.baselines.own_frequency import OwnFrequency
from model.baselines.popularity import Popularity

Baseline = Popularity | DecayedPopularity | OwnFrequency

BASELINES: Mapping[str, Callable[[int, int], Baseline]] = {
    "popularity": lambda _users, items: Popularity(items),
    "popularity-7d": lambda _users, items: DecayedPopularity(items, days=7),
    "popularity-30d": lambda _users, items: DecayedPopularity(items, days=30),
    "own-frequency-60d": lambda users, items: OwnFrequency(users, items, days=60, tail_days=30),
}
"""Makers by name, from the numbers of users and items; what they make has seen no event yet."""

__all__ = ["BASELINES", "Baseline", "DecayedPopularity", "OwnFrequency", "Popularity"]
