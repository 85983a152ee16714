"""The profiles that a model is trained and evaluated with, and what takes their place to measure what they say.

made       as they are in the file
shuffled   each period's profiles exchanged between its users: as many, as good, of somebody else
titles     in place of all facets one: the mean of the text embeddings of the items that the profile was made from
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from model.data.dataset import Dataset, ProfileTable
from model.data.errors import DataError
from model.data.profiles import read_profiles
from model.process.records import Float
from model.spec import FACETS, ModelSpec
from model.training.config import ProfileForm

SHUFFLING = 0
"""Seed of the exchange: the same for every run."""


def attach(dataset: Dataset, path: str | None, form: ProfileForm, spec: ModelSpec, text: Float) -> Dataset:
    """The data set with the profiles of a file, if there is one. text: (N, d_t) of its items.

    Raises DataError if there is no such file, or if its vectors are not of the embedder of the items.
    """
    if path is None:
        return replace(dataset, profiles=None)
    table = read_profiles(dataset, Path(path))
    if table.maker["embedder"] != spec.embedder or table.vectors.shape[-1] != spec.facet_dim:
        raise DataError(
            f"{path} was embedded by {table.maker['embedder']} ({table.vectors.shape[-1]}), the model's texts by "
            f"{spec.embedder} ({spec.facet_dim}): build the profiles with the same embedder"
        )
    if form == "shuffled":
        table = _shuffled(table)
    elif form == "titles":
        table = _titles(table, text)
    return replace(dataset, profiles=table)


def _shuffled(table: ProfileTable) -> ProfileTable:
    """Every user keeps the moments of their own rows."""
    rng = np.random.default_rng(SHUFFLING)
    other = np.arange(len(table.user))
    for begin in np.unique(table.begin):
        rows = np.flatnonzero(table.begin == begin)
        turn = rng.permutation(rows)
        other[turn] = np.roll(turn, 1)  # in a ring: nobody keeps their own, unless alone
    return replace(table, vectors=table.vectors[other], items=[table.items[row] for row in other.tolist()])


def _titles(table: ProfileTable, text: Float) -> ProfileTable:
    vectors = np.zeros((len(table.user), len(FACETS), text.shape[1]), dtype=np.float16)
    for row, items in enumerate(table.items):
        if len(items):
            mean = text[items].mean(axis=0)
            vectors[row, FACETS.index("interest")] = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return replace(table, vectors=vectors)
