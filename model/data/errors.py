"""Errors of the data readers.

DataError                 anything wrong with input data; its message says what to do
 ├── MissingDataError     nothing to read at that place, or too little of it
 ├── BadFileError         a file as a whole: unreadable, empty, a column missing
 └── BadRowError          one row: names file, row (or line), column and the offending value
"""

from pathlib import Path

_LONGEST_VALUE_SHOWN = 80


class DataError(Exception):
    """Input data cannot be used."""


class MissingDataError(DataError):
    """There is nothing to read where we looked, or nothing is left to work with."""


class BadFileError(DataError):
    """A file cannot be used as a whole."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class BadRowError(DataError):
    """One row of a file is bad.

    `row` counts from 1: data rows (the header is none) in Parquet and CSV, lines of the file in NDJSON;
    `unit` says which.
    """

    def __init__(self, path: Path, unit: str, row: int, column: str, value: object, reason: str) -> None:
        place = f"{path}, {unit} {row}" + (f", column '{column}'" if column else "")
        super().__init__(f"{place}: {reason}, got {_shown(value)}")
        self.path = path
        self.row = row
        self.column = column
        self.value = value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else text[:_LONGEST_VALUE_SHOWN] + "..."
