"""`TemporalModel` answered from torch weights: numpy in, numpy out, no gradient.

Training and evaluation run the state process on it; the service runs the exported graphs of the same network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.presets import Network
from model.process.records import Float, Records, row_inputs
from model.process.temporal_model import READ_INPUTS, UserEmbeddings, UserInputs
from model.spec import ModelSpec


class TorchModel:
    """A network as it is: whoever trains it puts it into eval mode before asking for embeddings."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def spec(self) -> ModelSpec:
        return self.network.spec

    @property
    def initial_user(self) -> Float:
        return array(self.network.initial_user)

    @property
    def initial_item(self) -> Float:
        return array(self.network.initial_item)

    @torch.no_grad()
    def update_users(self, rows: Records) -> Float:
        return array(self.network.update_users(*row_tensors(rows)))

    @torch.no_grad()
    def update_items(self, rows: Records) -> Float:
        return array(self.network.update_items(*row_tensors(rows)))

    @torch.no_grad()
    def static_items(self, text: Float) -> Float:
        return array(self.network.static_items(torch.from_numpy(text)))

    @torch.no_grad()
    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        h, w_pop, q_pair = self.network.embed_users(*row_tensors(inputs.rows), *read_tensors(inputs))
        return UserEmbeddings(array(h), array(w_pop), array(q_pair))

    @torch.no_grad()
    def popularity(self, features: Float) -> Float:
        return array(self.network.popularity(torch.from_numpy(features)))

    @torch.no_grad()
    def score_pairs(self, features: Float, query: Float) -> Float:
        return array(self.network.score_pairs(torch.from_numpy(features), torch.from_numpy(query)))


def array(tensor: Tensor) -> Float:
    """A copy that no later step of the optimiser can reach."""
    return tensor.detach().numpy().copy()


def row_tensors(rows: Records) -> list[Tensor]:
    """The five tensors of a row, in the order of the graphs: m, sum, count, gap, steps."""
    return [torch.from_numpy(values) for values in row_inputs(rows).values()]


def read_tensors(inputs: UserInputs) -> list[Tensor]:
    """What `embed_users` takes after the row, in its order."""
    return [torch.from_numpy(np.ascontiguousarray(getattr(inputs, name))) for name in READ_INPUTS]
