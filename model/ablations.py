"""The served preset with one part that does nothing, to measure what that part earns; evaluated, not served."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from model.modules.time_encoding import TimeEncoding
from model.presets import PRESETS, Network, peregrine
from model.spec import ModelSpec

Preset = Callable[[ModelSpec, int], Network]


class Silenced(nn.Module):
    """0 in the shape of what `part` answers; its weights stay as they are."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        answer: Tensor = 0.0 * self.part(*inputs)
        return answer


class First(nn.Module):
    """What comes in first goes out: memory that never moves, or a projection that never drifts."""

    def forward(self, first: Tensor, *_others: Tensor) -> Tensor:
        return first


class Deaf(nn.Module):
    """`part` with one of its inputs set to 0."""

    def __init__(self, part: nn.Module, place: int) -> None:
        super().__init__()
        self.part, self.place = part, place

    def forward(self, *inputs: Tensor) -> Tensor:
        answer: Tensor = self.part(*(0.0 * x if n == self.place else x for n, x in enumerate(inputs)))
        return answer


def _changed(change: Callable[[Network], None]) -> Preset:
    def build(spec: ModelSpec, item_count: int) -> Network:
        network = peregrine(spec, item_count)
        change(network)
        return network

    return build


def _silenced(part: str) -> Preset:
    return _changed(lambda network: setattr(network, part, Silenced(getattr(network, part))))


def _no_memory(network: Network) -> None:
    for name in ("update_users", "update_items"):
        setattr(network, name, First())


def _untrained_updater(network: Network) -> None:
    network.update_users.requires_grad_(False)
    network.update_items.requires_grad_(False)


def _no_time_encoding(network: Network) -> None:
    for module in list(network.modules()):
        for name, part in module.named_children():
            if isinstance(part, TimeEncoding):
                setattr(module, name, Silenced(part))


ABLATED: Mapping[str, Preset] = {
    "no-memory": _changed(_no_memory),
    "untrained-updater": _changed(_untrained_updater),
    "no-attention": _silenced("neighbours"),
    "no-time-encoding": _changed(_no_time_encoding),
    "no-projection": _changed(lambda network: setattr(network, "projection", First())),
    "no-popularity": _silenced("popularity"),
    "no-pairs": _silenced("score_pairs"),
    "no-text": _changed(lambda network: setattr(network, "static_items", Deaf(network.static_items, 0))),
    "no-ids": _changed(lambda network: setattr(network, "static_items", Deaf(network.static_items, 2))),
}

COMPOSITIONS: Mapping[str, Preset] = {**PRESETS, **{f"peregrine-{name}": preset for name, preset in ABLATED.items()}}
"""All that weights can be of, by the name that a spec carries."""
