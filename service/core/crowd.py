"""The users whose lists were made lately, by their embeddings: who resembles whom."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from model.process.records import Float

MOST = 20_000
"""Users that are remembered; the one who was noted first goes first."""


class Crowd:
    """(n, d) unit embeddings by user id, in memory of one process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._units = np.zeros((0, 0), np.float32)
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._ids)

    def note(self, user_id: str, h: Float) -> None:
        """The user's embedding (d,) from now on; the zero vector resembles nobody."""
        length = math.sqrt(float(h @ h))
        if not len(self._units):
            self._units = np.zeros((self._most, len(h)), np.float32)
        place = self._places.get(user_id)
        if place is None:
            place = self._take(user_id)
        self._units[place] = h / length if length else 0.0

    def _take(self, user_id: str) -> int:
        place, self._next = self._next, (self._next + 1) % len(self._units)
        if place < len(self._ids):
            self._places.pop(self._ids[place], None)
            self._ids[place] = user_id
        else:
            self._ids.append(user_id)
        self._places[user_id] = place
        return place

    def forget(self, user_ids: Sequence[str]) -> None:
        """They resemble nobody any more; their place is kept until its turn."""
        for user_id in user_ids:
            if (place := self._places.pop(user_id, None)) is not None:
                self._units[place] = 0.0
                self._ids[place] = ""

    def nearest(self, h: Float, k: int, without: str) -> list[tuple[str, float]]:
        """Up to k other users with the highest cosine above 0, best first."""
        if not self._ids:
            return []
        length = float(np.linalg.norm(h))
        cosines = self._units[: len(self._ids)] @ (h / length if length else h)
        order = np.argsort(-cosines, kind="stable")[: k + 1].tolist()
        found = [(self._ids[place], float(cosines[place])) for place in order if cosines[place] > 0.0]
        return [one for one in found if one[0] != without][:k]
