"""Profiles of the history, which `peregrine profile build` makes: who a user was before each period.

profiles.parquet   one row for each user and period that brought another profile:
    user_id, begin               from this moment on [unix seconds], until the user's next row; made from events before
    crowd interest category brand   phrases
    items                        ids it was made from, newest first
    input_hash                   names what it was made from
    vectors                      half-precision floats: a row of `width` for each facet that has phrases
  and beside the columns: who made them, the embedder, the width of a vector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.data.dataset import Dataset, FloatArray, ProfileTable
from model.data.errors import DataError, MissingDataError
from model.spec import FACETS

FILE = "profiles.parquet"
_META = b"peregrine"
_HALF = np.dtype("<f2")


@dataclass(frozen=True)
class PastProfile:
    """A user's profile from `begin` [unix seconds] on. facets: phrases; vectors: (4, d_f), zero without phrases."""

    user_id: str
    begin: int
    facets: Mapping[str, Sequence[str]]
    items: Sequence[str]
    input_hash: str
    vectors: FloatArray


@dataclass(frozen=True)
class Made:
    """Of all profiles of a file. maker: source, model, prompt version, embedder; period [s]; width: d_f."""

    maker: Mapping[str, str]
    period: int
    width: int


def write_profiles(path: Path, profiles: Sequence[PastProfile], made: Made) -> None:
    """Writes the file, whole or not at all."""
    columns: dict[str, Any] = {
        "user_id": [profile.user_id for profile in profiles],
        "begin": np.array([profile.begin for profile in profiles], dtype=np.int64),
    }
    phrases = pa.list_(pa.string())
    for name in FACETS:
        columns[name] = pa.array([list(profile.facets.get(name, ())) for profile in profiles], phrases)
    columns["items"] = pa.array([list(profile.items) for profile in profiles], phrases)
    columns["input_hash"] = [profile.input_hash for profile in profiles]
    columns["vectors"] = pa.array([_packed(profile) for profile in profiles], pa.binary())
    meta = {"maker": dict(made.maker), "period": made.period, "width": made.width}
    new = path.with_name(path.name + ".new")
    pq.write_table(pa.table(columns).replace_schema_metadata({_META: json.dumps(meta).encode()}), new)
    new.replace(path)


def _packed(profile: PastProfile) -> bytes:
    there = [bool(profile.facets.get(name)) for name in FACETS]
    return profile.vectors[there].astype(_HALF).tobytes()


def read_profiles(dataset: Dataset, path: Path) -> ProfileTable:
    """The profiles of a file, of those who are users of the data set.

    Raises MissingDataError when there is no such file, DataError when it is not one of ours.
    """
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}: make it with `peregrine profile build`")
    try:
        table = pq.read_table(path)
        meta = json.loads(table.schema.metadata[_META])
        return _table(dataset, table, meta["maker"], meta["width"])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} was not written by `peregrine profile build`: {error}") from error


def _table(dataset: Dataset, table: pa.Table, maker: Mapping[str, str], width: int) -> ProfileTable:
    code_of = {user_id: code for code, user_id in enumerate(dataset.user_ids)}
    user = np.array([code_of.get(user_id, -1) for user_id in table["user_id"].to_pylist()], dtype=np.int64)
    begin = np.asarray(table["begin"], dtype=np.int64)
    order = np.lexsort((begin, user))
    order = order[user[order] >= 0]
    table = table.take(order)
    there = np.stack([np.asarray(pc.list_value_length(table[name])) > 0 for name in FACETS], axis=1)
    vectors = np.zeros((len(order), len(FACETS), width), dtype=_HALF)
    vectors[there] = np.frombuffer(b"".join(table["vectors"].to_pylist()), dtype=_HALF).reshape(-1, width)
    item_of = {item_id: code for code, item_id in enumerate(dataset.item_ids)}
    items = [np.array([item_of[i] for i in ids if i in item_of], dtype=np.int64) for ids in table["items"].to_pylist()]
    return ProfileTable(user[order], begin[order], vectors, items, dict(maker))
