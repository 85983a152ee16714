"""Weights on disk. A run folder and a bundle keep them alike:

spec.json             ModelSpec, with the name of the preset
item_ids.json         ids of the items with a learned vector, in the order of the tensor `item_id`
weights.safetensors   all tensors of the network
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from model.ablations import COMPOSITIONS
from model.spec import ModelSpec
from model.torch_model import TorchModel

SPEC, ITEM_IDS, WEIGHTS = "spec.json", "item_ids.json", "weights.safetensors"


class WeightsError(Exception):
    """A folder does not hold weights that can be used."""


def save_weights(model: TorchModel, folder: Path) -> None:
    """Writes the three files, each whole or not at all."""
    model.spec.save(_new(folder / SPEC))
    _new(folder / ITEM_IDS).write_text(json.dumps(model.item_ids) + "\n", encoding="utf-8")
    tensors = {name: t.contiguous() for name, t in model.network.state_dict().items()}
    _new(folder / WEIGHTS).write_bytes(save(tensors))
    for name in (SPEC, ITEM_IDS, WEIGHTS):
        os.replace(_new(folder / name), folder / name)


def load_model(folder: Path) -> TorchModel:
    """The model of a run folder or a bundle, in eval mode. Raises WeightsError, which says what is wrong."""
    try:
        spec = ModelSpec.load(folder / SPEC)
        item_ids: list[str] = json.loads((folder / ITEM_IDS).read_bytes())
        tensors = load_file(folder / WEIGHTS)
        network = COMPOSITIONS[spec.preset](spec, len(item_ids))
        network.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise WeightsError(f"{folder} is neither a run folder nor a bundle: it lacks {error.filename}") from error
    except KeyError as error:
        raise WeightsError(f"{folder} was made with the preset {error}, which is not known here") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder} holds weights that do not fit together: {error}") from error
    return TorchModel(network.eval(), item_ids)


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")
