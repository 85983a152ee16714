"""What rules promise: filters leak nothing, pages never repeat, pins and caps hold, in one list and in many."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.exact_index import ExactIndex
from service.batch_path import SEARCHES, recommend_many
from service.core.cursors import CursorRefused, Served, nothing_served, read, sign
from service.core.filters import Match
from service.core.rules import Rules
from service.core.types import Erase, ItemChange
from service.request_path import Request
from tests.paths.stage import (
    DOCUMENTS,
    ITEMS,
    NOW,
    SHOWABLE,
    Stage,
    another_stage,
    permitted,
    pinnable,
    rules,
)

searches = st.builds(
    replace, rules, pins=st.just(()), caps=st.just(()), diversity=st.just(0.0), exploration=st.just(0.0)
)
"""Rules that ask nothing of the list as a whole."""


@pytest.fixture(scope="module")
def disliking() -> Iterator[Stage]:
    """With somebody who dislikes an item."""
    with another_stage() as found:
        found.world.post([("hater", ITEMS[4], NOW + 5)], "dislike")
        found.ask(Request("hater", min_offset=found.world.writer.position.offset))
        yield found


@settings(max_examples=120, deadline=None)
@given(asked=rules, k=st.integers(1, 30), user=st.sampled_from(["user-0", "user-3", "stranger", None]))
def test_filters_never_leak_and_pins_and_caps_hold(stage: Stage, asked: Rules, k: int, user: str | None) -> None:
    found = stage.ask(Request(user, k=k, rules=asked))
    ids = found.item_ids
    assert len(ids) == len(set(ids)) == len(found.scores) <= k
    organic = [item_id for item_id in ids if item_id not in found.pinned]
    assert set(organic) <= permitted(asked) - {item_id for item_id, _ in asked.pins}
    ranked = sorted((rank, item_id) for item_id, rank in asked.pins if rank <= k and pinnable(item_id, asked))
    assert found.pinned == {item_id for _, item_id in ranked}
    for behind, (rank, item_id) in enumerate(reversed(ranked)):
        assert ids[min(rank - 1, len(ids) - 1 - behind)] == item_id or len(ids) < k
    for field, most in asked.caps:
        kinds = Counter(DOCUMENTS[item_id].get(field) for item_id in organic)
        kinds.pop(None, None)
        assert all(count <= most for count in kinds.values())
    left = permitted(asked) - {item_id for item_id, _ in asked.pins}
    if len(asked.caps) < 2:  # wherever there are k, k come back
        assert len(ids) == min(k, len(ranked) + room(left, found.pinned, dict(asked.caps)))


def room(left: set[str], pinned: frozenset[str], caps: dict[str, int]) -> int:
    """How many of `left` one cap lets in, beside the pinned."""
    for field, most in caps.items():
        kinds, held = (Counter(DOCUMENTS[i].get(field) for i in some) for some in (left, pinned))
        return kinds.pop(None, 0) + sum(min(count, max(0, most - held[kind])) for kind, count in kinds.items())
    return len(left)


@settings(max_examples=60, deadline=None)
@given(asked=rules, k=st.integers(1, 7), user=st.sampled_from(["user-0", None]))
def test_pages_never_repeat_and_together_are_the_whole(stage: Stage, asked: Rules, k: int, user: str | None) -> None:
    served, shown, key = nothing_served(), list[str](), b"key"
    for _ in range(30):
        found = stage.ask(Request(user, k=k, rules=asked, served=served))
        shown += found.item_ids
        served = read(sign(found.served, user or "", key), user or "", key)
        if not found.item_ids:
            break
    assert len(shown) == len(set(shown))
    late = {item_id for item_id, _ in asked.pins}
    if not asked.caps and not asked.pins:
        assert set(shown) == permitted(asked)
    assert set(shown) - late <= permitted(asked)


def test_a_cursor_belongs_to_its_user_and_cannot_be_made_up(stage: Stage) -> None:
    served = stage.ask(Request("user-0", k=3, rules=Rules())).served
    cursor = sign(served, "user-0", b"key")
    assert np.array_equal(read(cursor, "user-0", b"key"), served)
    for text, owner, key in [(cursor, "user-1", b"key"), (cursor, "user-0", b"other"), (cursor[:-4], "user-0", b"key")]:
        with pytest.raises(CursorRefused):
            read(text, owner, key)
    for text in ("", "A", "AAAA", "ä"):
        with pytest.raises(CursorRefused):
            read(text, "user-0", b"key")


def test_a_cursor_of_a_catalogue_in_another_order_is_refused_and_unknown_items_are_passed_over(stage: Stage) -> None:
    served = stage.ask(Request("user-0", k=3, rules=Rules())).served
    other: Served = served.copy()
    other["index"] = np.roll(served["index"], 1)
    with pytest.raises(CursorRefused, match="rebuilt"):
        stage.ask(Request("user-0", rules=Rules(), served=other))
    ahead: Served = served.copy()
    ahead["index"] += len(ITEMS)
    assert len(stage.ask(Request("user-0", k=30, rules=Rules(), served=ahead)).item_ids) == len(SHOWABLE)


def test_rules_that_ask_for_nothing_give_the_plain_list(stage: Stage) -> None:
    plain, ruled = (stage.ask(Request("user-1", k=9, rules=asked)) for asked in (None, Rules()))
    assert (ruled.item_ids, ruled.scores) == (plain.item_ids, plain.scores)


def test_a_boost_adds_the_log_of_its_factor(stage: Stage) -> None:
    def scores(asked: Rules) -> dict[str, float]:
        found = stage.ask(Request("user-1", k=30, rules=asked))
        return dict(zip(found.item_ids, found.scores, strict=True))

    plain = scores(Rules())
    boosted = scores(Rules(boosts=((Match(brand=("merlin",)), 2.0), (Match(category=("hats",)), 0.5))))
    for item_id, score in plain.items():
        factor = (2.0 if DOCUMENTS[item_id].get("brand") == "merlin" else 1.0) * (
            0.5 if DOCUMENTS[item_id].get("category") == "hats" else 1.0
        )
        assert boosted[item_id] == pytest.approx(score + np.log(factor), abs=1e-4)


def test_the_same_seed_explores_the_same_and_marks_it(stage: Stage) -> None:
    def explored(seed: int, share: float) -> tuple[list[str], frozenset[str]]:
        found = stage.ask(Request("user-1", k=10, rules=Rules(exploration=share, seed=seed)))
        return found.item_ids, found.explored

    assert explored(1, 0.3) == explored(1, 0.3)
    assert len({explored(seed, 0.3)[0][0] for seed in range(20)} | {str(explored(2, 0.3))}) > 1
    assert [len(explored(seed, 1.0)[1]) for seed in range(5)] == [10] * 5
    shares = [len(explored(seed, 0.25)[1]) for seed in range(100)]
    assert set(shares) <= {2, 3}  # a quarter of ten
    assert 2.3 < np.mean(shares) < 2.7
    drawn = Counter(item_id for seed in range(200) for item_id in explored(seed, 0.2)[1])
    assert set(drawn) == set(SHOWABLE)  # everything has its chance
    assert max(drawn.values()) < 3 * min(drawn.values())


def test_diversity_trades_likeness_for_score(stage: Stage) -> None:
    index = stage.serving.replica.index
    units = index.vectors / np.maximum(np.linalg.norm(index.vectors, axis=1, keepdims=True), 1e-9)

    def likeness(dial: float) -> float:
        ids = stage.ask(Request("user-2", k=6, rules=Rules(diversity=dial))).item_ids
        rows = units[[index.find(item_id) for item_id in ids]]
        return float((rows @ rows.T)[np.triu_indices(len(ids), 1)].mean())

    assert likeness(0.0) > likeness(0.5) >= likeness(1.0) - 0.05


def test_seen_items_are_left_out_always_for_a_time_or_never(stage: Stage) -> None:
    def shown(**seen: Any) -> set[str]:
        return set(stage.ask(Request("user-0", k=30, at=NOW + 100, rules=Rules(), **seen)).item_ids)

    assert shown() == set(SHOWABLE)
    always = set(SHOWABLE) - shown(exclude_seen=True)
    lately = set(SHOWABLE) - shown(exclude_seen=True, seen_within=100)
    assert lately == {ITEMS[0]}  # bought at NOW
    assert lately < always


def test_age_is_judged_by_release_or_first_event(stage: Stage) -> None:
    everything = stage.ask(Request("user-0", k=30, rules=Rules(only=Match(max_age=NOW - 100)))).item_ids
    assert set(everything) == set(SHOWABLE)
    assert stage.ask(Request("user-0", k=30, rules=Rules(only=Match(max_age=NOW - 101)))).item_ids == []


def test_rules_hold_when_the_state_store_is_down(stage: Stage) -> None:
    asked = Rules(only=Match(category=("hats",)), exclude_ids=(ITEMS[2],), caps=(("brand", 1),))
    stage.world.active.down = True
    try:
        found = stage.ask(Request("user-0", k=30, rules=asked))
        many = stage.run(lambda serving: recommend_many(["user-0", "x"], Request(None, k=30, rules=asked), serving))
    finally:
        stage.world.active.down = False
    assert found.strategy == "fallback"
    assert [one.item_ids for one in many] == [found.item_ids] * 2
    assert set(found.item_ids) <= permitted(asked)
    assert found.item_ids


@settings(max_examples=40, deadline=None)
@given(asked=rules, k=st.integers(1, 12), seen=st.booleans())
def test_a_batch_gives_each_user_the_list_of_a_single_request(stage: Stage, asked: Rules, k: int, seen: bool) -> None:
    users = ["user-0", "stranger", "user-2", "user-0"]
    template = Request(None, k=k, exclude_seen=seen, rules=asked)
    many = stage.run(lambda serving: recommend_many(users, template, serving))
    for user, one in zip(users, many, strict=True):
        alone = stage.ask(Request(user, k=k, exclude_seen=seen, rules=asked))
        assert (one.strategy, one.events_seen, one.last_event_at) == ("model", alone.events_seen, alone.last_event_at)
        # a row alone and among others is rounded otherwise: ties may change places, scores may not move
        np.testing.assert_allclose(one.scores, alone.scores, rtol=1e-4, atol=1e-4)
        assert one.pinned == alone.pinned
        assert one.explored == alone.explored


@settings(max_examples=40, deadline=None)
@given(asked=st.none() | searches, k=st.integers(1, 30), seen=st.sampled_from([None, 0, 150, 10_000]))
def test_a_batch_that_is_found_at_once_leaves_out_what_each_user_s_own_list_does(
    disliking: Stage, asked: Rules | None, k: int, seen: int | None
) -> None:
    """Also what they dislike, whatever a boost says of it."""
    users = ["user-0", "stranger", "user-2", "hater"]
    request = Request(None, k=k, at=NOW + 100, exclude_seen=seen is not None, seen_within=seen, rules=asked)
    many = disliking.run(lambda serving: recommend_many(users, request, serving))
    for user, one in zip(users, many, strict=True):
        alone = disliking.ask(replace(request, user_id=user))
        np.testing.assert_allclose(one.scores, alone.scores, rtol=1e-4, atol=1e-4)  # ties may change places
        assert len(one.item_ids) == len(set(one.item_ids))
        if k == 30:
            assert set(one.item_ids) == set(alone.item_ids)
    assert ITEMS[4] not in many[3].item_ids


def test_a_batch_searches_for_each_user_where_a_search_looks_at_few_items(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a pass over all items")

    monkeypatch.setattr(ExactIndex, "looks_at_all", property(lambda _: False))
    monkeypatch.setattr(ExactIndex, "score_many", refuse)
    users = [f"user-{n % 4}" for n in range(2 * SEARCHES + 1)]
    for asked in (None, Rules(only=Match(brand=("merlin",)))):
        request = Request(None, k=5, rules=asked)
        many = stage.run(partial(recommend_many, users, request))
        alone = {user: stage.ask(replace(request, user_id=user)) for user in users}
        assert [one.item_ids for one in many] == [alone[user].item_ids for user in users]


def test_hiding_and_describing_an_item_shows_in_the_next_list() -> None:
    with another_stage() as stage:
        hats = Rules(only=Match(category=("hats",)))

        def change(document: dict[str, Any]) -> list[str]:
            offset = stage.world.put([ItemChange(ITEMS[2], json.dumps(document).encode(), available_from=100)])
            return stage.ask(Request("user-0", k=30, rules=hats, min_offset=offset)).item_ids

        assert ITEMS[2] in change({"category": "hats"})
        assert ITEMS[2] not in change({"category": "hats", "hidden": True})
        assert ITEMS[2] in change({"category": "hats", "available_until": NOW + 1})
        assert ITEMS[2] not in change({"category": "hats", "available_until": NOW})
        assert ITEMS[2] not in change({"category": "shoes"})
        stage.world.post([("user-1", ITEMS[2], NOW + 5)])
        assert ITEMS[2] in change({"category": "hats"})


def test_an_erased_user_is_a_stranger(stage: Stage) -> None:
    with another_stage() as other:
        offset = other.world.mark(Erase("user-0"))
        found = other.ask(Request("user-0", k=30, rules=Rules(), exclude_seen=True, min_offset=offset))
        assert (set(found.item_ids), found.events_seen) == (set(SHOWABLE), 0)
