"""The ports of the life of a model (`ports` has them, too): bundles, live models, experiments between these."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from service.core.bundles import Bundle, RegisteredModel
from service.core.experiments import Counted, Experiment, Exposure
from service.core.live_models import Live, LiveModel
from service.core.side_by_side import NOTHING, SideBySide


class ModelRegistry(Protocol):
    """Bundles by version, each never changed."""

    def models(self) -> list[RegisteredModel]:
        """Oldest first."""
        ...

    def add(self, folder: Path) -> RegisteredModel:
        """Copies a bundle in, unless it is there. Raises BundleError for one that must not be served, and for another
        one of the same version."""
        ...

    def load(self, version: str) -> Bundle:
        """Raises BundleError, which says what is off."""
        ...

    def folder(self, version: str) -> Path:
        """Where its files are on this machine."""
        ...


class LiveModels(Protocol):
    """Which models are live, in one place that workers and replicas follow. Every change happens at once or not at all.
    All raise StoreUnavailable."""

    def live(self) -> Live: ...

    def begin(self, model: LiveModel, serving: LiveModel) -> LiveModel:
        """Adds a model under a generation of its own, blank or what a former attempt left, and `serving`, the active
        one, if this is the first. Raises Fenced if its bundle is live, LeaseHeld while a rebuild is under way."""
        ...

    def note(self, model: LiveModel) -> None:
        """Replaces what is known of a model. Raises Fenced if it is not live any more."""
        ...

    def switch(self, generation: int) -> bool:
        """Makes a live generation the active one; the one before stays live. False, and nothing is done, while its
        offset is behind. Raises Fenced for one that is not live."""
        ...

    def end(self, generation: int) -> bool:
        """Gives a generation up: its writer is fenced, and its records can be deleted (`Generations.delete_retired`).
        False if it was not live. Raises Fenced for the active one."""
        ...

    def report(self, replica: str, ready: Collection[int], beside: Mapping[int, SideBySide] = NOTHING) -> None:
        """A replica says which generations it could serve now, and, by generation, what it has found of its lists
        beside those of the active one so far."""
        ...

    def withdraw(self, replica: str) -> None:
        """A replica goes."""
        ...

    def replicas(self) -> dict[str, frozenset[int]]:
        """What replicas have reported within seconds."""
        ...

    def beside(self, generation: int) -> dict[str, SideBySide]:
        """The same of one generation, by replica."""
        ...

    def fullness(self) -> float:
        """Share of the server's memory limit that is taken; 0.0 without a limit."""
        ...


class Experiments(Protocol):
    """What experiments there are, and sums of what came of them. All raise StoreUnavailable."""

    async def all(self) -> list[Experiment]:
        """Oldest first."""
        ...

    async def put(self, experiment: Experiment) -> None:
        """Adds or replaces one, by its id."""
        ...

    async def shown(self, experiment: Experiment, exposures: Sequence[Exposure]) -> None:
        """Counts lists."""
        ...

    async def credited(self, experiment: Experiment, events: Sequence[tuple[str, str, int]]) -> int:
        """Counts (request id, one of RATES, day) for the variant whose list the request was answered with, as far as
        that is kept, and each request once for each rate; how many counted."""
        ...

    async def counted(self, experiment: Experiment, days: int) -> dict[str, Counted]:
        """By variant, what happened on the first `days`."""
        ...
