"""The deep baselines of the comparison, each with the settings that are searched."""

from __future__ import annotations

from model.baselines.baseline import Entry, grid
from model.baselines.gat import gat
from model.baselines.gcn import gcn
from model.baselines.lightgcn import lightgcn
from model.baselines.ngcf import ngcf

_GRAPH = grid(layers=(2, 1), dropout=(0.1, 0.5))

DEEP: tuple[Entry, ...] = (
    Entry("gcn", gcn, _GRAPH, static=True, patience=2),
    Entry("gat", gat, _GRAPH, static=True, patience=2),
    Entry("ngcf", ngcf, _GRAPH, static=True, patience=2),
    Entry("lightgcn", lightgcn, grid(layers=(2, 3, 1), dropout=(0.1, 0.5)), static=True, patience=2),
)
