"""Data sets as the HTTP API takes them: event and item documents, batches, and where a part begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import ConfigurationError

if TYPE_CHECKING:  # pyarrow comes with an extra
    from model.data import Dataset

BATCH = 1_000
"""Events of one POST, and items of one bulk."""


def read(source: str, prepared: bool) -> Dataset:
    """A data set by name or folder; prepared: as `evaluate` does, each event once and rare users and items left out.

    Raises ConfigurationError, which says what is wrong with it and what to do.
    """
    try:
        from model.data import DataError, load, prepare
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f'reading data sets needs {exc.name}: pip install "peregrine-recsys[data]"') from exc
    try:
        dataset = load(source)
        return prepare(dataset) if prepared else dataset
    except DataError as exc:
        raise ConfigurationError(str(exc)) from exc


def row_at(dataset: Dataset, fraction: float) -> int:
    """The row where the first `fraction` of the events ends; a timestamp is never divided."""
    from model.data import DataError, split

    if not 0 <= fraction <= 1:
        raise ConfigurationError(f"a fraction is between 0 and 1, got {fraction}")
    try:
        return int(split(dataset, (fraction, 1 - fraction, 0.0)).train.stop)
    except DataError as exc:
        raise ConfigurationError(str(exc)) from exc


def row_before(dataset: Dataset, timestamp: int) -> int:
    """The first row at or after `timestamp` [unix seconds]."""
    return int(np.searchsorted(dataset.timestamp, timestamp))


def events(dataset: Dataset, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
    """Event documents of rows [start, stop).

    The event id is made of what the row says (and of how many equal rows stand before it), so that whatever is posted
    twice counts once.
    """
    part = slice(start, len(dataset) if stop is None else stop)
    documents = []
    said_before: Counter[str] = Counter()
    for user, item, time, kind, value in zip(
        dataset.user[part].tolist(),
        dataset.item[part].tolist(),
        dataset.timestamp[part].tolist(),
        dataset.event_type[part].tolist(),
        dataset.value[part].tolist(),
        strict=True,
    ):
        said = f"{dataset.user_ids[user]}\0{dataset.item_ids[item]}\0{time}\0{dataset.event_types[kind]}\0{value}"
        documents.append(
            {
                "event_id": blake2b(f"{said}\0{said_before[said]}".encode(), digest_size=16).hexdigest(),
                "user_id": dataset.user_ids[user],
                "item_id": dataset.item_ids[item],
                "type": dataset.event_types[kind],
                "timestamp": time,
                "value": value,
            }
        )
        said_before[said] += 1
    return documents


def items(dataset: Dataset) -> list[dict[str, Any]]:
    """Item documents of the whole catalogue; `available_from` is null where the data says nothing, and the item then
    becomes available with its first event, as offline."""
    from model.data import NEVER

    table = dataset.items
    columns = zip(
        dataset.item_ids, table.title, table.category, table.brand, table.text, table.price.tolist(),
        table.available_from.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "item_id": item_id,
            **{
                name: text
                for name, text in (("title", title), ("category", category), ("brand", brand), ("text", told))
                if text
            },
            **({} if np.isnan(price) else {"price": price}),
            "available_from": None if available == NEVER else available,
        }
        for item_id, title, category, brand, told, price, available in columns
    ]


def batches(documents: list[dict[str, Any]], size: int = BATCH) -> Iterator[list[dict[str, Any]]]:
    """Consecutive parts of at most `size`."""
    for start in range(0, len(documents), size):
        yield documents[start : start + size]
