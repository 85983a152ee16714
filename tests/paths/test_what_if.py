"""What ifs, guests and dislikes: the lists that the events would give, and nothing written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.rules import Rules
from service.errors import MomentPassed
from service.lists.what_if import WhatIf
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.stage import ITEMS, NOW, Stage, another_stage
from tests.paths.world import frozen

events = st.lists(
    st.builds(
        WhatIf,
        item_id=st.sampled_from([*ITEMS, "unheard-of"]),
        type=st.sampled_from(["view", "purchase", "dislike", "my_own"]),
        timestamp=st.integers(NOW, NOW + 300),
        value=st.sampled_from([0.0, 3.0]),
    ),
    max_size=5,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(imagined=events, user=st.sampled_from(["user-0", "stranger", None]), at=st.sampled_from([None, NOW + 300]))
def test_what_ifs_and_moments_write_nothing(
    stage: Stage, imagined: tuple[WhatIf, ...], user: str | None, at: int | None
) -> None:
    before, index = stage.digest(), stage.serving.replica.index
    rows = (index.vectors.tobytes(), index.counters.tobytes(), index.position)
    found = stage.ask(Request(user, at=at, events=imagined, rules=Rules(exploration=0.2)))
    assert found.strategy == "model"
    assert stage.digest() == before
    assert (index.vectors.tobytes(), index.counters.tobytes(), index.position) == rows


@pytest.mark.parametrize("start", [NOW + 50, NOW - 250])
@pytest.mark.parametrize("user", ["user-0", "newcomer"])
def test_what_ifs_give_the_memory_that_the_same_events_would(user: str, start: int) -> None:
    """The list after posting differs only by what the events did to items: so the items are read from one replica."""
    rows = [(user, ITEMS[7], start), (user, ITEMS[3], start), (user, ITEMS[7], start + 170)]
    imagined = tuple(WhatIf(item, "purchase", at, 1.0) for _, item, at in rows)
    request = Request(user, k=30, at=NOW + 400)

    async def after_posting(serving: Serving) -> Recommendation:
        before = frozen(serving)
        stage.world.post(rows)
        return await recommend(request, before)

    with another_stage() as stage:
        guessed = stage.ask(Request(user, k=30, at=NOW + 400, events=imagined))
        assert guessed.events_seen == stage.ask(request).events_seen + len(rows)
        posted = stage.run(after_posting)
    assert guessed.item_ids == posted.item_ids
    assert guessed.scores == posted.scores
    assert guessed.last_event_at == posted.last_event_at


def test_a_guests_events_make_their_list(stage: Stage) -> None:
    first, other = (
        stage.ask(Request(None, k=30, at=NOW + 10, events=(WhatIf(item, "view", NOW),)))
        for item in (ITEMS[1], ITEMS[8])
    )
    assert (first.events_seen, first.strategy) == (1, "model")
    assert first.scores != other.scores


def test_a_moment_before_the_last_what_if_is_refused(stage: Stage) -> None:
    with pytest.raises(MomentPassed):
        stage.ask(Request("user-0", at=NOW + 10, events=(WhatIf(ITEMS[1], "view", NOW + 11),)))


def test_a_disliked_item_leaves_the_list_and_takes_its_like_down() -> None:
    with another_stage() as stage:
        index = stage.serving.replica.index
        bad = ITEMS[4]
        place = index.find(bad)
        assert place is not None
        units = index.vectors / np.maximum(np.linalg.norm(index.vectors, axis=1, keepdims=True), 1e-9)
        likeness = units @ units[place]

        def after(kind: str) -> dict[str, float]:
            found = stage.ask(Request("user-0", k=30, at=NOW + 20, events=(WhatIf(bad, kind, NOW + 10),)))
            return dict(zip(found.item_ids, found.scores, strict=True))

        liked, disliked, forgiven = after("like"), after("dislike"), None
        assert bad in liked
        assert bad not in disliked
        fall = {item_id: liked[item_id] - disliked[item_id] for item_id in disliked}
        lengths = np.linalg.norm(index.vectors, axis=1)
        pushed = [fall[ITEMS[n]] for n in range(24) if ITEMS[n] in fall and lengths[n] > 0 and likeness[n] > 0.9]
        assert pushed
        assert min(pushed) > 0
        events = (WhatIf(bad, "dislike", NOW + 10), WhatIf(bad, "purchase", NOW + 15))
        forgiven = stage.ask(Request("user-0", k=30, at=NOW + 20, events=events))
        assert bad in forgiven.item_ids
        kept = stage.ask(Request("user-0", k=30, at=NOW + 20, disliked=True, events=events[:1]))
        assert bad in kept.item_ids
