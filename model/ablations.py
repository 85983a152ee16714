"""The served preset with one part that does nothing, to measure what that part earns; evaluated, not served."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from model.modules.static_item import StaticItem
from model.modules.time_encoding import TimeEncoding
from model.presets import FACET_DROPOUT, PRESETS, Network, peregrine
from model.spec import FACETS, ModelSpec

Preset = Callable[[ModelSpec], Network]


def _changed(change: Callable[[Network], None]) -> Preset:
    def build(spec: ModelSpec) -> Network:
        network = peregrine(spec)
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


def _random_updater(network: Network) -> None:
    """Not even begun: the usual first weights, which training leaves, as a released implementation of DynLLM does."""
    for updater in (network.update_users, network.update_items):
        for part in updater.modules():
            if isinstance(part, nn.Linear):
                part.reset_parameters()
    _untrained_updater(network)


def _no_codes(network: Network) -> None:
    """A user's memory hears nothing of which item it was, so that memory begins without what it holds at first."""
    codes = slice(network.spec.static_dim, network.spec.dim)

    def deaf(_part: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        m, total, *others = inputs
        heard = torch.ones(total.shape[1])
        heard[codes] = 0.0
        return m, total * heard, *others

    network.update_users.register_forward_pre_hook(deaf)


def _no_time_encoding(network: Network) -> None:
    for part in network.modules():
        if isinstance(part, TimeEncoding):
            silence(part)


ABLATED: Mapping[str, Preset] = {
    "no-memory": _changed(_no_memory),
    "untrained-updater": _changed(_untrained_updater),
    "random-updater": _changed(_random_updater),
    "no-attention": _silenced("neighbours"),
    "no-time-encoding": _changed(_no_time_encoding),
    "no-projection": _changed(lambda network: still(network.projection)),
    "no-history": _silenced("history"),
    "no-habits": _silenced("habits"),
    "no-popularity": _silenced("popularity"),
    "no-pairs": _silenced("score_pairs"),
    "no-text": _changed(lambda network: deafen(network.static_items, 0)),
    "no-codes": _changed(_no_codes),
}


class SummedFacets(nn.Module):
    """h_u = fusion(z^G_u) + sum_f has_f gate_f * [ x(p^f) || 0 ],  x = LN(W_s .), as of items; four gates (s,) from 0

    A facet is then compared with the items' own texts, as the history pooled beside it is. It takes the place of
    tokens and of the attention over them. static: the module of W_s, which stays the network's.
    """

    def __init__(self, fusion: nn.Module, static: StaticItem, dropout: float) -> None:
        super().__init__()
        self.fusion, self.hide = fusion, nn.Dropout(dropout)
        self._static = (static,)  # in a tuple: its weights are saved once
        self.gate = nn.Parameter(torch.zeros(len(FACETS), len(static.text.weight)))

    def forward(self, graph: Tensor, told: tuple[Tensor, Tensor]) -> Tensor:
        facets, has = told
        static = self._static[0]
        shown = (self.hide(has) > 0.0).to(facets.dtype).unsqueeze(-1)
        near = (shown * self.gate * static.norm(static.text(facets))).sum(dim=1)
        h: Tensor = self.fusion(graph, graph.new_zeros(len(graph), len(FACETS), graph.shape[1]))
        return h + torch.nn.functional.pad(near, (0, h.shape[1] - near.shape[1]))


class _Untold(nn.Module):
    """Facets as they are, no tokens."""

    def forward(self, facets: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
        return facets, has


class LoudDistillation(nn.Module):
    """The same with S = d p * q / (||p|| ||q||): entries of about 1 whatever the width, where S = p * q / ||q|| has
    entries of about 1 / d, whose tanh leaves next to nothing of p."""

    def __init__(self, keep: int) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, tokens: Tensor, graph: Tensor) -> Tensor:
        norms = tokens.norm(dim=-1, keepdim=True) * graph.norm(dim=-1, keepdim=True).unsqueeze(1)
        agreement = tokens.shape[-1] * tokens * graph.unsqueeze(1) / norms.clamp(min=1e-6)
        least = agreement.topk(self.keep, dim=-1).values[..., -1:]
        distilled: Tensor = tokens * torch.tanh(agreement) * (agreement >= least).to(tokens.dtype)
        return distilled


def _loud_facets(network: Network) -> None:
    network.fusion.distil = LoudDistillation(network.fusion.distil.keep)  # type: ignore[assignment]


def _summed_facets(network: Network) -> None:
    network.fusion = SummedFacets(network.fusion, network.static_items, FACET_DROPOUT)  # type: ignore[assignment]
    network.facets = _Untold()  # type: ignore[assignment]


FACET_FORMS: Mapping[str, Preset] = {
    "plain-facets": _changed(lambda network: still(network.fusion.distil)),
    "loud-facets": _changed(_loud_facets),
    "summed-facets": _changed(_summed_facets),
}
"""Other ways to use profiles: attention over facets without distillation, or with one that does not fade
with the width; facets added beside the items' texts."""

COMPOSITIONS: Mapping[str, Preset] = {
    **PRESETS,
    **{f"peregrine-{name}": preset for name, preset in {**ABLATED, **FACET_FORMS}.items()},
}
"""All that weights can be of, by the name that a spec carries."""
