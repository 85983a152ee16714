"""What onnxruntime alone takes for the calls that a run of the worker made."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from model.process.records import Float, Records
from model.process.temporal_model import TemporalModel, UserEmbeddings, UserInputs
from model.spec import ModelSpec


class Recorded:
    """A temporal model that keeps the rows its updaters were called with, so that the calls can be made again."""

    def __init__(self, model: TemporalModel) -> None:
        self._model = model
        self._rows: list[tuple[str, Records]] = []

    @property
    def spec(self) -> ModelSpec:
        return self._model.spec

    @property
    def initial_user(self) -> Float:
        return self._model.initial_user

    @property
    def initial_item(self) -> Float:
        return self._model.initial_item

    @property
    def calls(self) -> dict[str, dict[str, float]]:
        """By graph: calls, and rows of a call."""
        count, rows = Counter(name for name, _ in self._rows), Counter[str]()
        for name, some in self._rows:
            rows[name] += len(some)
        return {name: {"calls": count[name], "rows_per_call": round(rows[name] / count[name], 1)} for name in count}

    def clear(self) -> None:
        self._rows = []

    def seconds_alone(self) -> float:
        """Makes all calls since `clear` again, one after the other; the best of three times."""
        return float(np.min([self._again() for _ in range(3)]))

    def _again(self) -> float:
        begun = time.perf_counter()
        for name, rows in self._rows:
            getattr(self._model, name)(rows)
        return time.perf_counter() - begun

    def update_users(self, rows: Records) -> Float:
        self._rows.append(("update_users", rows.copy()))
        return self._model.update_users(rows)

    def update_items(self, rows: Records) -> Float:
        self._rows.append(("update_items", rows.copy()))
        return self._model.update_items(rows)

    def static_items(self, text: Float) -> Float:
        return self._model.static_items(text)

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        return self._model.embed_users(inputs)

    def popularity(self, features: Float) -> Float:
        return self._model.popularity(features)

    def score_pairs(self, features: Float, query: Float) -> Float:
        return self._model.score_pairs(features, query)
