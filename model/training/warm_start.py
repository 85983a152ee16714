"""Weights to begin from: those of a model that was trained before."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from model.weights import WeightsError, load_model


def warm_start(network: nn.Module, folder: Path) -> None:
    """Takes over all tensors from the run or bundle in `folder`. Raises WeightsError where widths differ."""
    theirs, ours = load_model(folder).network.state_dict(), network.state_dict()
    for name, tensor in ours.items():
        if name not in theirs or theirs[name].shape != tensor.shape:
            raise WeightsError(f"{folder} cannot be started from: {name} has another shape; train afresh")
    with torch.no_grad():
        for name, tensor in ours.items():
            tensor.copy_(theirs[name])
