"""What a profiler is told of a user: the items they had lately."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from pydantic_core import to_json

from model.process.batch import Users
from model.process.records import NEVER
from model.spec import ModelSpec
from service.core.profiles import Maker
from service.profile_path.untrusted import names_of
from service.profile_ports import History, HistoryItem
from service.serving_ports import StateReader

DAY = 86_400


class ItemIds:
    """Ids by catalogue index, read once: they are given for good. Of one generation."""

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._ids: list[str] = []
        self._reading = asyncio.Lock()

    async def of(self, index: Sequence[int]) -> list[str]:
        most = max(index, default=-1)
        async with self._reading:
            if most >= (start := len(self._ids)):
                self._ids += await self._reader.item_ids(start, most - start + 1)
        return [self._ids[at] for at in index]


async def read_history(
    users: Users, reader: StateReader, ids: ItemIds, spec: ModelSpec, most: int, window: int
) -> History:
    """The items of one user's last `window` seconds before their last event, `most` of them at most, newest first.

    Items that the catalogue knows no text of are left out.
    """
    pairs = users.pairs[users.pairs["last"] >= int(users.rows["last"][0]) - window]
    pairs = pairs[np.lexsort((pairs["item"], -pairs["last"]))][:most]
    item_ids = await ids.of(pairs["item"].tolist())
    documents = await reader.documents(item_ids) if item_ids else []
    types = _types(users, spec)
    last = int(users.rows["last"][0])
    items = []
    for pair, item_id, document in zip(pairs, item_ids, documents, strict=True):
        names = names_of(document)
        if any(names):
            kind, age = types.get(int(pair["item"]), ""), (last - int(pair["last"])) // DAY
            items.append(HistoryItem(item_id, *names, kind, int(pair["count"]), age))
    return History(tuple(items))


def _types(users: Users, spec: ModelSpec) -> dict[int, str]:
    """Type of the newest event by item, as far as the neighbours tell."""
    row = users.rows[0]
    slots = zip(row["nb_item"].tolist(), row["nb_type"].tolist(), row["nb_time"].tolist(), strict=True)
    newest_last = sorted((at, item, kind) for item, kind, at in slots if at != NEVER)
    return {item: spec.event_types[kind] for _, item, kind in newest_last}


def input_hash(history: History, maker: Maker) -> str:
    """Names what a profile is made from: the same history and the same maker give the same answer, or should."""
    items = [[item.title, item.category, item.brand, item.type, item.count, item.age] for item in history.items]
    return sha256(to_json([maker.source, maker.model, maker.prompt, maker.embedder, items])).hexdigest()
