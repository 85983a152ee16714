"""One step of training: some users' moments, read with gradient, scored, and compared with what they then took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.process.batch import Events
from model.process.popularity import popularity_features
from model.process.records import NEVER, UNSET_ITEM, Float, Int
from model.state import USER_STEPS, Steps, TrainingState
from model.torch_model import TorchModel
from model.training.config import TrainingConfig
from model.training.loss import EXCLUDED, LOSSES
from model.training.negatives import Columns, Negatives
from model.training.reads import Reads


@dataclass
class ItemSide:
    """What a step scores: its columns, their vectors v (K, d) and popularity dimensions P (K, P), both leaves of the
    graph, and what they are made of.

    features: (K, F_pop); tick: of the log's time; touched, steps: the codes of the items that the step's events move,
    ascending, and their last ticks as they are before that.
    """

    columns: Columns
    vectors: Tensor
    popularity: Tensor
    features: Tensor
    tick: int
    touched: Int
    steps: Steps


class TrainingStep:
    """Losses and gradients of one network on one state.

    Users are read at their exact rows. The item side is as of the log's time before the step's first event: exact
    there, a little old at the step's end. That is so in training only.
    """

    def __init__(
        self,
        model: TorchModel,
        memory: TrainingState,
        text: Float,
        negatives: Negatives,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> None:
        self._spec, self._network = model.spec, model.network
        self.memory, self._state = memory, memory.state
        self._negatives, self._config, self._rng = negatives, config, rng
        self._text = torch.from_numpy(text)

    def available(self, at: int) -> NDArray[np.bool_]:
        """(N,) items that may be recommended at `at` [s], before its events."""
        items = self._state.items
        return np.asarray((items["first_event"] != NEVER) | (items["available_from"] <= at))

    @torch.no_grad()
    def item_side(self, events: Events, available: NDArray[np.bool_]) -> ItemSide:
        """The columns of a step on `events`. Refreshes the static parts that the state holds."""
        near = self._state.users["nb_item"][np.unique(events.user)]
        columns = self._negatives.columns(available, np.union1d(near[near != UNSET_ITEM], events.item))
        static: Tensor = self._network.static_items(columns.among(self._text))
        self.memory.set_static(columns.items, static.numpy())
        stored = torch.from_numpy(columns.among(self._state.item_vectors)[:, self._spec.static_dim :])
        found = popularity_features(columns.among(self._state.items), self._state.log_time, self._spec)
        features = torch.from_numpy(found)
        touched, tick = np.unique(events.item), self._spec.tick_of(self._state.log_time)
        return ItemSide(
            columns,
            torch.cat([static, stored], dim=1).requires_grad_(),
            self._network.popularity(features).requires_grad_(),
            features,
            tick,
            touched,
            self.memory.item_steps(touched, tick),
        )

    def backward(self, side: ItemSide, reads: Reads) -> tuple[float, float]:
        """Adds the step's gradient to the weights; returns the losses of `next` and `discover`, each a mean by event.

        The item side is passed once, however many parts the users' side is cut into.
        """
        weights = np.maximum([reads.event_weight.sum(), (reads.event_weight * reads.event_new).sum()], 1e-9)
        lost = np.zeros(2)
        for part in reads.parts(max(1, self._config.score_cells // len(side.vectors))):
            next_loss, discover_loss = self._losses(side, part)
            mean = next_loss / weights[0] + self._config.discover_weight * discover_loss / weights[1]
            mean.backward()
            lost += [next_loss.item(), discover_loss.item()]
        self._pass_on(side)
        return tuple(lost / weights)

    def _pass_on(self, side: ItemSide) -> None:
        """Hands the gradient of the items' side on to the weights that it was made with.

        They take it from a sample of the columns, each drawn with a chance in proportion to the size of its gradient
        and weighted by the inverse: right on average, and near the whole, for few columns have most of it. Their values
        are not used, only their gradient: recomputed memory would tell, under weights that moved since, the positives
        from the rest.
        """
        gradient = torch.cat([_of(side.vectors), _of(side.popularity)], dim=1)  # (K, d + P)
        chance = chances(gradient.norm(dim=1).numpy(), self._config.gradient_items)
        chosen = np.flatnonzero(self._rng.random(len(chance)) < chance)
        here = torch.from_numpy(chosen)
        static = self._network.static_items(side.columns.among(self._text)[here])
        dynamic = self._steps(side, chosen).replay(self._network.update_items, self._network.initial_item)
        popularity = self._network.popularity(side.features[here])
        weight = torch.from_numpy((1.0 / chance[chosen]).astype(np.float32)).unsqueeze(1)
        torch.autograd.backward(torch.cat([static, dynamic, popularity], dim=1), gradient[here] * weight)

    def _steps(self, side: ItemSide, columns: Int) -> Steps:
        """The last ticks of some columns as they were before the step's events."""
        items = side.columns.items[columns]
        steps = self.memory.item_steps(items, side.tick)
        moved = np.flatnonzero(np.isin(items, side.touched))
        steps.put(moved, side.steps.take(np.searchsorted(side.touched, items[moved])))
        return steps

    def _losses(self, side: ItemSide, reads: Reads) -> tuple[Tensor, Tensor]:
        column = side.columns.of
        place = (torch.from_numpy(reads.event_row), torch.from_numpy(column(reads.event_item)))
        weight, new = torch.from_numpy(reads.event_weight), torch.from_numpy(reads.event_new)
        h, w_pop, q_pair = self._embed(side, reads)
        offset = torch.from_numpy(side.columns.offset).repeat(len(reads), 1)
        offset[place] = torch.where(weight > 0, 0.0, offset[place])
        scores = h @ side.vectors.T + w_pop @ side.popularity.T + offset  # (B, K)

        seen = np.isin(reads.pair_item, side.columns.items)
        own = (torch.from_numpy(reads.pair_row[seen]), torch.from_numpy(column(reads.pair_item[seen])))
        agreement = (h[own[0]] * side.vectors[own[1]]).sum(dim=1, keepdim=True)
        query = torch.cat([q_pair[own[0]], agreement], dim=1)
        addition = self._network.score_pairs(torch.from_numpy(reads.pair_features[seen]), query)
        scores = scores.index_put(own, addition, accumulate=True)
        unseen = scores.index_put(own, torch.full_like(addition, EXCLUDED))
        loss = LOSSES[self._config.loss]
        return loss(scores, *place, weight), loss(unseen, *place, weight * new)

    def _embed(self, side: ItemSide, reads: Reads) -> tuple[Tensor, Tensor, Tensor]:
        """h, w_pop, q_pair; some users are read with only the end of their history."""
        kept = self._kept(len(reads))
        reads.steps.forget(kept)
        there = torch.from_numpy(kept > 0)
        n = reads.nb_mask.shape[1]
        longest = -(-kept * n // (USER_STEPS + 1))
        mask = torch.from_numpy(reads.nb_mask * (np.arange(n) < longest[:, None]))
        nb_v = side.vectors[torch.from_numpy(side.columns.of(reads.nb_item))]
        shown = kept[reads.pair_row] > USER_STEPS
        memory = reads.steps.replay(self._network.update_users, self._network.initial_user)
        return self._network.embed_memory(
            memory,
            torch.from_numpy(reads.since) * there,
            torch.from_numpy(reads.gap_stats) * there.unsqueeze(1),
            torch.from_numpy(reads.habits),
            nb_v * mask.unsqueeze(2),
            torch.from_numpy(reads.nb_type),
            torch.from_numpy(reads.nb_gap),
            mask,
            torch.from_numpy(reads.pair_features[shown]),
            torch.from_numpy(reads.pair_v[shown]),
            torch.from_numpy(reads.pair_row[shown]),
            torch.from_numpy(reads.facets),
            torch.from_numpy(reads.has),
        )

    def _kept(self, moments: int) -> Int:
        """(B,) steps that each user is read with, the open moment included."""
        kept = np.full(moments, USER_STEPS + 1)
        cut = self._rng.random(moments) < self._config.history_dropout
        kept[cut] = self._rng.integers(USER_STEPS + 1, size=int(cut.sum()))
        return kept


def chances(sizes: NDArray[np.floating], wanted: int) -> NDArray[np.float64]:
    """(K,) chances in proportion to `sizes`, 1 at most, that come to `wanted` as far as they can; 0 where a size is."""
    size = sizes.astype(np.float64) / max(float(sizes.max(initial=0.0)), 1e-30)
    certain = np.zeros(len(size), dtype=np.bool_)
    while left := float(size[~certain].sum()):
        chance = np.where(certain, 1.0, size * (max(wanted - int(certain.sum()), 0) / left))
        over = ~certain & (chance >= 1.0)
        if not over.any():
            return chance
        certain |= over
    return certain.astype(np.float64)


def _of(leaf: Tensor) -> Tensor:
    """Its gradient."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
