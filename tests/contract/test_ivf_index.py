"""What an index of inverted lists promises: the exact index's answers where it reads all lists, and otherwise no less
than it says, while items move, come, and are hidden."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.records import Float, Int, new_items
from model.spec import DAY
from service.adapters.exact_index import ExactIndex
from service.adapters.ivf_index import DEPTH, RECALL, IvfIndex, Measuring
from service.core.types import FeedEntry, Position
from tests.contract.publisher import Publisher
from tests.contract.test_item_index import NO_ADDITIONS, NO_ITEMS, Plan, run, steps
from tests.process.toy import TOY_SPEC, ToyModel

WIDTH = TOY_SPEC.dim + TOY_SPEC.popularity_dim
MANY = 4_000


def finish_chores(index: ExactIndex) -> None:
    while (chore := index.chore()) is not None:
        chore.compute()
        chore.finish()


def read_all_lists(index: IvfIndex) -> None:
    if index._lists is not None:
        index._lists.probes = len(index._lists.centres)


@settings(max_examples=120, deadline=None)
@given(plan=steps, data=st.data())
def test_reading_all_lists_gives_the_exact_answer_while_items_move(plan: Plan, data: st.DataObject) -> None:
    """Lists are made while entries are applied: before, between and after."""
    exact, lists = ExactIndex(ToyModel()), IvfIndex(ToyModel(), least=1)
    rng = np.random.default_rng(7)
    chore = None
    for moment in run(plan):
        if chore is None and data.draw(st.booleans()):
            chore = lists.chore()
            if chore is not None and data.draw(st.booleans()):
                chore.compute()
        exact.apply(moment.entry)
        lists.apply(moment.entry)
        if chore is not None and data.draw(st.booleans()):
            chore.compute()
            chore.finish()
            chore = None
        read_all_lists(lists)
        count = len(exact.ids)
        query = rng.normal(size=WIDTH).astype(np.float32)
        own = np.unique(rng.integers(0, count + 2, 3))
        additions = own, rng.normal(size=len(own)).astype(np.float32)
        exclude = rng.integers(0, count + 2, 2)
        allowed = rng.random(count) < 0.7 if data.draw(st.booleans()) else None
        for k in (1, count):
            expected, scores = exact.top_k(query, k, additions, exclude, allowed)
            found, values = lists.top_k(query, k, additions, exclude, allowed)
            assert found.tolist() == expected.tolist()
            np.testing.assert_allclose(values, scores, rtol=1e-5, atol=1e-5)  # sums in another order


def catalogue(count: int = MANY) -> tuple[list[str], np.ndarray]:
    """Items in some hundred clumps, of lengths from 0.3 to 3."""
    rng = np.random.default_rng(11)
    clumps = rng.normal(size=(100, TOY_SPEC.dim))
    vectors = clumps[rng.integers(0, 100, count)] + 0.2 * rng.normal(size=(count, TOY_SPEC.dim))
    vectors *= rng.uniform(0.3, 3.0, (count, 1))
    items = new_items(count, TOY_SPEC, ToyModel().initial_item)
    items["x"], items["m"] = vectors[:, : TOY_SPEC.static_dim], vectors[:, TOY_SPEC.static_dim :]
    items["available_from"] = 0
    return [f"item-{n}" for n in range(count)], items


def filled(least: int = 1, at_once: bool = True) -> tuple[ExactIndex, IvfIndex]:
    ids, items = catalogue()
    position = Position(1, 1_000, 10, len(ids))
    exact, lists = ExactIndex(ToyModel()), IvfIndex(ToyModel(), at_once, least)
    for index in (exact, lists):
        index.load(ids, items.copy(), position)
    return exact, lists


def queries(count: int = 100) -> Float:
    return np.random.default_rng(13).normal(size=(count, WIDTH)).astype(np.float32)


def recall(exact: ExactIndex, lists: IvfIndex, allowed: np.ndarray | None = None) -> float:
    hits = []
    for query in queries():
        true, _ = exact.top_k(query, DEPTH, NO_ADDITIONS, NO_ITEMS, allowed)
        found, _ = lists.top_k(query, DEPTH, NO_ADDITIONS, NO_ITEMS, allowed)
        assert len(found) == len(true)
        hits.append(np.isin(true, found).mean())
    return float(np.mean(hits))


def test_recall_is_measured_on_what_is_asked_and_lists_are_read_until_it_is_enough() -> None:
    exact, lists = filled()
    finish_chores(lists)  # nothing was asked yet
    assert lists._lists is not None
    lists._lists.probes = 5  # about 160 items
    poor = recall(exact, lists)
    assert poor < RECALL
    lists._searches += 10_000
    finish_chores(lists)
    figures = lists.figures
    assert figures["recall"] >= RECALL
    assert figures["lists_read"] < 0.5
    assert recall(exact, lists) >= RECALL - 0.01  # other queries than those that were measured


def test_items_that_move_while_recall_is_measured_do_not_count_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them move after each look at the truth, as popular ones do between two looks."""
    exact, lists = filled()
    finish_chores(lists)
    recall(exact, lists)  # asks
    rng = np.random.default_rng(17)
    truth, moment = lists.truth, iter(range(100, 10_000))

    def moving(query: Float) -> Int:
        found = truth(query)
        lists.apply(moved(np.arange(MANY), rng.normal(size=(MANY, TOY_SPEC.dim)).astype(np.float32), next(moment)))
        return found

    monkeypatch.setattr(lists, "truth", moving)
    chore = lists.chore()
    assert isinstance(chore, Measuring)
    chore.queries = chore.queries[:1]  # once moved, items lie in lists that say nothing of them
    chore.compute()
    chore.finish()
    assert lists.figures["recall"] >= RECALL
    assert lists.figures["lists_read"] < 0.5


def test_up_to_the_least_items_all_are_searched() -> None:
    exact, lists = filled(least=MANY + 1)
    finish_chores(lists)
    assert lists.figures["lists_read"] == 1.0
    assert recall(exact, lists) == 1.0
    assert filled(least=MANY)[1].chore() is not None


@pytest.mark.parametrize("share", [0.9, 0.3, 0.05, 0.001])
def test_conditions_leak_nothing_and_leave_k_items_wherever_there_are_k(share: float) -> None:
    exact, lists = filled()
    finish_chores(lists)
    recall(exact, lists)
    finish_chores(lists)  # measures
    allowed = np.random.default_rng(3).random(MANY) < share
    for query in queries(30):
        found, _ = lists.top_k(query, DEPTH, NO_ADDITIONS, NO_ITEMS, allowed)
        assert allowed[found].all()
        assert len(found) == min(DEPTH, int(allowed.sum()))
    assert recall(exact, lists, allowed) >= 0.97


def moved(index: Int, vectors: Float, offset: int) -> FeedEntry:
    nothing = Publisher(1).step(1, [], {}).entry
    return replace(
        nothing,
        position=Position(offset, 1_000, 10, MANY),
        new_items=(),
        counter_index=nothing.counter_index[:0],
        counters=nothing.counters[:0],
        vector_index=index.astype(np.uint32),
        vectors=vectors,
    )


def test_a_row_written_while_lists_are_made_is_searched_as_it_is_now() -> None:
    """In a real thread: half of all items move while lists are made of them."""
    exact, lists = filled()
    rng = np.random.default_rng(5)
    for offset in range(2, 5):
        chore = lists.chore()
        assert chore is not None
        thread = threading.Thread(target=chore.compute)
        thread.start()
        for step in range(40):
            index = np.unique(rng.integers(0, MANY, 60))
            entry = moved(index, rng.normal(size=(len(index), TOY_SPEC.dim)).astype(np.float32), 100 * offset + step)
            exact.apply(entry)
            lists.apply(entry)
            assert recall_of_one(exact, lists, queries(1)[0]) >= 0.0  # searches go on
        thread.join()
        chore.finish()
        read_all_lists(lists)
        assert recall(exact, lists) == 1.0


def recall_of_one(exact: ExactIndex, lists: IvfIndex, query: Float) -> float:
    true, _ = exact.top_k(query, DEPTH, NO_ADDITIONS, NO_ITEMS)
    found, _ = lists.top_k(query, DEPTH, NO_ADDITIONS, NO_ITEMS)
    return float(np.isin(true, found).mean())


@settings(max_examples=60, deadline=None)
@given(plan=steps, later=st.integers(0, 40 * DAY), data=st.data())
def test_popularity_that_chores_compute_is_that_of_the_same_time_at_once(
    plan: Plan, later: int, data: st.DataObject
) -> None:
    at_once, beside = ExactIndex(ToyModel()), ExactIndex(ToyModel(), at_once=False)
    chore = None
    for moment in run(plan):
        chore = chore or beside.chore()
        if chore is not None and data.draw(st.booleans()):
            chore.compute()
        at_once.apply(moment.entry)
        beside.apply(moment.entry)
        if chore is not None and data.draw(st.booleans()):
            chore.compute()
            chore.finish()
            chore = None
    for index in (at_once, beside):
        index.advance(index.position.log_time + later)
    if chore is not None:  # begun before the time moved: too old to be taken over, where it makes a difference
        chore.compute()
        chore.finish()
    finish_chores(beside)
    assert beside.available.tolist() == at_once.available.tolist()
    for query in queries(3):
        expected, scores = at_once.top_k(query, 30, NO_ADDITIONS, NO_ITEMS)
        found, values = beside.top_k(query, 30, NO_ADDITIONS, NO_ITEMS)
        assert found.tolist() == expected.tolist()
        np.testing.assert_allclose(values, scores, rtol=1e-5, atol=1e-5)  # sums in another order
