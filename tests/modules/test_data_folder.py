"""Folders of Parquet, CSV and NDJSON: the same events in, and errors that say where and what."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from model.data import NEVER, BadFileError, BadRowError, DataError, Dataset, MissingDataError, load, read_folder
from model.data.files import READERS

NOON = 1_577_880_000  # 2020-01-01T12:00:00Z
Rows = list[dict[str, object]]

EVENTS: Rows = [
    {"user_id": "bo", "item_id": "tea", "timestamp": NOON + 60, "event_type": "purchase", "value": 2.5},
    {"user_id": "al", "item_id": "tea", "timestamp": NOON, "event_type": "view", "value": None},
    {"user_id": "al", "item_id": "10", "timestamp": NOON, "event_type": None, "value": 1.0},
    {"user_id": "al", "item_id": "9", "timestamp": NOON, "event_type": "view", "value": 1.0},
]
ITEMS: Rows = [
    {"item_id": "tea", "title": "Green tea", "category": "Tea", "brand": None, "price": 3.5, "available_from": NOON},
    {"item_id": "jam", "title": "Jam", "category": None, "brand": "B", "price": None, "available_from": None},
]


def write_parquet(path: Path, rows: Rows) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path)


def write_csv(path: Path, rows: Rows) -> None:
    lines = [",".join(rows[0])]
    lines += [",".join("" if cell is None else str(cell) for cell in (row[name] for name in rows[0])) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def write_ndjson(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "ndjson": write_ndjson,
}


def folder_of(path: Path, ending: str, events: Rows = EVENTS, items: Rows | None = None) -> Path:
    WRITERS[ending](path / f"interactions.{ending}", events)
    if items is not None:
        WRITERS[ending](path / f"items.{ending}", items)
    return path


def as_tuples(data: Dataset) -> list[tuple[str, str, int, str, float]]:
    return [
        (data.user_ids[u], data.item_ids[i], int(t), data.event_types[e], float(v))
        for u, i, t, e, v in zip(data.user, data.item, data.timestamp, data.event_type, data.value, strict=True)
    ]


def read_text(path: Path, text: str | bytes, ending: str = "csv", stem: str = "interactions") -> Dataset:
    content = text.encode() if isinstance(text, str) else text
    if stem == "items":
        (path / "interactions.csv").write_text("user_id,item_id,timestamp\nal,tea,5\n")
    (path / f"{stem}.{ending}").write_bytes(content)
    return read_folder(path)


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


HEADER = "user_id,item_id,timestamp,value\n"
GOOD = "al,tea,5,1\n"


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (",tea,5,1", "user_id", "None", "an id must not be empty"),
        ("al, ,5,1", "item_id", "' '", "an id must not be empty"),
        ("al,tea,,1", "timestamp", "None", "a timestamp must not be empty"),
        ("al,tea,soon,1", "timestamp", "'soon'", "expected unix seconds, or RFC 3339"),
        ("al,tea,nan,1", "timestamp", "nan", "a timestamp must be a finite number"),
        ("al,tea,1e30,1", "timestamp", "1e+30", "a timestamp must be a finite number"),
        ("al,tea,-1,1", "timestamp", "'-1'", "a timestamp must not be before 1970"),
        ("al,tea,1577880000000,1", "timestamp", "'1577880000000'", "unix seconds, not milliseconds"),
        ("al,tea,2020-01-01T12:00:00,1", "timestamp", "'2020-01-01T12:00:00'", "expected unix seconds, or RFC 3339"),
        ("al,tea,2020-02-30T12:00:00Z,1", "timestamp", "'2020-02-30T12:00:00Z'", "expected unix seconds, or RFC 3339"),
        ("al,tea,1960-01-01T12:00:00Z,1", "timestamp", "'1960-01-01T12:00:00Z'", "must not be before 1970"),
        ("al,tea,5,NaN", "value", "'NaN'", "expected a finite number"),
        ("al,tea,5,inf", "value", "'inf'", "expected a finite number"),
        ("al,tea,5,1e300", "value", "'1e300'", "expected a finite number"),
        ("al,tea,5,two", "value", "'two'", "expected a number"),
    ],
)
def test_bad_csv_cell_is_named_with_file_row_column_and_value(
    tmp_path: Path, row: str, column: str, value: str, reason: str
) -> None:
    with pytest.raises(BadRowError) as caught:
        read_text(tmp_path, HEADER + GOOD * 2 + row + "\n" + GOOD * 3)
    assert (caught.value.row, caught.value.column) == (3, column)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'interactions.csv'}, row 3, column '{column}': ")
    assert reason in message
    assert message.endswith(f", got {value}")


def test_first_of_several_bad_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRowError, match=r"row 2, column 'timestamp'.*got 'x'"):
        read_text(tmp_path, HEADER + GOOD + "al,tea,x,1\n" + GOOD + "al,tea,y,1\n")


def test_csv_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRowError, match=r"row 2: expected 4 cells, found 2, got 'al,tea'"):
        read_text(tmp_path, HEADER + GOOD + "al,tea\n" + GOOD)


def test_row_numbers_hold_far_into_a_large_csv(tmp_path: Path) -> None:
    good = "a" * 40 + ",tea,5,1\n"
    with pytest.raises(BadRowError, match="row 100001: expected 4 cells"):  # 5 MB on: past several blocks of Arrow's
        read_text(tmp_path, HEADER + good * 100_000 + "al\n")


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_line_that_is_not_utf_8_is_named(tmp_path: Path, ending: str) -> None:
    folder_of(tmp_path, ending)
    path = tmp_path / f"interactions.{ending}"
    path.write_bytes(path.read_bytes().replace(b"bo", b"b\xff"))
    with pytest.raises(BadRowError, match=f"line {2 if ending == 'csv' else 1}: not UTF-8"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"user_id": "al", "item_', r"line 3: broken JSON \(.*got '\{\"user_id\": \"al\", \"item_'"),
        ('["al", "tea", 5]', r"line 3: expected a JSON object, got \['al', 'tea', 5\]"),
        ('{"user_id": true, "item_id": "tea", "timestamp": 5}', "line 3, column 'user_id': expected text or a number"),
        ('{"user_id": "al", "timestamp": 5}', "line 3, column 'item_id': an id must not be empty, got None"),
        ('{"user_id": "al", "item_id": "", "timestamp": 5}', "line 3, column 'item_id': an id must not be empty"),
        ('{"user_id": "al", "item_id": "tea", "timestamp": 5, "value": NaN}', "line 3, column 'value': expected a fin"),
    ],
)
def test_bad_ndjson_line_is_named_by_its_line_in_the_file(tmp_path: Path, line: str, match: str) -> None:
    good = '{"user_id": "al", "item_id": "tea", "timestamp": 5}\n'
    with pytest.raises(BadRowError, match=match):
        read_text(tmp_path, good + "\n" + line + "\n" + good, "ndjson")  # line 2 is blank


def test_nan_in_a_parquet_column_is_named(tmp_path: Path) -> None:
    rows: Rows = [*EVENTS[:3], {**EVENTS[3], "value": float("nan")}]
    with pytest.raises(BadRowError, match="row 4, column 'value': expected a finite number, got nan"):
        read_folder(folder_of(tmp_path, "parquet", rows))


def test_unsigned_timestamp_beyond_int64_is_named(tmp_path: Path) -> None:
    times = pa.array([5, 2**64 - 1], pa.uint64())
    table = pa.table({"user_id": ["al", "al"], "item_id": ["tea", "tea"], "timestamp": times})
    parquet.write_table(table, tmp_path / "interactions.parquet")
    with pytest.raises(BadRowError, match=r"row 2, column 'timestamp': .*, got 18446744073709551615"):
        read_folder(tmp_path)


def test_parquet_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="column 'user_id' holds double, expected text"):
        read_folder(folder_of(tmp_path, "parquet", [{**EVENTS[0], "user_id": 1.5}]))


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("column", ["user_id", "item_id", "timestamp"])
def test_missing_column_is_named(tmp_path: Path, ending: str, column: str) -> None:
    rows: Rows = [{name: cell for name, cell in row.items() if name != column} for row in EVENTS]
    with pytest.raises(BadFileError, match=f"interactions.{ending}: column '{column}' is missing"):
        read_folder(folder_of(tmp_path, ending, rows))


@pytest.mark.parametrize(("ending", "reason"), [("parquet", "not a readable"), ("csv", "empty"), ("ndjson", "no rows")])
def test_empty_file_is_refused(tmp_path: Path, ending: str, reason: str) -> None:
    with pytest.raises(BadFileError, match=f"interactions.{ending}: .*{reason}"):
        read_text(tmp_path, "", ending)


def test_csv_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="the file has no rows"):
        read_text(tmp_path, HEADER)


def test_csv_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="column 'user_id' appears more than once"):
        read_text(tmp_path, "user_id,user_id,item_id,timestamp\na,b,c,1\n")


def test_csv_without_a_known_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"column 'user_id' is missing \(found: none of the known columns\)"):
        read_text(tmp_path, "a;b;c\n1;2;3\n")


def test_item_listed_twice_is_named_by_its_second_row(tmp_path: Path) -> None:
    with pytest.raises(BadRowError, match=r"items.csv, row 3, column 'item_id': the item has a row already, got 'tea'"):
        read_text(tmp_path, "item_id,title\ntea,T\njam,J\ntea,U\n", stem="items")


def test_bad_price_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRowError, match=r"items.csv, row 1, column 'price': expected a number, got 'cheap'"):
        read_text(tmp_path, "item_id,price\ntea,cheap\n", stem="items")


def test_more_event_types_than_codes_are_refused(tmp_path: Path) -> None:
    rows: Rows = [{**EVENTS[0], "event_type": f"type{number}"} for number in range(128)]
    with pytest.raises(BadFileError, match="column 'event_type' holds 128 types, at most 127"):
        read_folder(folder_of(tmp_path, "csv", rows))


def test_folder_that_does_not_exist_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"there is no folder .*nowhere: .*interactions.parquet, interactions.cs"
    ):
        load(str(tmp_path / "nowhere"))


def test_folder_without_interactions_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"holds none of interactions.parquet.*user_id, item_id, timestamp"):
        read_folder(tmp_path)


def test_two_formats_of_one_table_are_refused(tmp_path: Path) -> None:
    folder_of(folder_of(tmp_path, "csv"), "parquet")
    with pytest.raises(DataError, match=r"interactions\.parquet and interactions\.csv: keep the one"):
        read_folder(tmp_path)


@pytest.mark.parametrize("source", ["complete-journey:many", "complete-journey:-1"])
def test_number_of_households_must_be_a_number(source: str) -> None:
    with pytest.raises(DataError, match="a number of households, or 'all'"):
        load(source)
