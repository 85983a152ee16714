"""Weights to begin from: those of a model that was trained before, as far as they fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from model.weights import WeightsError, load_model

ITEM_ID = "item_id"


def warm_start(network: nn.Module, item_ids: Sequence[str], folder: Path) -> None:
    """Takes over all tensors from the run or bundle in `folder`; learned item ids by the item they belong to.

    Items that the former training has not seen keep their new vector. Raises WeightsError where widths differ.
    """
    former = load_model(folder)
    theirs, ours = former.network.state_dict(), network.state_dict()
    places = {item: place for place, item in enumerate(former.item_ids)}
    known = [(here, places[item]) for here, item in enumerate(item_ids) if item in places]
    for name, tensor in ours.items():
        if name != ITEM_ID and (name not in theirs or theirs[name].shape != tensor.shape):
            raise WeightsError(f"{folder} cannot be started from: {name} has another shape; train afresh")
    with torch.no_grad():
        for name, tensor in ours.items():
            if name != ITEM_ID:
                tensor.copy_(theirs[name])
        if known:
            here, there = (torch.tensor(column) for column in zip(*known, strict=True))
            ours[ITEM_ID][here] = theirs[ITEM_ID][there]
