"""Embeddings remembered by text: categories, brands and titles come again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from model.process.records import Float
from service.serving_ports import TextEmbedder


class CachedEmbedder:
    """`TextEmbedder` before another one. size: texts that are remembered, those least recently used go first.

    Threads may share it; two of them may embed the same text once each.
    """

    def __init__(self, embedder: TextEmbedder, size: int = 20_000) -> None:
        self._embedder = embedder
        self._size = size
        self._known: OrderedDict[str, Float] = OrderedDict()
        self._lock = Lock()

    @property
    def id(self) -> str:
        return self._embedder.id

    @property
    def dim(self) -> int:
        return self._embedder.dim

    def embed(self, texts: Sequence[str]) -> Float:
        with self._lock:
            rows = {text: self._known[text] for text in texts if text in self._known}
        missing = [text for text in dict.fromkeys(texts) if text not in rows]
        if missing:
            rows |= zip(missing, self._embedder.embed(missing), strict=True)
        with self._lock:
            for text, row in rows.items():
                self._known[text] = row
                self._known.move_to_end(text)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return np.stack([rows[text] for text in texts]) if texts else np.zeros((0, self.dim), np.float32)
