"""What SASRec and GRU4Rec share: windows over the users' histories, training and scoring.

A token is an item; every sequence begins with a start token, so a user without history is asked like any other. The
target of the state after an event is all that the user took at the next timestamp, each a positive: what shares a
timestamp is taken at once, and the evaluator never shows a part of it. Longer histories are cut into windows that
overlap by half; each target belongs to the window that shows most of what came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from model.baselines.baseline import Job, Round
from model.baselines.known_items import KnownItems
from model.baselines.softmax import softmax_loss
from model.baselines.user_events import UserEvents
from model.data.dataset import Dataset, Int64Array
from model.metrics import Score

WINDOWS_A_STEP = 64
STEPS_A_ROUND = 40
ROUNDS = 200
CLIP = 1.0
START = 0
"""The token before the first event, and behind the last of a short window, where nothing reads it. Items follow."""


class SequenceSetting(BaseModel):
    """What is searched, and the rest of what a network is built from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = 64
    layers: int = 2
    dropout: float = 0.2
    length: int = 50
    """Events of a history that are read, the last ones."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.01


class SequenceNetwork(nn.Module):
    """Tokens to states by `encoder`; the score of an item is the product of the state with the item's own vector."""

    def __init__(self, items: int, dim: int, encoder: nn.Module) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(items + 1, dim) * dim**-0.5)
        self.encoder = encoder

    @property
    def items(self) -> Tensor:
        """(K, d) vectors of the known items."""
        return self.tokens[START + 1 :]

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, d), each state from the tokens up to its own."""
        states: Tensor = self.encoder(self.tokens[tokens])
        return states


class SequenceFit:
    """`Fit` of a sequential baseline. build: the network of a setting, for a number of known items."""

    def __init__(self, build: Callable[[SequenceSetting, int], SequenceNetwork]) -> None:
        self._build = build

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]:
        setting = SequenceSetting.model_validate(dict(job.setting))
        torch.manual_seed(job.seed)
        known = KnownItems(events)
        network = self._build(setting, len(known))
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
        )
        windows = Windows(events, known, setting.length)
        steps = windows.steps()
        for number in range(1, ROUNDS + 1):
            losses = []
            network.train()
            for _ in range(STEPS_A_ROUND):
                chosen = next(steps)
                window, place, row, positive = windows.targets(chosen)
                states = network(windows.tokens[chosen])[window, place]
                loss = softmax_loss(states, network.items, row, positive)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                optimiser.zero_grad()
                losses.append(loss.item())
                job.progress(len(positive))
            network.eval()
            scorer = partial(SequenceScorer, network, known, events.n_users, setting.length)
            yield Round(number, scorer, float(np.mean(losses)))


class Windows:
    """The windows of all users with their targets. tokens: (W, length + 1)."""

    def __init__(self, events: Dataset, known: KnownItems, length: int) -> None:
        order = np.argsort(events.user, kind="stable")
        user, time = events.user[order], events.timestamp[order]
        item = known.columns(events.item[order])
        begin = np.searchsorted(user, user)  # (E,) where the history of the event's user begins
        moment = np.ones(len(user), dtype=np.bool_)
        moment[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
        before = np.maximum.accumulate(np.where(moment, np.arange(len(user)), 0)) - begin  # events before its moment
        stride = length // 2
        number = np.maximum(-(-(before - length) // stride), 0)  # of the window within its user
        key, window = np.unique(user.astype(np.int64) << 32 | number, return_inverse=True)
        first = np.searchsorted(user, key >> 32) + (key & 0xFFFFFFFF) * stride  # (W,)
        index = first[:, None] + np.arange(length)  # (W, length)
        last = np.searchsorted(user, key >> 32, side="right")
        inside = np.where(index < last[:, None], item[np.minimum(index, len(item) - 1)] + START + 1, START)
        self.tokens = torch.from_numpy(np.pad(inside, ((0, 0), (1, 0)), constant_values=START))
        by_window = np.argsort(window, kind="stable")
        self._place = torch.from_numpy((before - number * stride)[by_window])
        self._item = torch.from_numpy(item[by_window])
        self._starts = torch.from_numpy(np.searchsorted(window[by_window], np.arange(len(key) + 1)))

    def steps(self) -> Iterator[Tensor]:
        """(B,) windows, all of them again and again in random order."""
        while True:
            yield from torch.split(torch.randperm(len(self.tokens)), WINDOWS_A_STEP)

    def targets(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of some windows: window (R,) and place (R,) of each state that has targets; row (E,) of R and item (E,)."""
        count = self._starts[chosen + 1] - self._starts[chosen]
        window = torch.repeat_interleave(torch.arange(len(chosen)), count)
        within = torch.arange(len(window)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        event = self._starts[chosen][window] + within
        width = self.tokens.shape[1]
        states, row = torch.unique(window * width + self._place[event], return_inverse=True)
        return states // width, states % width, row, self._item[event]


class SequenceScorer:
    """Reads the last events of each user's live history."""

    reads_alone = True

    def __init__(self, network: SequenceNetwork, known: KnownItems, n_users: int, length: int) -> None:
        self._network, self._known, self._length = network, known, length
        self._events = UserEvents(n_users)

    def apply(self, events: Dataset, /) -> None:
        self._events.apply(events)

    def score(self, users: Int64Array, _at: Int64Array, /) -> Score:
        """(B, N) scores; the moment does not matter."""
        histories = [self._known.columns(self._events.of(user)[0])[-self._length :] for user in users.tolist()]
        tokens = torch.full((len(users), max(map(len, histories)) + 1), START)
        for row, history in enumerate(histories):
            tokens[row, 1 : len(history) + 1] = torch.from_numpy(history) + START + 1
        with torch.no_grad():
            states = self._network(tokens)[torch.arange(len(users)), torch.tensor([len(h) for h in histories])]
            return self._known.spread((states @ self._network.items.T).numpy())
