"""The learned half of an item's identity: vectors of the items that training has seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.process.records import Float
from model.process.temporal_model import TemporalModel


class LearnedItems:
    """ids: of K items; vectors: (K, d/2)."""

    def __init__(self, ids: Sequence[str], vectors: Float) -> None:
        self._place = {item_id: place for place, item_id in enumerate(ids)}
        self._vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])]) if len(ids) else vectors

    def static_half(self, item_ids: Sequence[str], text: Float, model: TemporalModel) -> Float:
        """(B, d/2) x_i of items by id and text vector (B, d_t); an item that training has not seen goes by its text."""
        places = np.array([self._place.get(item_id, -1) for item_id in item_ids], dtype=np.int64)
        known = (places >= 0).astype(np.float32)
        if len(self._place):
            vectors = self._vectors[places]
        else:
            vectors = np.zeros((len(item_ids), model.spec.item_dim), dtype=np.float32)
        return model.static_items(text, vectors, known)
