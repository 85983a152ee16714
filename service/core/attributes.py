"""What lists filter by, of every item, in columns by catalogue index: made from the catalogue's JSON documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.process.records import NEVER, Int
from service.core.log_records import UnreadableRecord
from service.core.terms import Terms
from service.core.times import parse_time

Mask = NDArray[np.bool_]
Scalar = str | float | bool

NONE: Final = -1
"""Code of a category or brand that an item does not have."""
DELETED: Final = "deleted"
"""In a document: the item was taken out of the catalogue, and is in no list."""
_UNUSED = ("title", "text")
_SMALLEST = 1_024


def searchable(document: bytes) -> bytes:
    """The document without what no filter reads: what every replica is told of an item. Raises UnreadableRecord."""
    fields = _fields(document)
    _numbers(fields)
    return json.dumps({name: value for name, value in fields.items() if name not in _UNUSED}).encode()


def deletion(item_id: str) -> bytes:
    """The document of an item that is taken out of the catalogue."""
    return json.dumps({"item_id": item_id, DELETED: True}).encode()


def is_deletion(document: bytes) -> bool:
    return b'"deleted"' in document and DELETED in _fields(document)


def attribute_term(name: str, value: Scalar) -> str:
    """The term of an attribute's value; 1 and 1.0 are the same, "1" and true are others."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(["attribute", name, float(value) if number else value])


def tag_term(tag: str) -> str:
    return json.dumps(["tag", tag])


class Attributes:
    """Columns for N items; those of items without a document are blank.

    category, brand: (N,) codes or NONE; price: (N,), NaN without one; until: (N,) unix seconds from which the item is
    in no list, -NEVER if that never comes; hidden: (N,) items that are in no list. Not to be written from outside.
    """

    def __init__(self) -> None:
        self._count = 0
        self._codes: dict[str, dict[str, int]] = {"category": {}, "brand": {}}
        self._columns: dict[str, NDArray[Any]] = {name: _blank(name, _SMALLEST) for name in _DTYPES}
        self._terms = Terms()

    def __len__(self) -> int:
        return self._count

    @property
    def price(self) -> NDArray[np.float64]:
        return self._columns["price"][: self._count]

    @property
    def until(self) -> Int:
        return self._columns["until"][: self._count]

    @property
    def hidden(self) -> Mask:
        return self._columns["hidden"][: self._count]

    def codes(self, field: str) -> NDArray[np.int32]:
        """(N,) of `category` or `brand`."""
        return self._columns[field][: self._count]

    def code(self, field: str, value: str) -> int | None:
        """The code of a category or brand; None if no item ever had it."""
        return self._codes[field].get(value)

    def owners(self, term: str) -> Int:
        """Indexes of the items that bear a term."""
        return self._terms.owners(term)

    def grow(self, count: int) -> None:
        """Blank columns up to `count` items."""
        capacity = len(self._columns["price"])
        if count > capacity:
            more = max(count, 2 * capacity) - capacity
            self._columns = {name: np.concatenate([held, _blank(name, more)]) for name, held in self._columns.items()}
        self._count = max(self._count, count)

    def put_all(self, start: int, documents: Sequence[bytes | None]) -> None:
        """The items start, start + 1, ..., as they are read from the state."""
        self.grow(start + len(documents))
        for at, document in enumerate(documents, start):
            if document:
                self.put(at, document)

    def put(self, index: int, document: bytes) -> None:
        """The item's document from now on, whole or `searchable`. Raises UnreadableRecord."""
        fields = _fields(document)
        self.grow(index + 1)
        for field, codes in self._codes.items():
            value = fields.get(field)
            self._columns[field][index] = NONE if value is None else codes.setdefault(value, len(codes))
        self._columns["price"][index], self._columns["until"][index] = _numbers(fields)
        self._columns["hidden"][index] = bool(fields.get("hidden") or fields.get(DELETED))
        self._terms.put(index, list(_terms_of(fields)))


_DTYPES: dict[str, tuple[type, Any]] = {
    "category": (np.int32, NONE),
    "brand": (np.int32, NONE),
    "price": (np.float64, np.nan),
}
_DTYPES |= {"until": (np.int64, -NEVER), "hidden": (np.bool_, False)}


def _blank(name: str, count: int) -> NDArray[Any]:
    dtype, value = _DTYPES[name]
    return np.full(count, value, dtype)


def _fields(document: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(document) if document else {}
    except ValueError as exc:
        raise UnreadableRecord(f"the document of an item is no JSON: {exc}") from exc
    if not isinstance(fields, dict):
        raise UnreadableRecord(f"the document of an item is {type(fields).__name__}, not an object")
    return fields


def _numbers(fields: Mapping[str, Any]) -> tuple[float, int]:
    """Price and end of the item, as the columns have them."""
    price, until = fields.get("price"), fields.get("available_until")
    try:
        return (np.nan if price is None else float(price)), (-NEVER if until is None else parse_time(until))
    except (TypeError, ValueError) as exc:
        raise UnreadableRecord(f"the document of an item has price {price!r}, available_until {until!r}") from exc


def _terms_of(fields: Mapping[str, Any]) -> Iterator[str]:
    """Of each tag, and of each attribute whose value is a text, a number or a truth, or a list of such."""
    yield from map(tag_term, fields.get("tags") or ())
    for name, value in (fields.get("attributes") or {}).items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str | int | float):
                yield attribute_term(name, one)
