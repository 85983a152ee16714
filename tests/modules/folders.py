"""Small folders of data in every format, written by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from model.data import Dataset, read_folder

NOON = 1_577_880_000  # 2020-01-01T12:00:00Z
Rows = list[dict[str, object]]

EVENTS: Rows = [
    {"user_id": "bo", "item_id": "tea", "timestamp": NOON + 60, "event_type": "purchase", "value": 2.5},
    {"user_id": "al", "item_id": "tea", "timestamp": NOON, "event_type": "view", "value": None},
    {"user_id": "al", "item_id": "10", "timestamp": NOON, "event_type": None, "value": 1.0},
    {"user_id": "al", "item_id": "9", "timestamp": NOON, "event_type": "view", "value": 1.0},
]
ITEMS: Rows = [
    {"item_id": "tea", "title": "Green tea", "category": "Tea", "brand": None, "price": 3.5, "available_from": NOON},
    {"item_id": "jam", "title": "Jam", "category": None, "brand": "B", "price": None, "available_from": None},
]


def write_parquet(path: Path, rows: Rows) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path)


def write_csv(path: Path, rows: Rows) -> None:
    lines = [",".join(rows[0])]
    lines += [",".join("" if cell is None else str(cell) for cell in (row[name] for name in rows[0])) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def write_ndjson(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "ndjson": write_ndjson,
}


def folder_of(path: Path, ending: str, events: Rows = EVENTS, items: Rows | None = None) -> Path:
    WRITERS[ending](path / f"interactions.{ending}", events)
    if items is not None:
        WRITERS[ending](path / f"items.{ending}", items)
    return path


def as_tuples(data: Dataset) -> list[tuple[str, str, int, str, float]]:
    return [
        (data.user_ids[u], data.item_ids[i], int(t), data.event_types[e], float(v))
        for u, i, t, e, v in zip(data.user, data.item, data.timestamp, data.event_type, data.value, strict=True)
    ]


def read_text(path: Path, text: str | bytes, ending: str = "csv", stem: str = "interactions") -> Dataset:
    content = text.encode() if isinstance(text, str) else text
    if stem == "items":
        (path / "interactions.csv").write_text("user_id,item_id,timestamp\nal,tea,5\n")
    (path / f"{stem}.{ending}").write_bytes(content)
    return read_folder(path)
