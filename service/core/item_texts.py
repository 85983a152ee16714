"""The text vectors that a model reads of items, whichever embedder made those that the log holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from model.process.records import Float
from model.spec import ModelSpec
from model.text import item_text
from service.core.types import ItemChange

Embed = Callable[[Sequence[str]], Float | None]
"""Texts to (B, d_t) vectors; None if the embedder is not at hand."""


class ItemTexts:
    """embed: by the embedder of the spec; where it is not at hand, what another one made is no text at all."""

    def __init__(self, spec: ModelSpec, embed: Embed | None = None) -> None:
        self._spec = spec
        self._embed = embed

    def read(self, changes: Sequence[ItemChange]) -> list[tuple[str, bytes]]:
        """(embedder, vector) of each, made anew from the document where another embedder made the vector."""
        found = [(change.embedder, change.vector) for change in changes]
        if self._embed is None or self._spec.embedder is None:
            return found
        foreign = [place for place, (embedder, _) in enumerate(found) if embedder != self._spec.embedder]
        texts = [text_of(changes[place].document) for place in foreign]
        if any(texts) and (vectors := self._embed(texts)) is not None:
            for place, text, vector in zip(foreign, texts, vectors, strict=True):
                found[place] = (self._spec.embedder, vector.astype(np.float32).tobytes()) if text else ("", b"")
        return found

    def vectors(self, texts: Sequence[tuple[str, bytes]]) -> Float:
        """(B, d_t) of what `read` found; zero where there is no text, or one that another embedder made."""
        rows = np.zeros((len(texts), self._spec.text_dim), dtype=np.float32)
        for place, (embedder, vector) in enumerate(texts):
            if vector and embedder == self._spec.embedder:
                rows[place] = np.frombuffer(vector, dtype=np.float32)
        return rows


def text_of(document: bytes) -> str:
    """What is embedded of an item, from its JSON."""
    fields = json.loads(document)
    return item_text(*(fields.get(name) for name in ("title", "category", "brand", "text")))
