"""What a preset takes from the events it is fitted on, and nothing of what comes later."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from model.data.dataset import Dataset, FloatArray, ItemTable
from model.spec import ModelSpec
from model.text import SentenceEncoder, has_sentence_encoder, item_text
from model.training.statistics import with_statistics

TEXT_DIM = 64
"""Leading components of the item texts that are kept."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Users are nodes 0 .. n_users - 1, items the ones after them; V nodes.

    known (V,): has an event. Mean and deviation of log1p(gap between a user's moments), and the gaps that the mean
    counts for in a user's own. start: time [s] of the first event.
    """

    n_users: int
    n_items: int
    types: int
    known: Tensor
    mean_log_gap: float
    sigma_log_gap: float
    gap_prior: float
    start: int
    items: ItemTable

    @classmethod
    def of(cls, events: Dataset) -> Stream:
        known = torch.zeros(events.n_users + events.n_items, dtype=torch.bool)
        known[events.user.astype(np.int64)] = True
        known[events.item + np.int64(events.n_users)] = True
        spec = with_statistics(ModelSpec(text_dim=1), events)
        return cls(
            n_users=events.n_users,
            n_items=events.n_items,
            types=len(events.event_types),
            known=known,
            mean_log_gap=spec.mean_log_gap,
            sigma_log_gap=spec.sigma_log_gap,
            gap_prior=spec.gap_prior,
            start=int(events.timestamp[0]),
            items=events.items,
        )

    @property
    def nodes(self) -> int:
        return self.n_users + self.n_items

    @property
    def no_text(self) -> Tensor:
        """(V, 0)."""
        return torch.zeros(self.nodes, 0)

    @cached_property
    def text(self) -> Tensor:
        """(V, f) text embeddings in the leading components of those of the known items, about 1 long; zeros for users
        and where nothing is known, all of them without the `text` extra."""
        if not has_sentence_encoder():
            return torch.zeros(self.nodes, 1)
        items = torch.from_numpy(_embedded(self.items))
        told = items.any(dim=1)
        fitted = items[told & self.known[self.n_users :]]
        mean = fitted.sum(0) / max(len(fitted), 1)
        components = torch.linalg.eigh((fitted - mean).T @ (fitted - mean)).eigenvectors.flip(1)[:, :TEXT_DIM]
        reduced = (items - mean) @ components * told.unsqueeze(1)
        scale = ((fitted - mean) @ components).norm(dim=1).mean().nan_to_num(1.0).clamp(min=1e-6)
        return torch.cat([torch.zeros(self.n_users, TEXT_DIM), reduced / scale])


@lru_cache(maxsize=1)
def _embedded(items: ItemTable) -> FloatArray:
    """(N, 512) once for all fits of a comparison."""
    rows = zip(items.title, items.category, items.brand, items.text, strict=True)
    return SentenceEncoder().embed([item_text(*row) for row in rows])
