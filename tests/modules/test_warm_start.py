"""Training that begins with the weights of a former model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.presets import PRESETS
from model.torch_model import TorchModel
from model.training.warm_start import warm_start
from model.weights import WeightsError, save_weights
from tests.e2e.bundle import SPEC


def network(seed: int, **widths: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return PRESETS[SPEC.preset](SPEC.model_copy(update=widths))


@pytest.fixture
def former(tmp_path: Path) -> TorchModel:
    model = TorchModel(network(seed=0).eval())
    save_weights(model, tmp_path)
    return model


def test_all_weights_are_taken_over(former: TorchModel, tmp_path: Path) -> None:
    fresh = network(seed=1)
    warm_start(fresh, tmp_path)
    theirs = former.network.state_dict()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def test_other_widths_cannot_be_started_from(former: TorchModel, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="another shape"):
        warm_start(network(seed=1, dim=32), tmp_path)
