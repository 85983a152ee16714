"""Data sets: readers, preparation, split. NumPy and pyarrow only."""

from model.data.complete_journey import read_complete_journey
from model.data.dataset import NEVER, Dataset, ItemTable, ProfileTable
from model.data.errors import BadFileError, BadRowError, DataError, MissingDataError
from model.data.folder import read_folder
from model.data.prepare import prepare
from model.data.profiles import FILE as PROFILES
from model.data.profiles import read_profiles
from model.data.split import Split, scored_rows, split

__all__ = [
    "NEVER",
    "PROFILES",
    "BadFileError",
    "BadRowError",
    "DataError",
    "Dataset",
    "ItemTable",
    "MissingDataError",
    "ProfileTable",
    "Split",
    "load",
    "prepare",
    "read_complete_journey",
    "read_folder",
    "read_profiles",
    "scored_rows",
    "split",
]

_COMPLETE_JOURNEY = "complete-journey"


def load(source: str) -> Dataset:
    """A data set by name: a folder, or `complete-journey`, `complete-journey:<households>`, `complete-journey:all`.

    Without a number, 600 households. Raises DataError, which says what to do.
    """
    name, _, households = source.partition(":")
    if name != _COMPLETE_JOURNEY:
        return read_folder(source)
    if households == "all":
        return read_complete_journey(None)
    if not households:
        return read_complete_journey()
    if not households.isdecimal():
        raise DataError(f"{source}: after 'complete-journey:' comes a number of households, or 'all'")
    return read_complete_journey(int(households))
