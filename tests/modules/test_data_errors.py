"""Bad data is named: file, row, column and value."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from model.data import BadFileError, BadRowError, DataError, MissingDataError, load, read_folder
from tests.modules.folders import EVENTS, WRITERS, Rows, folder_of, read_text

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
