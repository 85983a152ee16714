"""The equations of the family against torch-geometric's on the same weights.

They coincide in the memory (message, last of several messages, GRU), in attention over neighbours (TransformerConv
without its skip, keys and values sharing the edge projection), and in the time encoding up to its scale and to log1p,
which ours takes of the gap first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.family.attention import FoldedNeighbours
from model.family.batches import Batch, whole_timestamps
from model.family.presets import FamilySetting, tgn
from model.family.stream import Stream
from model.modules.neighbours import NeighbourAttention
from model.modules.time_encoding import TimeEncoding
from tests.bench.geometric import TimeEncoder, TransformerConv, example_memory
from tests.modules.streams import random_stream

DIM, TIME_DIM, USERS, ITEMS = 8, 6, 7, 11


class LogTime(nn.Module):
    """Our time encoding in the place of torch-geometric's."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(1, 1)  # its device is asked for
        self.phi = TimeEncoding(TIME_DIM)

    def forward(self, gap: Tensor) -> Tensor:
        encoded: Tensor = self.phi(gap)
        return encoded


def test_memory_moves_as_that_of_torch_geometric() -> None:
    torch.manual_seed(0)
    events = random_stream(8, 240, USERS, ITEMS, per_timestamp=1)
    stream = Stream.of(events)
    setting = FamilySetting(dim=DIM, time_dim=TIME_DIM, neighbours=4, features=False)
    ours = tgn(setting, stream)
    theirs = example_memory(stream.nodes, 1, DIM, TIME_DIM)
    theirs.time_enc = LogTime()
    theirs.gru.load_state_dict(ours.updater.cell.state_dict())
    nn.Module.train(theirs, False)  # its own `train` would step all memories on no messages
    state, whole = ours.empty_state(DIM, 4, stream.start), Batch.of(events)
    with torch.no_grad():
        for rows in whole_timestamps(events.timestamp, 20):
            batch = whole.take(rows)
            ours.process(state, batch)
            theirs.update_state(batch.user, batch.item, batch.time - stream.start, torch.ones(len(batch), 1))
            torch.testing.assert_close(state.memory, theirs.memory)
    assert state.memory.any()


def test_the_step_repeated_with_gradient_gives_the_stored_memory() -> None:
    torch.manual_seed(0)
    events = random_stream(8, 240, USERS, ITEMS)
    stream = Stream.of(events)
    network = tgn(FamilySetting(dim=DIM, time_dim=TIME_DIM, neighbours=4), stream)
    state, whole = network.empty_state(DIM, 4, stream.start), Batch.of(events)
    for rows in whole_timestamps(events.timestamp, 20):
        network.process(state, whole.take(rows))
    again = network.memory(state, torch.arange(stream.nodes))
    assert again.requires_grad
    torch.testing.assert_close(again, state.memory)


def test_time_encoding_is_that_of_torch_geometric_on_the_log_of_the_gap() -> None:
    phi, theirs = TimeEncoding(TIME_DIM), TimeEncoder(TIME_DIM)
    gap = torch.tensor([0.0, 1.0, 60.0, 86_400.0])
    half = TIME_DIM // 2
    with torch.no_grad():
        theirs.lin.weight.copy_(phi.frequencies.repeat(2).unsqueeze(1))
        theirs.lin.bias.copy_(torch.tensor([0.0, -torch.pi / 2]).repeat_interleave(half))  # cos(x - pi/2) = sin x
        torch.testing.assert_close(phi(gap) * half**0.5, theirs(torch.log1p(gap)), rtol=1e-4, atol=1e-5)


def inputs(types: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """memory, v, kind, gap, mask of three users; the second has one neighbour, the third none."""
    mask = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    return (
        torch.randn(3, DIM),
        torch.randn(3, 4, DIM),
        torch.randint(types, (3, 4)),
        torch.rand(3, 4) * 1e5,
        mask,
    )


def test_folded_attention_is_attention() -> None:
    torch.manual_seed(0)
    plain = NeighbourAttention(DIM, TIME_DIM, 3, 2, 0.0)
    folded = FoldedNeighbours(DIM, TIME_DIM, 3, 2, 0.0)
    for layer in (plain.attention.value, plain.attention.key):
        nn.init.normal_(layer.weight)
    folded.load_state_dict(plain.state_dict())
    given = inputs(3)
    torch.testing.assert_close(folded(*given), plain(*given), rtol=1e-4, atol=1e-5)


def test_attention_is_the_transformer_convolution_of_torch_geometric() -> None:
    torch.manual_seed(0)
    ours = FoldedNeighbours(DIM, TIME_DIM, 3, 2, 0.0)
    memory, v, kind, gap, mask = inputs(3)
    edge = torch.cat([ours.phi(gap), ours.event_type(kind)], dim=-1)
    theirs = TransformerConv(DIM, DIM // 2, heads=2, edge_dim=edge.shape[-1], root_weight=False)
    at = ours.attention
    with torch.no_grad():
        for layer, same in ((at.key, theirs.lin_key), (at.value, theirs.lin_value)):
            layer.weight.copy_(torch.cat([same.weight, theirs.lin_edge.weight], dim=1))
            layer.bias.copy_(same.bias)
        at.query.weight.copy_(nn.functional.pad(theirs.lin_query.weight, (0, TIME_DIM)))
        at.query.bias.copy_(theirs.lin_query.bias)
        at.output.weight.copy_(torch.eye(DIM))
        at.output.bias.zero_()
        ours.output[-1].weight.zero_()
        ours.output[-1].bias.zero_()
        row, place = torch.nonzero(mask, as_tuple=True)
        edges = torch.stack([3 + row * 4 + place, row])  # neighbours are nodes of their own
        found = theirs(torch.cat([memory, v.flatten(0, 1)]), edges, edge[row, place])[:3]
        torch.testing.assert_close(ours(memory, v, kind, gap, mask), found, rtol=1e-4, atol=1e-5)
