"""What has a row in the table: chosen on validation, refitted on train + validation, ready to be asked.

Two kinds are known: a `Searched` entry of `model.baselines` (`searched.py`), and the training pipeline of the system
itself (`peregrine.py`). Another one need only keep this protocol.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from model.baselines.baseline import Setting
from model.data import Dataset
from model.evaluate import Scorer

VALIDATION_ROWS = 3_000
"""Rows of validation that choices are made on, about; the same for every model."""


@dataclass(frozen=True)
class Point:
    """A fit after a round. seconds: of the processor, fitting so far; total: with validation; ndcg: NDCG@10 on
    validation by task."""

    seconds: float
    total: float
    ndcg: Mapping[str, float]
    loss: float | None = None

    @property
    def figure(self) -> float:
        """What is chosen by: the mean over tasks."""
        return sum(self.ndcg.values()) / max(1, len(self.ndcg))


@dataclass(frozen=True)
class Trial:
    """A setting on validation, round by round."""

    setting: Setting
    seed: int
    curve: list[Point]

    @property
    def rounds(self) -> int:
        """The number of rounds that is best on validation."""
        return max(range(len(self.curve)), key=lambda place: self.curve[place].figure) + 1

    @property
    def best(self) -> Point:
        return self.curve[self.rounds - 1]

    @property
    def total(self) -> float:
        """Seconds it took, with validation."""
        return self.curve[-1].total


@dataclass(frozen=True)
class Trained:
    """A model refitted on train + validation. trials: of the search; seconds: of the refit alone."""

    scorer: Callable[[], Scorer]
    chosen: Trial
    trials: list[Trial]
    seconds: float


@dataclass(frozen=True)
class Stage:
    """Where a model trains. It never reads the test part.

    dataset: prepared, the whole; source: what it was loaded from. folder: of this model, for all its seeds; an
    interrupted run goes on from what it left there. budget: processor seconds for the trials of a seed, None for no
    bound; when it is spent no other setting and no other round is begun. profiles: a file of them, for models that read
    profiles.
    """

    dataset: Dataset
    source: str
    folder: Path
    budget: float | None
    console: Console
    profiles: Path | None = None


class Candidate(Protocol):
    """One name in the table."""

    @property
    def name(self) -> str: ...

    @property
    def deterministic(self) -> bool:
        """No seed matters: one run is enough."""
        ...

    @property
    def static(self) -> bool:
        """Nothing but history moves after training: evaluated frozen, too."""
        ...

    def train(self, stage: Stage, seed: int) -> Trained:
        """Chooses on validation, refits on train + validation."""
        ...
