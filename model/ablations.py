"""The served preset with one part that does nothing, to measure what that part earns; evaluated, not served."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from model.modules.time_encoding import TimeEncoding
from model.presets import PRESETS, Network, peregrine
from model.spec import ModelSpec

Preset = Callable[[ModelSpec, int], Network]


def _changed(change: Callable[[Network], None]) -> Preset:
    def build(spec: ModelSpec, item_count: int) -> Network:
        network = peregrine(spec, item_count)
        change(network)
        return network

    return build


def silence(part: nn.Module) -> None:
    """It answers 0, in the shape of its answer."""
    part.register_forward_hook(lambda _part, _inputs, answer: _zeros(answer))


def _zeros(answer: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return 0.0 * answer if isinstance(answer, Tensor) else tuple(0.0 * one for one in answer)


def still(part: nn.Module) -> None:
    """What comes in first goes out: memory that never moves, a projection that never drifts."""
    part.register_forward_hook(lambda _part, inputs, _answer: inputs[0])


def deafen(part: nn.Module, place: int) -> None:
    """It hears 0 in place of one of its inputs."""
    part.register_forward_pre_hook(
        lambda _part, inputs: tuple(0.0 * x if n == place else x for n, x in enumerate(inputs))
    )


def _silenced(name: str) -> Preset:
    return _changed(lambda network: silence(getattr(network, name)))


def _no_memory(network: Network) -> None:
    still(network.update_users)
    still(network.update_items)


def _untrained_updater(network: Network) -> None:
    network.update_users.requires_grad_(False)
    network.update_items.requires_grad_(False)


def _no_time_encoding(network: Network) -> None:
    for part in network.modules():
        if isinstance(part, TimeEncoding):
            silence(part)


ABLATED: Mapping[str, Preset] = {
    "no-memory": _changed(_no_memory),
    "untrained-updater": _changed(_untrained_updater),
    "no-attention": _silenced("neighbours"),
    "no-time-encoding": _changed(_no_time_encoding),
    "no-projection": _changed(lambda network: still(network.projection)),
    "no-history": _silenced("history"),
    "no-habits": _silenced("habits"),
    "no-popularity": _silenced("popularity"),
    "no-pairs": _silenced("score_pairs"),
    "no-text": _changed(lambda network: deafen(network.static_items, 0)),
    "no-ids": _changed(lambda network: deafen(network.static_items, 2)),
}

COMPOSITIONS: Mapping[str, Preset] = {**PRESETS, **{f"peregrine-{name}": preset for name, preset in ABLATED.items()}}
"""All that weights can be of, by the name that a spec carries."""
