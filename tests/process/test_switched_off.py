"""Users who are switched off: their events move the popularity of items, and nobody can tell whose they were."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.records import SWITCHED_OFF
from model.process.state import State
from model.spec import ModelSpec
from tests.process.test_apply import assert_same, events_lists, make_events, make_state
from tests.process.toy import TOY_SPEC

Row = tuple[int, int, int]
COUNTED = ("popularity", "events", "first_event", "pop_time")
OFF = [1, 3]


def switched(spec: ModelSpec = TOY_SPEC) -> State:
    state = make_state(spec)
    state.users["flags"][OFF] |= SWITCHED_OFF
    return state


@settings(max_examples=150, deadline=None)
@given(rows=events_lists, data=st.data())
def test_batch_boundaries_and_order_inside_a_timestamp_do_not_matter(rows: list[Row], data: st.DataObject) -> None:
    rows = sorted(((u, i, t // 40 * 40) for u, i, t in rows), key=lambda row: row[2])
    shuffled = sorted(data.draw(st.permutations(rows)), key=lambda row: row[2])
    spec = TOY_SPEC.model_copy(update={"max_pairs": data.draw(st.sampled_from([2, 4_096]))})
    whole, parts = switched(spec), switched(spec)
    whole.apply(make_events(rows))
    done = 0
    while done < len(rows):
        size = data.draw(st.integers(1, len(rows) - done))
        parts.apply(make_events(shuffled[done : done + size], done + 1))
        done += size
    assert_same(whole, parts)


@settings(max_examples=150, deadline=None)
@given(rows=events_lists)
def test_their_events_move_popularity_and_nothing_else(rows: list[Row]) -> None:
    rows.sort(key=lambda row: row[2])  # so that the log's time at an event is the event's own, with or without them
    state, without, everybody = switched(), switched(), make_state()
    before = state.users[OFF].tobytes()
    state.apply(make_events(rows))
    everybody.apply(make_events(rows))
    if others := [row for row in rows if row[0] not in OFF]:
        without.apply(make_events(others))
    assert state.users[OFF].tobytes() == before
    assert [len(state.pairs[user]) for user in OFF] == [0, 0]
    for name in state.items.dtype.names or ():
        if name != "offset":
            expected = everybody if name in COUNTED else without
            np.testing.assert_allclose(state.items[name], expected.items[name], rtol=2e-5, atol=2e-6, err_msg=name)
    assert state.log_time == everybody.log_time == rows[-1][2]


def test_replicas_take_over_the_counters_that_they_moved() -> None:
    state = switched()
    state.apply(make_events([(OFF[0], 2, 1_000)], first_offset=7))
    assert state.items["offset"][2] == 7


def test_a_user_who_is_switched_off_scores_like_one_who_is_unknown() -> None:
    state = switched()
    state.apply(make_events([(0, 1, 1_000), (OFF[0], 2, 1_010), (OFF[0], 2, 1_250)]))
    off, unknown = state.score(np.array([OFF[0], 2]), np.array([2_000, 2_000]))
    np.testing.assert_array_equal(off, unknown)
