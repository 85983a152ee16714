"""A data set as the state process sees it: its events as `Events`, its catalogue as a fresh `State`."""

from __future__ import annotations

import numpy as np

from model.data.dataset import Dataset
from model.process.batch import Events
from model.process.records import Float
from model.process.state import State
from model.spec import ModelSpec
from model.text import SENTENCE_DIM, SENTENCE_ENCODER, SentenceEncoder, item_text
from model.torch_model import TorchModel


def to_events(dataset: Dataset, spec: ModelSpec, first_offset: int = 1) -> Events:
    """All events of `dataset`, offsets counting from `first_offset`; types that the spec lacks become `other`."""
    codes = np.array([spec.type_code(name) for name in dataset.event_types], dtype=np.uint8)
    return Events(
        user=dataset.user.astype(np.int64),
        item=dataset.item.astype(np.int64),
        timestamp=dataset.timestamp // spec.time_resolution * spec.time_resolution,
        type=codes[dataset.event_type],
        value=dataset.value,
        offset=np.arange(first_offset, first_offset + len(dataset)),
    )


def new_state(model: TorchModel, dataset: Dataset, text: Float) -> State:
    """The state before any event, for the users and items of `dataset`, who are read with the profiles that it has of
    them. text: (N, d_t), see `item_texts`."""
    static = model.static_items(text)
    facets = None if dataset.profiles is None else dataset.profiles.facets
    return State(model, dataset.n_users, dataset.item_ids, static, dataset.items.available_from, facets)


def item_texts(dataset: Dataset, embedder: str | None, width: int) -> Float:
    """(N, width) text embeddings of the items; zeros where nothing is known, or without an embedder.

    Raises ValueError for an embedder that is not ours, ModuleNotFoundError without the `text` extra.
    """
    if embedder is None:
        return np.zeros((dataset.n_items, width), dtype=np.float32)
    if (embedder, width) != (SENTENCE_ENCODER, SENTENCE_DIM):
        raise ValueError(f"item texts were embedded with {embedder} ({width}); only {SENTENCE_ENCODER} is known here")
    table = dataset.items
    rows = zip(table.title, table.category, table.brand, table.text, strict=True)
    distinct, place = np.unique([item_text(*row) for row in rows], return_inverse=True)
    return SentenceEncoder().embed(distinct.tolist())[place]
