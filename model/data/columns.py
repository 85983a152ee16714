"""The meaning of raw columns: ids, times, numbers, labels and texts, checked and vectorised.

Each function takes a RawTable and a column name and returns one entry a row,
or raises an error that names the first bad row.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.data.dataset import FloatArray, Int32Array, Int64Array
from model.data.errors import BadFileError
from model.data.files import RawTable

LATEST_SECOND = 253_402_300_799  # the end of the year 9999; what is above it is milliseconds
_FRACTION = r"(:\d\d)\.\d+"


def identifiers(table: RawTable, column: str) -> pa.Array:
    """Ids as strings; whole numbers are taken as their decimal digits. An empty or missing id is an error."""
    raw = table.columns[column]
    if not (_is_text(raw.type) or pa.types.is_integer(raw.type) or pa.types.is_null(raw.type)):
        raise _wrong_type(table, column, raw.type, "text")
    ids = pc.cast(raw, pa.large_string())
    empty = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(ids, "")), "")
    _refuse(table, column, raw, empty, "an id must not be empty")
    return ids


def encode(ids: pa.Array, catalogue: list[str] | None = None) -> tuple[Int32Array, list[str]]:
    """(codes, sorted distinct ids), codes indexing the ids; the ids of `catalogue` are among them, used or not."""
    dictionary = pc.dictionary_encode(ids)
    seen: list[str] = dictionary.dictionary.to_pylist()
    names = sorted({*seen, *(catalogue or [])})
    code_of = {name: code for code, name in enumerate(names)}
    codes = np.array([code_of[name] for name in seen], dtype=np.int32)
    return codes[np.asarray(dictionary.indices)], names


def seconds(table: RawTable, column: str, missing: int | None = None) -> Int64Array:
    """Unix seconds from whole or fractional unix seconds (floored), Arrow timestamps, or text in RFC 3339.

    `missing` stands for an empty cell; without it an empty cell is an error. So is a time before 1970 or after 9999.
    """
    raw = table.columns[column]
    if missing is None:
        _refuse(table, column, raw, pc.is_null(raw), "a timestamp must not be empty")
    filled = np.asarray(pc.fill_null(_integer_seconds(table, column, raw), missing or 0), dtype=np.int64)
    known = np.asarray(pc.is_valid(raw))
    _refuse(table, column, raw, known & (filled < 0), "a timestamp must not be before 1970")
    _refuse(table, column, raw, known & (filled > LATEST_SECOND), "a timestamp is unix seconds, not milliseconds")
    return filled


def numbers(table: RawTable, column: str, missing: float) -> FloatArray:
    """Finite float32 numbers; `missing` stands for an absent column or an empty cell. NaN and infinity are errors."""
    if column not in table.columns:
        return np.full(table.n_rows, missing, dtype=np.float32)
    raw = table.columns[column]
    doubles = _doubles(table, column, raw, "expected a number")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is refused below
        values = np.asarray(pc.fill_null(doubles, 0.0)).astype(np.float32)
    _refuse(table, column, raw, ~np.isfinite(values), "expected a finite number")
    values[np.asarray(pc.is_null(raw))] = missing
    return values


def texts(table: RawTable, column: str) -> list[str | None]:
    """Text of each row, None for an absent column, an empty cell or an empty text."""
    cells: list[str | None] = _text_cells(table, column).to_pylist()
    return cells


def labels(table: RawTable, column: str, missing: str) -> pa.Array:
    """Text of each row, with `missing` for an absent column, an empty cell or an empty text."""
    return pc.fill_null(_text_cells(table, column), missing)


def _text_cells(table: RawTable, column: str) -> pa.Array:
    if column not in table.columns:
        return pa.nulls(table.n_rows, pa.large_string())
    raw = table.columns[column]
    if pa.types.is_nested(raw.type) or pa.types.is_binary(raw.type):
        raise _wrong_type(table, column, raw.type, "text")
    cells = pc.cast(raw, pa.large_string())
    return pc.if_else(pc.equal(cells, ""), None, cells)


def _integer_seconds(table: RawTable, column: str, raw: pa.Array) -> pa.Array:
    if _is_text(raw.type):
        return _seconds_of_text(table, column, pc.utf8_trim_whitespace(pc.cast(raw, pa.large_string())))
    if pa.types.is_timestamp(raw.type):
        return pc.cast(pc.floor_temporal(raw, unit="second"), pa.timestamp("s", tz=raw.type.tz)).cast(pa.int64())
    if pa.types.is_integer(raw.type):
        return pc.cast(raw, pa.int64(), safe=False)  # beyond int64 it turns negative, which is refused
    return _floored(table, column, _doubles(table, column, raw, "expected unix seconds"))


def _seconds_of_text(table: RawTable, column: str, cells: pa.Array) -> pa.Array:
    try:
        return pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        written = pc.fill_null(pc.match_substring_regex(cells, r"^\d{4}-\d\d-\d\d[Tt ]"), fill_value=False)
        reason = "expected unix seconds, or RFC 3339 such as 2024-05-01T12:00:00Z"
        numeric = pc.if_else(written, None, cells)
        from_numbers = _floored(table, column, _parsed(table, column, numeric, _to_double, reason))
        from_dates = _parsed(table, column, pc.if_else(written, cells, None), _to_date, reason)
        return pc.coalesce(from_numbers, from_dates)


def _floored(table: RawTable, column: str, doubles: pa.Array) -> pa.Array:
    values = np.asarray(pc.fill_null(doubles, 0.0))
    _refuse(table, column, doubles, ~(np.abs(values) < 2**62), "a timestamp must be a finite number")
    return pc.cast(pc.floor(doubles), pa.int64())


def _doubles(table: RawTable, column: str, raw: pa.Array, reason: str) -> pa.Array:
    if _is_text(raw.type):
        return _parsed(table, column, pc.utf8_trim_whitespace(pc.cast(raw, pa.large_string())), _to_double, reason)
    if not (pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type) or pa.types.is_null(raw.type)):
        raise _wrong_type(table, column, raw.type, "numbers")
    return pc.cast(raw, pa.float64(), safe=False)


def _to_double(cells: pa.Array) -> pa.Array:
    return pc.cast(cells, pa.float64())


def _to_date(cells: pa.Array) -> pa.Array:
    whole = pc.replace_substring_regex(pc.utf8_upper(cells), _FRACTION, r"\1")
    return pc.cast(pc.cast(whole, pa.timestamp("s", tz="UTC")), pa.int64())


def _parsed(
    table: RawTable, column: str, cells: pa.Array, parse: Callable[[pa.Array], pa.Array], reason: str
) -> pa.Array:
    try:
        return parse(cells)
    except pa.ArrowInvalid as error:
        row = _first_unparsed(cells, parse)
        raise table.bad_row(row, column, cells[row].as_py(), reason) from error


def _first_unparsed(cells: pa.Array, parse: Callable[[pa.Array], pa.Array]) -> int:
    """By bisection, for Arrow does not say where it stopped: cells before `low` parse, those before `high` do not."""
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            parse(cells[low:middle])
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _refuse(table: RawTable, column: str, raw: pa.Array, bad: pa.Array | NDArray[np.bool_], reason: str) -> None:
    rows = np.flatnonzero(np.asarray(bad))
    if len(rows):
        row = int(rows[0])
        raise table.bad_row(row, column, raw[row].as_py(), reason)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _wrong_type(table: RawTable, column: str, kind: pa.DataType, expected: str) -> BadFileError:
    return BadFileError(table.path, f"column '{column}' holds {kind}, expected {expected}")
