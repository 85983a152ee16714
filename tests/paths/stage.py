"""A world with a described catalogue, a replica of it that is asked many times, and rules at random."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from service.core.filters import Match
from service.core.rules import Rules
from service.core.types import ItemChange
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.world import World

T = TypeVar("T")
NOW = 3_000
CATEGORIES, BRANDS, TAGS = ["shoes", "boots", "hats"], ["kestrel", "merlin"], ["vegan", "sale", "new"]
ITEMS = [f"item-{n}" for n in range(24)]


def documents() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(5)
    found: dict[str, dict[str, Any]] = {}
    for n, item_id in enumerate(ITEMS):
        fields: dict[str, Any] = {"item_id": item_id, "title": f"Item {n}"}
        if n % 6:
            fields["category"] = CATEGORIES[n % 3]
        if n % 5:
            fields["brand"] = BRANDS[n % 2]
            fields["price"] = float(n)
        fields["tags"] = [tag for tag in TAGS if rng.random() < 0.5]
        fields["attributes"] = {"size": n % 4, "colours": ["red", "green"][: n % 3], "wide": n % 2 == 0}
        found[item_id] = fields
    found[ITEMS[20]]["hidden"] = True
    found[ITEMS[21]]["available_until"] = NOW - 500
    found[ITEMS[22]]["deleted"] = True
    return found


DOCUMENTS = documents()
GONE = {ITEMS[20], ITEMS[21], ITEMS[22]}
SHOWABLE = [item_id for item_id in ITEMS if item_id not in GONE]


class Stage:
    """A world that was set up once, and a replica of it that is asked many times."""

    def __init__(self) -> None:
        self.world = World()
        rng = np.random.default_rng(3)
        self.world.put([ItemChange(i, json.dumps(DOCUMENTS[i]).encode(), available_from=100) for i in ITEMS])
        times = np.sort(rng.integers(1_000, NOW, 80)).tolist()
        self.world.post([(f"user-{rng.integers(4)}", ITEMS[rng.integers(12)], t) for t in times])
        self.world.post([("user-0", ITEMS[0], NOW)])
        self.loop = asyncio.new_event_loop()
        self._context = self.world.serving()
        self.serving: Serving = self.loop.run_until_complete(self._context.__aenter__())

    def run(self, action: Callable[[Serving], Awaitable[T]]) -> T:
        async def act() -> T:
            return await action(self.serving)

        return self.loop.run_until_complete(act())

    def ask(self, request: Request) -> Recommendation:
        return self.run(lambda serving: recommend(request, serving))

    def close(self) -> None:
        self.loop.run_until_complete(self._context.__aexit__(None, None, None))
        self.loop.close()

    def digest(self) -> str:
        state = self.world.state
        parts = (state.users, state.items, state.texts, state.documents, state.ids, state.position, state.feed_end)
        return sha256(repr(parts).encode()).hexdigest()


@contextmanager
def another_stage() -> Iterator[Stage]:
    found = Stage()
    try:
        yield found
    finally:
        found.close()


def bears(item_id: str, match: Match) -> bool:
    """The same conditions, item by item, from the documents."""
    fields = DOCUMENTS[item_id]
    price = fields.get("price")
    values = {
        name: {(type(one), one) for one in (value if isinstance(value, list) else [value])}
        for name, value in fields["attributes"].items()
    }
    return all(
        (
            not match.item_ids or item_id in match.item_ids,
            not match.category or fields.get("category") in match.category,
            not match.brand or fields.get("brand") in match.brand,
            not match.tags or set(match.tags) & set(fields["tags"]),
            set(match.all_tags) <= set(fields["tags"]),
            all(values[name] & {(type(one), one) for one in wanted} for name, wanted in match.attributes),
            match.min_price is None or (price is not None and price >= match.min_price),
            match.max_price is None or (price is not None and price <= match.max_price),
        )
    )


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


matches = st.builds(
    Match,
    item_ids=st.just(()) | some(ITEMS, 15),
    category=some([*CATEGORIES, "unheard of"]),
    brand=some(BRANDS),
    tags=some(TAGS),
    all_tags=some(TAGS),
    attributes=st.sampled_from(
        [(), (("size", (1, 2)),), (("colours", ("green",)),), (("wide", (True,)),), (("size", ("1",)),)]
    ),
    min_price=st.none() | st.sampled_from([0.0, 5.0]),
    max_price=st.none() | st.sampled_from([11.0, 40.0]),
)
narrow = matches.filter(lambda match: match != Match())
pins = st.lists(
    st.tuples(st.sampled_from([*ITEMS, "unheard-of"]), st.integers(1, 12)),
    max_size=4,
    unique_by=(lambda pin: pin[0], lambda pin: pin[1]),
).map(tuple)
rules = st.builds(
    Rules,
    only=st.just(Match()) | matches,
    include_ids=st.just(()) | some(ITEMS, 15),
    hide=st.lists(narrow, max_size=2).map(tuple),
    exclude_ids=some(ITEMS, 6),
    boosts=st.lists(st.tuples(narrow, st.sampled_from([0.1, 2.0, 50.0])), max_size=2).map(tuple),
    pins=pins,
    caps=some([("category", 1), ("brand", 2), ("category", 3)]).filter(lambda caps: len(dict(caps)) == len(caps)),
    diversity=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    exploration=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
    seed=st.integers(0, 5),
)


def permitted(asked: Rules) -> set[str]:
    """What may stand in the list without being pinned."""
    return {
        item_id
        for item_id in SHOWABLE
        if bears(item_id, asked.only)
        and (not asked.include_ids or item_id in asked.include_ids)
        and pinnable(item_id, asked)
    }


def pinnable(item_id: str, asked: Rules) -> bool:
    if item_id not in SHOWABLE or item_id in asked.exclude_ids:
        return False
    return not any(bears(item_id, match) for match in asked.hide)
