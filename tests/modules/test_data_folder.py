"""Folders of Parquet, CSV and NDJSON: the same events in, whatever the format."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from model.data import NEVER, BadRowError, read_folder
from model.data.files import READERS
from tests.modules.folders import ITEMS, NOON, WRITERS, Rows, as_tuples, folder_of, read_text


def test_every_format_is_known_to_the_tests() -> None:
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("ending", WRITERS)
def test_events_come_sorted_by_time_then_user_then_item_as_strings(tmp_path: Path, ending: str) -> None:
    assert as_tuples(read_folder(folder_of(tmp_path, ending))) == [
        ("al", "10", NOON, "event", 1.0),  # "10" < "9" as strings
        ("al", "9", NOON, "view", 1.0),
        ("al", "tea", NOON, "view", 0.0),
        ("bo", "tea", NOON + 60, "purchase", 2.5),
    ]


@pytest.mark.parametrize("ending", WRITERS)
def test_arrays_have_the_promised_types(tmp_path: Path, ending: str) -> None:
    data = read_folder(folder_of(tmp_path, ending, items=ITEMS))
    assert (data.user.dtype.name, data.item.dtype.name, data.timestamp.dtype.name) == ("int32", "int32", "int64")
    assert (data.event_type.dtype.name, data.value.dtype.name) == ("int8", "float32")
    assert [data.items.price.dtype.name, data.items.available_from.dtype.name] == ["float32", "int64"]


@pytest.mark.parametrize("ending", WRITERS)
def test_item_table_is_aligned_with_ids_and_holds_the_whole_catalogue(tmp_path: Path, ending: str) -> None:
    data = read_folder(folder_of(tmp_path, ending, items=ITEMS))
    assert data.item_ids == ["10", "9", "jam", "tea"]
    assert data.items.title == [None, None, "Jam", "Green tea"]
    assert data.items.category == [None, None, None, "Tea"]
    assert data.items.available_from.tolist() == [NEVER, NEVER, NEVER, NOON]
    np.testing.assert_array_equal(data.items.price, np.array([np.nan, np.nan, np.nan, 3.5], np.float32))
    assert data.texts() == ["", "", "Jam. B", "Green tea. Tea"]


@pytest.mark.parametrize("ending", WRITERS)
def test_optional_columns_may_be_absent(tmp_path: Path, ending: str) -> None:
    data = read_folder(folder_of(tmp_path, ending, [{"user_id": "al", "item_id": "tea", "timestamp": 5}]))
    assert as_tuples(data) == [("al", "tea", 5, "event", 0.0)]
    assert data.texts() == [""]


def test_whole_numbers_serve_as_ids(tmp_path: Path) -> None:
    data = read_folder(folder_of(tmp_path, "parquet", [{"user_id": 7, "item_id": 10, "timestamp": 5}]))
    assert (data.user_ids, data.item_ids) == (["7"], ["10"])


@pytest.mark.parametrize(
    ("written", "second"),
    [
        ("1577880000", NOON),
        ("1577880000.9", NOON),
        ("2020-01-01T12:00:00Z", NOON),
        ("2020-01-01t12:00:00z", NOON),
        ("2020-01-01 14:00:00+02:00", NOON),
        ("2020-01-01T12:00:00.999Z", NOON),
    ],
)
def test_csv_timestamp_is_unix_seconds_or_rfc_3339(tmp_path: Path, written: str, second: int) -> None:
    data = read_text(tmp_path, f"user_id,item_id,timestamp\nal,tea,{written}\nal,tea,0\n")
    assert data.timestamp.tolist() == [0, second]


def test_parquet_timestamps_of_any_unit_become_seconds(tmp_path: Path) -> None:
    times = pa.array([NOON * 1000 + 999], pa.int64()).cast(pa.timestamp("ms"))
    table = pa.table({"user_id": ["al"], "item_id": ["tea"], "timestamp": times})
    parquet.write_table(table, tmp_path / "interactions.parquet")
    assert read_folder(tmp_path).timestamp.tolist() == [NOON]


def test_ids_that_look_like_missing_values_or_numbers_stay_as_they_are(tmp_path: Path) -> None:
    data = read_text(tmp_path, 'user_id,item_id,timestamp\nnull,007,1\nNA,"a,b",1\n')
    assert data.user_ids == ["NA", "null"]
    assert data.item_ids == ["007", "a,b"]


def test_csv_may_start_with_a_byte_order_mark_and_end_lines_with_crlf(tmp_path: Path) -> None:
    data = read_text(tmp_path, b"\xef\xbb\xbfuser_id,item_id,timestamp\r\nal,tea,1\r\n")
    assert as_tuples(data) == [("al", "tea", 1, "event", 0.0)]


def test_quoted_csv_cell_may_hold_line_breaks_without_moving_row_numbers(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text('item_id,title,price\ntea,"green\ntea",1\njam,Jam,dear\n')
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\nal,tea,5\n")
    with pytest.raises(BadRowError, match="row 2, column 'price': expected a number, got 'dear'"):
        read_folder(tmp_path)
    (tmp_path / "items.csv").write_text('item_id,title\ntea,"green\ntea"\n')
    assert read_folder(tmp_path).items.title == ["green\ntea"]


def test_quoted_line_break_at_a_block_border_of_a_large_csv_is_read(tmp_path: Path) -> None:
    row = '"a\nb","c\nd",5\n'
    assert len(read_text(tmp_path, "user_id,item_id,timestamp\n" + row * 150_000)) == 150_000  # 2 MB, blocks of 1 MB


def test_ndjson_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    data = read_text(tmp_path, b'\xef\xbb\xbf{"user_id": "al", "item_id": "tea", "timestamp": 1}\n', "ndjson")
    assert as_tuples(data) == [("al", "tea", 1, "event", 0.0)]


@settings(max_examples=25)  # each example writes and reads three files
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "user_id": st.text("abÄ☃𝄞09", min_size=1, max_size=2),
                "item_id": st.text("abÄ☃𝄞09", min_size=1, max_size=2),
                "timestamp": st.integers(0, 3),
                "value": st.integers(0, 9),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_formats_agree_and_order_is_that_of_python_strings(
    tmp_path_factory: pytest.TempPathFactory, events: Rows
) -> None:
    read = [as_tuples(read_folder(folder_of(tmp_path_factory.mktemp("data"), ending, events))) for ending in WRITERS]
    assert read[0] == read[1] == read[2]
    assert [row[:3] for row in read[0]] == sorted(
        ((row["user_id"], row["item_id"], row["timestamp"]) for row in events),
        key=lambda row: (row[2], row[0], row[1]),
    )
