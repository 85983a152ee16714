"""The settings of a training run, as written to its config.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ProfileForm = Literal["made", "shuffled", "titles"]
"""How profiles are used; see `model.training.profiles`."""


SMALLEST_BATCH = 64
"""Below that, what a step costs beside its events is most of it."""


@dataclass(frozen=True)
class TrainingConfig:
    """Widths of the model, length and pace of training, and what is hidden while it learns.

    The defaults are meant to serve any data set; the number of epochs is chosen on validation.
    """

    preset: str = "peregrine"
    dim: int = 256
    time_dim: int = 32
    neighbours: int = 32

    epochs: int = 6
    """At most; training stops after `patience` epochs without a better validation figure."""
    patience: int = 1
    refit: bool = True
    """Train again on train + validation for the chosen number of epochs."""
    start_from: str | None = None
    """Folder of a run or bundle whose weights are the first ones."""
    seed: int = 0
    threads: int = 1
    """One thread makes a run repeatable to the last bit."""

    batch_events: int = 256
    """Of a step at most, but for events of one timestamp."""
    least_steps: int = 1_000
    """Of an epoch: a stream that is short for that is cut into smaller batches."""
    replays: list[float] = field(default_factory=lambda: [0.5, 0.8])
    """Shares of an epoch after which memory is made anew by a replay; after the last one, what makes it rests."""
    learning_rate: float = 2e-3
    count_rate: float = 6e-3
    """Learning rate of the networks over counters: popularity, pairs and habits."""
    memory_rate: float = 1e-4
    """Learning rate of what a step brings into memory; gates learn at the usual one. A memory is made by thousands of
    steps: at the full rate what they bring changes faster than memory is made, and what it began with, averages of what
    happened, is gone before anything is better."""
    warm_up: int = 50
    """Steps over which the rates rise."""
    last_rate: float = 0.05
    """Share of the rates that is left at the end of an epoch; they fall in a straight line."""
    average: float = 0.998
    """Share of the running average of weights that a step leaves."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    loss: str = "softmax"
    """A name of `model.training.loss.LOSSES`."""
    discover_weight: float = 0.5
    history_dropout: float = 0.1
    """Share of users who are read with only the end of their history."""

    gradient_items: int = 1_024
    """Items of a step, about, that its gradient reaches the item networks through."""
    full_softmax: int = 50_000
    """Items up to which all of them are scored."""
    negatives: int = 8_192
    """Draws of a step above `full_softmax` items."""
    score_cells: int = 2**23
    """Users x items scored in one step; a larger batch makes several."""
    scored_rows: int = 3_000
    """Rows of validation that are scored after each epoch."""
    profiles: str | None = None
    """File of `peregrine profile build`; without one users are trained without facets."""
    profile_form: ProfileForm = "made"
    spec: dict[str, Any] = field(default_factory=dict)
    """Fields of ModelSpec that are set by hand, over what the data says."""

    def batch(self, events: int) -> int:
        """Events of a step where an epoch has so many."""
        return min(self.batch_events, max(SMALLEST_BATCH, events // self.least_steps))
