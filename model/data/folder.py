"""A folder of interactions and items, in Parquet, CSV or NDJSON.

interactions.*  user_id, item_id, timestamp (unix seconds or RFC 3339); optional event_type, value
items.*         optional; item_id; optional title, category, brand, text, price, available_from
"""

from pathlib import Path

import numpy as np

from model.data import columns
from model.data.dataset import NEVER, Dataset, Int8Array, Int64Array, ItemTable
from model.data.errors import BadFileError, DataError, MissingDataError
from model.data.files import READERS, RawTable

DEFAULT_EVENT_TYPE = "event"  # for rows whose type is not told
_MOST_EVENT_TYPES = 127
_EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "event_type", "value")
_ITEM_COLUMNS = ("item_id", "title", "category", "brand", "text", "price", "available_from")


def read_folder(path: str | Path) -> Dataset:
    """The events and items of a folder. Items of the catalogue without an event are in the item table, too.

    Raises MissingDataError when there is nothing to read, BadFileError or BadRowError when it cannot be used.
    """
    folder = Path(path)
    events = _read(folder, "interactions", _EVENT_COLUMNS)
    if events is None:
        raise MissingDataError(_nothing_found(folder))
    events.require(_EVENT_COLUMNS[:3])
    catalogue = _read(folder, "items", _ITEM_COLUMNS)
    catalogue_ids = [] if catalogue is None else _catalogue_ids(catalogue)
    user, user_ids = columns.encode(columns.identifiers(events, "user_id"))
    item, item_ids = columns.encode(columns.identifiers(events, "item_id"), catalogue_ids)
    event_type, event_types = _event_types(events)
    return Dataset(
        name=folder.resolve().name,
        user=user,
        item=item,
        timestamp=columns.seconds(events, "timestamp"),
        event_type=event_type,
        value=columns.numbers(events, "value", missing=0.0),
        event_types=event_types,
        user_ids=user_ids,
        item_ids=item_ids,
        items=ItemTable.empty(len(item_ids)) if catalogue is None else _items(catalogue, catalogue_ids, item_ids),
    ).in_order()


def _read(folder: Path, stem: str, wanted: tuple[str, ...]) -> RawTable | None:
    found = [ending for ending in READERS if (folder / f"{stem}.{ending}").is_file()]
    if len(found) > 1:
        both = " and ".join(f"{stem}.{ending}" for ending in found)
        raise DataError(f"{folder} holds {both}: keep the one to be read")
    return READERS[found[0]](folder / f"{stem}.{found[0]}", wanted) if found else None


def _nothing_found(folder: Path) -> str:
    names = ", ".join(f"interactions.{ending}" for ending in READERS)
    if not folder.is_dir():
        return f"there is no folder {folder}: give a folder that holds one of {names}"
    return f"{folder} holds none of {names}: put one there, with the columns user_id, item_id, timestamp"


def _catalogue_ids(catalogue: RawTable) -> list[str]:
    catalogue.require(_ITEM_COLUMNS[:1])
    ids: list[str] = columns.identifiers(catalogue, "item_id").to_pylist()
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        for row, item_id in enumerate(ids):
            if item_id in seen:
                raise catalogue.bad_row(row, "item_id", item_id, "the item has a row already")
            seen.add(item_id)
    return ids


def _items(catalogue: RawTable, catalogue_ids: list[str], item_ids: list[str]) -> ItemTable:
    """The catalogue in the order of `item_ids`; items that it does not list are unknown."""
    listed = ItemTable(
        title=[*columns.texts(catalogue, "title"), None],
        category=[*columns.texts(catalogue, "category"), None],
        brand=[*columns.texts(catalogue, "brand"), None],
        text=[*columns.texts(catalogue, "text"), None],
        price=np.append(columns.numbers(catalogue, "price", missing=np.nan), np.float32(np.nan)),
        available_from=np.append(_available_from(catalogue), NEVER),
    )
    row_of = {item_id: row for row, item_id in enumerate(catalogue_ids)}
    unlisted = len(catalogue_ids)  # the row of unknowns at the end
    return listed.take(np.array([row_of.get(item_id, unlisted) for item_id in item_ids], dtype=np.int64))


def _available_from(catalogue: RawTable) -> Int64Array:
    if "available_from" not in catalogue.columns:
        return np.full(catalogue.n_rows, NEVER, dtype=np.int64)
    return columns.seconds(catalogue, "available_from", missing=NEVER)


def _event_types(events: RawTable) -> tuple[Int8Array, tuple[str, ...]]:
    codes, names = columns.encode(columns.labels(events, "event_type", DEFAULT_EVENT_TYPE))
    if len(names) > _MOST_EVENT_TYPES:
        raise BadFileError(
            events.path, f"column 'event_type' holds {len(names)} types, at most {_MOST_EVENT_TYPES} fit"
        )
    return codes.astype(np.int8), tuple(names)
