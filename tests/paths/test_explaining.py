"""Reasons: their parts are the score, and each is what the score loses without what it names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.rules import Rules
from service.lists.explaining import Reason
from service.lists.what_if import WhatIf
from service.request_path import Request
from tests.paths.stage import ITEMS, NOW, Stage, rules

TOLERANCE = 1e-4
"""Of sums of float32 products in another order; the scores are of the order of 1."""


def total(reason: Reason) -> float:
    single = (reason.popularity, reason.again, reason.boost, reason.anyone, reason.memory, reason.rest)
    return sum(single) + sum(reason.facets.values()) + sum(reason.items.values())


@settings(max_examples=60, deadline=None)
@given(
    asked=st.none() | rules,
    user=st.sampled_from(["user-0", "user-3", "stranger", None]),
    after=st.integers(0, 10**7),
    disliked=st.booleans(),
)
def test_the_parts_of_a_reason_add_up_to_the_score(
    stage: Stage, asked: Rules | None, user: str | None, after: int, disliked: bool
) -> None:
    imagined = (WhatIf(ITEMS[3], "dislike" if disliked else "view", NOW),)
    at = NOW + after
    found = stage.ask(Request(user, k=12, at=at, explain=True, rules=asked, events=imagined))
    assert len(found.reasons) == len(found.item_ids)
    for score, reason in zip(found.scores, found.reasons, strict=True):
        assert total(reason) == pytest.approx(score, abs=TOLERANCE, rel=TOLERANCE)


def test_of_a_user_of_whom_nothing_is_known_only_popularity_and_what_anyone_gets_is_left(stage: Stage) -> None:
    found = stage.ask(Request("stranger", k=12, explain=True))
    assert found.reasons
    for reason in found.reasons:
        assert (reason.again, reason.boost, reason.facets, reason.items) == (0.0, 0.0, {}, {})
        assert abs(reason.memory) + abs(reason.rest) <= TOLERANCE


def test_what_an_item_carries_is_what_the_score_loses_without_its_events(stage: Stage) -> None:
    """By hand: the toy model adds the neighbours' vectors to h, divided by 1 + seconds since the last event / 1e6."""
    seen = tuple(WhatIf(item, "view", NOW) for item in (ITEMS[1], ITEMS[8]))
    found = stage.ask(Request(None, k=30, at=NOW + 10, explain=True, events=seen))
    vectors = stage.serving.replica.index.vectors
    for item_id, reason in zip(found.item_ids, found.reasons, strict=True):
        own = vectors[ITEMS.index(item_id)]
        lost = {event.item_id: float(vectors[ITEMS.index(event.item_id)] @ own) / (1 + 10 / 1e6) for event in seen}
        assert dict(reason.items) == pytest.approx({name: share for name, share in lost.items() if share > 0})
    assert any(reason.items for reason in found.reasons)


def test_a_list_by_counts_has_no_reasons(stage: Stage) -> None:
    assert stage.ask(Request("user-0", k=5)).reasons == ()
