"""Fitting entries of the comparison on small streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.baselines.baseline import Entry, Job
from model.data import Dataset
from model.evaluate import Scorer
from model.metrics import Score
from tests.modules.streams import stream


def fitted(entry: Entry, events: Dataset, rounds: int = 1, seed: int = 0, **changes: object) -> Scorer:
    """After some rounds, without history."""
    job = Job(dict(entry.search[0]) | changes, seed, lambda _: None, Path())
    *_, last = (found for found, _ in zip(entry.fit(events, job), range(rounds), strict=False))
    return last.scorer()


def scores(scorer: Scorer, users: list[int], at: int) -> Score:
    """(B, N) of users at one moment."""
    return np.asarray(scorer.score(np.array(users), np.full(len(users), at)))


def two_camps(events: int = 1_200, users: int = 20, items: int = 20) -> Dataset:
    """Even users take even items, odd users odd ones; the last item and the last user have no event."""
    rng = np.random.default_rng(0)
    user = rng.integers(users - 1, size=events)
    item = rng.integers((items - 1) // 2, size=events) * 2 + user % 2
    times = np.arange(events) * 900
    return stream(list(zip(user.tolist(), item.tolist(), times.tolist(), strict=True)), users, items)


def own_camp_leads(scorer: Scorer, events: Dataset) -> float:
    """Share of pairs (item of the own camp, item of the other) that are ranked right; 0.5 without learning."""
    found = scores(scorer, list(range(events.n_users - 1)), int(events.timestamp[-1]) + 900)[:, : events.n_items - 2]
    right = []
    for user, row in enumerate(found):
        own, other = row[user % 2 :: 2], row[1 - user % 2 :: 2]
        right.append((own[:, None] > other[None, :]).mean())
    return float(np.mean(right))
