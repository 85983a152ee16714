"""Parquet, CSV and NDJSON files as raw columns that remember where each row stands.

Knows which columns are wanted, not what they mean: CSV and NDJSON cells come as text (null when empty),
Parquet columns in the type of the file. Meaning is the matter of `columns.py`.
"""

import csv
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray
from pyarrow import parquet

from model.data.errors import BadFileError, BadRowError, DataError

_decode_json = json.JSONDecoder().decode


@dataclass(frozen=True, eq=False)
class RawTable:
    """The wanted columns that a file has. `numbers[k]` is the place of row k in the file, None when it is k + 1."""

    path: Path
    columns: Mapping[str, pa.Array]
    n_rows: int
    unit: str = "row"
    numbers: NDArray[np.int64] | None = None

    def require(self, names: Collection[str]) -> None:
        """Raise BadFileError unless the file has rows and all of these columns."""
        if not self.n_rows:
            raise BadFileError(self.path, "the file has no rows")
        missing = [name for name in names if name not in self.columns]
        if missing:
            found = ", ".join(self.columns) or "none of the known columns"
            raise BadFileError(self.path, f"column '{missing[0]}' is missing (found: {found})")

    def bad_row(self, row: int, column: str, value: object, reason: str) -> BadRowError:
        """The error for the row at this 0-based position."""
        number = row + 1 if self.numbers is None else int(self.numbers[row])
        return BadRowError(self.path, self.unit, number, column, value, reason)


def read_parquet(path: Path, wanted: Collection[str]) -> RawTable:
    """Columns in the types of the file."""
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read(columns=_present(path, file.schema_arrow.names, wanted))
    except (pa.ArrowException, OSError) as error:
        raise BadFileError(path, f"not a readable Parquet file ({error})") from error
    return RawTable(path, _columns(table), table.num_rows)


def read_csv(path: Path, wanted: Collection[str]) -> RawTable:
    """Columns of text; an empty cell is null. Comma-separated, one header line, UTF-8."""
    present = _header(path, wanted)
    ragged: list[arrow_csv.InvalidRow] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(use_threads=False),  # with threads Arrow does not count rows
            arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            arrow_csv.ConvertOptions(
                include_columns=present,
                column_types=dict.fromkeys(present, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        if ragged:
            raise _ragged_row(path, ragged[0]) from error
        raise _undecodable(path, BadFileError(path, f"not a readable CSV file ({error})")) from error
    return RawTable(path, _columns(table) if present else {}, table.num_rows)


def read_ndjson(path: Path, wanted: Collection[str]) -> RawTable:
    """Columns of text: numbers as they print, null when absent or null. One JSON object a line, blank lines skipped.

    A column that is absent or null in every line counts as not there.
    """
    cells, lines = _json_cells(path, wanted)
    table = RawTable(path, {}, len(lines), "line", np.array(lines, dtype=np.int64))
    present = {name: column for name, column in cells.items() if any(cell is not None for cell in column)}
    return replace(table, columns={name: _text_column(table, name, column) for name, column in present.items()})


READERS: Mapping[str, Callable[[Path, Collection[str]], RawTable]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "ndjson": read_ndjson,
}


def _columns(table: pa.Table) -> dict[str, pa.Array]:
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def _header(path: Path, wanted: Collection[str]) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), None)
    except UnicodeDecodeError as error:
        raise _undecodable(path, BadFileError(path, "not UTF-8")) from error
    except (csv.Error, OSError) as error:
        raise BadFileError(path, f"not a readable CSV file ({error})") from error
    if not names:
        raise BadFileError(path, "the file is empty")
    return _present(path, names, wanted)


def _present(path: Path, names: list[str], wanted: Collection[str]) -> list[str]:
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise BadFileError(path, f"column '{twice[0]}' appears more than once")
    return [name for name in names if name in wanted]


def _ragged_row(path: Path, row: arrow_csv.InvalidRow) -> BadRowError:
    reason = f"expected {row.expected_columns} cells, found {row.actual_columns}"
    return BadRowError(path, "row", row.number - 1, "", row.text, reason)


def _undecodable(path: Path, otherwise: BadFileError) -> DataError:
    """The error that names the first line that is not UTF-8; `otherwise` when all lines are."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return BadRowError(path, "line", number, "", line, "not UTF-8")
    return otherwise


def _json_cells(path: Path, wanted: Collection[str]) -> tuple[dict[str, list[Any]], list[int]]:
    """The wanted cells of each record, and the line number of each record."""
    cells: dict[str, list[Any]] = {name: [] for name in wanted}
    sinks = [(name, column.append) for name, column in cells.items()]
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                record = _record(path, number, line)
                for name, append in sinks:
                    append(record.get(name))
                lines.append(number)
    except UnicodeDecodeError as error:
        raise _undecodable(path, BadFileError(path, "not UTF-8")) from error
    except OSError as error:
        raise BadFileError(path, f"not readable ({error})") from error
    return cells, lines


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = _decode_json(line)
    except (ValueError, RecursionError) as error:
        raise BadRowError(path, "line", number, "", line.rstrip(), f"broken JSON ({error})") from error
    if type(record) is not dict:
        raise BadRowError(path, "line", number, "", record, "expected a JSON object")
    return record


def _text_column(table: RawTable, name: str, cells: list[Any]) -> pa.Array:
    """Cells of one column as text; a boolean, list or object in it is an error."""
    kinds = set(map(type, cells))
    if kinds - {str, int, float, type(None)}:
        row = next(row for row, cell in enumerate(cells) if type(cell) not in {str, int, float, type(None)})
        raise table.bad_row(row, name, cells[row], "expected text or a number")
    if kinds - {str, type(None)}:
        cells = [cell if cell is None or type(cell) is str else repr(cell) for cell in cells]
    return pa.array(cells, type=pa.large_string())
