"""What the item index of one replica costs and finds, measured in this process on a made-up shop."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from model.process.records import NEVER, Float, counters_of
from service.adapters.bundle import load_bundle
from service.adapters.exact_index import ExactIndex
from service.adapters.ivf_index import DEPTH, IvfIndex
from service.commands import bench_catalogue, terminal
from service.commands.bench_catalogue import Shop
from service.core.types import FeedEntry, Position
from service.lists.reading import Known
from service.lists.scoring import Scored, score

_UPDATES = 1_000
_ASKED = 300


def measure(shop: Shop, bundle: Path) -> dict[str, float]:
    """recall_at_100: of lists by the index that the size asks for, against a search of every item, over users that it
    did not set itself up by; update_us: the median time for a moved item to be taken over; bytes_per_item."""
    model = load_bundle(bundle).model
    index = IvfIndex(model, at_once=False)
    terminal.say(f"index of {len(shop.item_ids):,} items")
    index.load(shop.item_ids, shop.items, Position(1, shop.now, shop.now // model.spec.item_tick))
    known = Known(shop.users, 0, np.zeros((len(shop.users), 4, model.spec.facet_dim), np.float32), (), ())
    scored = score(known, bench_catalogue.moments(shop), index, model)
    _finish_chores(index)
    for user in range(_ASKED, len(shop.users)):
        _search(index, scored, user)
    _finish_chores(index)
    recall = [_recall(index, scored, user) for user in range(_ASKED)]
    return {
        "recall_at_100": round(float(np.mean(recall)), 4),
        "update_us": round(1e6 * float(np.median(_updates(index, shop))), 1),
        "bytes_per_item": round(index.figures["bytes_per_item"], 1),
    }


def _finish_chores(index: IvfIndex) -> None:
    while (chore := index.chore()) is not None:
        chore.compute()
        chore.finish()


def _search(index: IvfIndex, scored: Scored, user: int) -> set[int]:
    found, _ = index.top_k(scored.queries[user], DEPTH, _own(scored, user), np.empty(0, np.int64))
    return set(found.tolist())


def _recall(index: IvfIndex, scored: Scored, user: int) -> float:
    nothing = np.empty(0, np.int64)
    true, _ = ExactIndex.top_k(index, scored.queries[user], DEPTH, _own(scored, user), nothing)
    return len(_search(index, scored, user) & set(true.tolist())) / len(true)


def _own(scored: Scored, user: int) -> tuple[np.ndarray, Float]:
    owner, item, addition = scored.additions
    return item[owner == user], addition[owner == user]


def _updates(index: IvfIndex, shop: Shop) -> list[float]:
    """Seconds of feed entries that move one item each."""
    rng, found = np.random.default_rng(1), []
    for step, item in enumerate(rng.integers(0, len(shop.item_ids), _UPDATES).tolist()):
        counters = counters_of(shop.items[item : item + 1], index.spec)
        counters["offset"] = step + 2
        vector = index.vectors[item : item + 1] * np.float32(1.01)
        place = np.array([item], np.uint32)
        position = Position(step + 2, NEVER, index.position.tick, len(shop.item_ids))
        entry = FeedEntry(position, (), place, counters, place, vector)
        begun = time.perf_counter()
        index.apply(entry)
        found.append(time.perf_counter() - begun)
    return found
