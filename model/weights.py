"""Weights on disk. A run folder and a bundle keep them alike:

spec.json             ModelSpec, with the name of the preset
weights.safetensors   all tensors of the network
"""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from model.ablations import COMPOSITIONS
from model.spec import ModelSpec
from model.torch_model import TorchModel

SPEC, WEIGHTS = "spec.json", "weights.safetensors"


class WeightsError(Exception):
    """A folder does not hold weights that can be used."""


def save_weights(model: TorchModel, folder: Path) -> None:
    """Writes both files, each whole or not at all."""
    model.spec.save(_new(folder / SPEC))
    tensors = {name: t.contiguous() for name, t in model.network.state_dict().items()}
    _new(folder / WEIGHTS).write_bytes(save(tensors))
    for name in (SPEC, WEIGHTS):
        os.replace(_new(folder / name), folder / name)


def load_model(folder: Path) -> TorchModel:
    """The model of a run folder or a bundle, in eval mode. Raises WeightsError, which says what is wrong."""
    try:
        spec = ModelSpec.load(folder / SPEC)
        tensors = load_file(folder / WEIGHTS)
        network = COMPOSITIONS[spec.preset](spec)
        network.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise WeightsError(f"{folder} is neither a run folder nor a bundle: it lacks {error.filename}") from error
    except KeyError as error:
        raise WeightsError(f"{folder} was made with the preset {error}, which is not known here") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder} holds weights that do not fit together: {error}") from error
    return TorchModel(network.eval())


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")
