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


def network(items: int, seed: int, **widths: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return PRESETS[SPEC.preset](SPEC.model_copy(update=widths), items)


@pytest.fixture
def former(tmp_path: Path) -> TorchModel:
    model = TorchModel(network(3, seed=0).eval(), ["tea", "jam", "egg"])
    save_weights(model, tmp_path)
    return model


def test_weights_are_taken_over_and_learned_ids_go_with_their_items(former: TorchModel, tmp_path: Path) -> None:
    fresh = network(3, seed=1)
    before = fresh.state_dict()["item_id"].clone()
    warm_start(fresh, ["jam", "new", "tea"], tmp_path)
    theirs = former.network.state_dict()
    for name, tensor in fresh.state_dict().items():
        if name != "item_id":
            assert torch.equal(tensor, theirs[name]), name
    found = fresh.state_dict()["item_id"]
    assert torch.equal(found[[0, 2]], theirs["item_id"][[1, 0]])
    assert torch.equal(found[1], before[1])


def test_other_widths_cannot_be_started_from(former: TorchModel, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="another shape"):
        warm_start(network(3, seed=1, dim=32), ["tea", "jam", "egg"], tmp_path)
