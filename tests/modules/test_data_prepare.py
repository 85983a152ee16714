"""Preparation and split on hand-made streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data import Dataset, ItemTable, MissingDataError, prepare, scored_rows, split


def stream(*events: tuple[str, str, int]) -> Dataset:
    users = sorted({user for user, _, _ in events})
    items = sorted({item for _, item, _ in events})
    table = ItemTable.empty(len(items))
    table.title[:] = [f"title of {item}" for item in items]
    return Dataset(
        name="made",
        user=np.array([users.index(user) for user, _, _ in events], np.int32),
        item=np.array([items.index(item) for _, item, _ in events], np.int32),
        timestamp=np.array([time for _, _, time in events], np.int64),
        event_type=np.zeros(len(events), np.int8),
        value=np.arange(len(events), dtype=np.float32),
        event_types=("purchase",),
        user_ids=users,
        item_ids=items,
        items=table,
    ).in_order()


def at(timestamps: list[int]) -> Dataset:
    return stream(*[("al", f"item{row}", time) for row, time in enumerate(sorted(timestamps))])


def named(data: Dataset) -> list[tuple[str, str, int]]:
    rows = zip(data.user, data.item, data.timestamp, strict=True)
    return [(data.user_ids[user], data.item_ids[item], int(time)) for user, item, time in rows]


def test_identical_rows_count_once_and_the_first_stays() -> None:
    data = prepare(stream(("al", "tea", 5), ("al", "tea", 5), ("al", "tea", 6), ("bo", "tea", 5)), 1, 1)
    assert named(data) == [("al", "tea", 5), ("bo", "tea", 5), ("al", "tea", 6)]
    assert data.value.tolist() == [0.0, 3.0, 2.0]


def test_an_item_needs_distinct_buyers_not_purchases() -> None:
    data = prepare(stream(("al", "tea", 1), ("al", "tea", 2), ("al", "jam", 3), ("bo", "jam", 4)), 2, 1)
    assert named(data) == [("al", "jam", 3), ("bo", "jam", 4)]


def test_a_user_needs_events_of_the_items_that_are_left() -> None:
    events = [
        ("al", "jam", 1),
        ("al", "tea", 2),
        ("bo", "jam", 3),
        ("bo", "jam", 4),
        ("cy", "jam", 5),
        ("cy", "jam", 6),
    ]
    assert {user for user, _, _ in named(prepare(stream(*events), 2, 2, rounds=1))} == {"bo", "cy"}


def test_each_round_filters_what_the_last_one_left() -> None:
    chain = [
        ("u1", "a", 1),
        ("u1", "b", 2),
        ("u2", "b", 3),
        ("u2", "c", 4),
        ("u3", "c", 5),
        ("u3", "d", 6),
        ("u4", "d", 7),
    ]
    chain += [("u4", "e", 8), ("u5", "e", 9), ("u5", "f", 10), ("u6", "f", 11), ("u6", "g", 12), ("u7", "g", 13)]
    left = [len(prepare(stream(*chain), 2, 2, rounds)) for rounds in (1, 2)]
    assert left == [10, 6]  # items b..g stay, u7 falls, u1 too; then b and g and with them u2 and u6


def test_codes_are_dense_and_tables_follow() -> None:
    data = prepare(stream(("al", "jam", 1), ("bo", "tea", 1), ("cy", "tea", 2)), 2, 1)
    assert (data.user_ids, data.item_ids) == (["bo", "cy"], ["tea"])
    assert (data.user.tolist(), data.item.tolist()) == ([0, 1], [0, 0])
    assert data.items.title == ["title of tea"]


def test_nothing_left_after_preparation_is_an_error() -> None:
    with pytest.raises(MissingDataError, match=r"nothing of made \(1 events\) is left .* 5 distinct users"):
        prepare(stream(("al", "tea", 1)))


def test_subset_keeps_codes() -> None:
    data = stream(("al", "jam", 1), ("bo", "tea", 2))
    assert named(data.subset(slice(1, 2))) == named(data.subset(np.array([False, True]))) == [("bo", "tea", 2)]
    assert data.subset(slice(1, 2)).user_ids == ["al", "bo"]


def test_parts_are_70_15_15_of_the_rows_when_all_timestamps_differ() -> None:
    parts = split(at(list(range(100))))
    assert parts == type(parts)(slice(0, 70), slice(70, 85), slice(85, 100))


def test_a_cut_inside_a_timestamp_moves_to_its_end() -> None:
    parts = split(at([*range(6), 6, 6, 6, 9]), (0.7, 0.0, 0.3))  # row 7 is inside the timestamp 6, rows 6 to 8
    assert parts == type(parts)(slice(0, 9), slice(9, 9), slice(9, 10))


def test_a_cut_between_two_timestamps_stays() -> None:
    parts = split(at([*range(7), 7, 7, 7]), (0.7, 0.0, 0.3))
    assert parts.train == slice(0, 7)


def test_too_few_timestamps_to_split_are_an_error() -> None:
    with pytest.raises(MissingDataError, match="too few timestamps"):
        split(at([1] * 10))


def test_fractions_must_sum_to_one() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split(at([1, 2]), (0.7, 0.7, 0.0))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=120))
def test_no_timestamp_is_divided_and_no_row_is_lost(timestamps: list[int]) -> None:
    data = at(timestamps)
    try:
        parts = split(data)
    except MissingDataError:
        assert len(set(timestamps)) < 20
        return
    times = [set(data.timestamp[part].tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, times)) == len(set(timestamps))
    assert (parts.train.start, parts.train.stop, parts.validation.stop) == (0, parts.validation.start, parts.test.start)
    assert parts.test.stop == len(data)


def test_scored_rows_are_multiples_of_k_in_the_whole_stream() -> None:
    assert scored_rows(slice(10, 30), target=5).tolist() == [12, 16, 20, 24, 28]


def test_every_row_is_scored_when_there_are_few() -> None:
    assert scored_rows(slice(4, 7), target=5).tolist() == [4, 5, 6]
