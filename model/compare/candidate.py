"""What has a row in the table: chosen on validation, refitted on train + validation, ready to be asked.

Two kinds are known: a `Searched` entry of `model.baselines` (`searched.py`), and the training pipeline of the system
itself (`pipeline.py`). Another one need only keep this protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console

from model.baselines.baseline import Setting
from model.data import Dataset
from model.evaluate import Scorer

VALIDATION_ROWS = 3_000
"""Rows of validation that choices are made on, about; the same for every model."""


@dataclass(frozen=True)
class Trial:
    """A setting on validation: `figure` after its best round, and how it got there.

    curve: (seconds of fitting, figure) after each round. figure: the mean of NDCG@10 of both tasks.
    """

    setting: Setting
    figure: float
    rounds: int
    seconds: float
    curve: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """A model refitted on train + validation. seconds: of that fit alone."""

    scorer: Callable[[], Scorer]
    chosen: Trial
    trials: list[Trial]
    seconds: float


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

    def train(
        self, dataset: Dataset, source: str, seed: int, folder: Path, budget: float | None, console: Console
    ) -> Trained:
        """Chooses on validation, refits on train + validation; never reads the test part.

        dataset: prepared; source: what it was loaded from. folder: of this model and seed; an interrupted call goes on
        from what it left there. budget: seconds for the search on validation, None for no bound; when it is spent no
        other setting and no other round is begun.
        """
        ...
