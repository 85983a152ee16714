"""Who resembles whom, of the users that were noted last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.core.crowd import Crowd

VECTORS = {"a": [1, 0], "b": [2, 1], "c": [0, 3], "d": [-1, 0], "e": [0, 0]}
steps = st.lists(st.tuples(st.sampled_from(["note", "forget"]), st.sampled_from("abcde")), max_size=30)


@given(plan=steps, user=st.sampled_from("abcde"), k=st.integers(1, 5))
def test_the_crowd_is_those_noted_last_and_not_forgotten_by_cosine(
    plan: list[tuple[str, str]], user: str, k: int
) -> None:
    crowd, places = Crowd(3), [""] * 3  # what a ring of three places holds
    turn = 0
    for what, one in plan:
        if what == "note":
            crowd.note(one, np.array(VECTORS[one], np.float32))
            if one not in places:
                places[turn], turn = one, (turn + 1) % 3
        else:
            crowd.forget([one])
            places = ["" if held == one else held for held in places]
    mine = np.array(VECTORS[user], np.float32)
    found = crowd.nearest(mine, k, user)
    cosine = {
        one: float(mine @ np.array(VECTORS[one])) / (np.linalg.norm(mine) * np.linalg.norm(VECTORS[one]))
        for one in places
        if one and one != user and np.any(VECTORS[one]) and np.any(mine)
    }
    alike = {one: value for one, value in cosine.items() if value > 0}
    assert len(found) == min(k, len(alike))
    assert all(abs(alike[one] - value) < 1e-6 for one, value in found)
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)
