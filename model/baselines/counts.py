"""The baselines that only count, as entries of the comparison."""

from model.baselines.baseline import Entry, counting, grid
from model.baselines.decayed_popularity import DecayedPopularity
from model.baselines.own_frequency import OwnFrequency
from model.baselines.popularity import Popularity

POPULARITY = Entry(
    "popularity", counting(lambda events, _: Popularity(events.n_items)), search=({},), deterministic=True
)
POPULARITY_7D = Entry(
    "popularity-7d",
    counting(lambda events, setting: DecayedPopularity(events.n_items, setting["days"])),
    search=grid(days=(7,)),
    deterministic=True,
)
POPULARITY_DECAYED = Entry(
    "popularity-decayed",
    counting(lambda events, setting: DecayedPopularity(events.n_items, setting["days"])),
    search=grid(days=(7, 30, 1, 3, 14, 90)),
    deterministic=True,
)
OWN_FREQUENCY = Entry(
    "own-frequency",
    counting(lambda events, setting: OwnFrequency(events.n_users, events.n_items, **setting)),
    search=grid(days=(60, 20, 180), tail_days=(30, 7, 3)),
    deterministic=True,
)
