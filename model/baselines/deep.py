"""The deep baselines of the comparison, each with the settings that are searched."""

from __future__ import annotations

from model.baselines.baseline import Entry, grid
from model.baselines.gat import gat
from model.baselines.gcn import gcn
from model.baselines.gru4rec import gru4rec
from model.baselines.lightgcn import lightgcn
from model.baselines.ngcf import ngcf
from model.baselines.sasrec import sasrec

_GRAPH = grid(layers=(1, 2), dropout=(0.1, 0.5))
_SEQUENCE = grid(learning_rate=(1e-2, 3e-3), dim=(64, 128), dropout=(0.2, 0.5))
"""Smaller rates stay at popularity for more rounds than patience has."""

DEEP: tuple[Entry, ...] = (
    Entry("gcn", gcn, _GRAPH, static=True, patience=3),
    Entry("gat", gat, _GRAPH, static=True, patience=3),
    Entry("ngcf", ngcf, _GRAPH, static=True, patience=3),
    Entry("lightgcn", lightgcn, grid(layers=(2, 1, 3), weight_decay=(0.01, 1.0)), static=True, patience=3),
    Entry("sasrec", sasrec, _SEQUENCE, static=True, patience=4),
    Entry("gru4rec", gru4rec, tuple({"layers": 1, **setting} for setting in _SEQUENCE), static=True, patience=4),
)
"""Softmax loss in all of them."""
