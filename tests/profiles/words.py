"""A text embedder small enough to foresee: texts are near if they share words (of Chinese, characters)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from model.process.records import Float

_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


class WordEmbedder:
    """`TextEmbedder`. embedded: texts it was asked for, in order."""

    def __init__(self, dim: int = 256, name: str = "words") -> None:
        self.id = name
        self.dim = dim
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Float:
        self.embedded += texts
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for place, text in enumerate(texts):
            for word in _WORDS.findall(text.casefold()):
                vectors[place] += _direction(word, self.dim)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Float = vectors / np.maximum(norms, np.float32(1e-9))
        return unit


def _direction(word: str, dim: int) -> Float:
    seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
