"""What a model of the comparison is: how it is searched, fitted and asked. `model.compare` runs it, this file says how.

    Entry.fit(events, job) -> Round, Round, ...      learns; after each round the model can be asked
    Round.scorer() -> Scorer                         asks: `apply(events)`, `score(users, at)` of `model.evaluate`

Fitting makes parameters, a scorer holds the history. A new scorer has seen nothing: whoever evaluates applies the
training rows to it, then every later timestamp after it was scored. So the two regimes of a static model (one whose
parameters do not move after training) need no code of its own:

live     `apply` goes on moving the history that the fixed parameters are read with (fold-in)
frozen   the same scorer inside `Frozen`: history, too, stops at the end of training
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from model.data.dataset import Dataset, Int64Array
from model.evaluate import Progress, Scorer
from model.metrics import Score

Setting = Mapping[str, Any]
"""Values of a model's main parameters by name: numbers, strings, truth values, None; goes to JSON as it is."""


@dataclass(frozen=True)
class Job:
    """One fit.

    progress: told the number of training events done since the last call; over all rounds together any number.
    folder: of this fit alone, empty or with what an interrupted fit of the same job left; a model whose rounds take
    minutes keeps a checkpoint there and goes on after it, others ignore it.
    """

    setting: Setting
    seed: int
    progress: Progress
    folder: Path


@dataclass(frozen=True)
class Round:
    """The model after round `number` (1, 2, ...) of a fit; the first one of a continued fit may be a later one.

    scorer: makes a scorer of the parameters as they are now, which has seen no event. It is used before the fit goes
    on, never after. loss: mean training loss of the round, None where there is none.
    """

    number: int
    scorer: Callable[[], Scorer]
    loss: float | None = None


class Fit(Protocol):
    """Learns from all events of a data set, and from nothing else.

    The data set's tables hold all users and items of the comparison, so codes and (B, N) scores fit; which of them
    come later is not to be used. Yields at least once, and then every few minutes at most (a part of a long epoch is a
    round, too), because only between rounds can validation stop a fit or its time run out. A model without rounds
    yields once. How many rounds are good is chosen outside: on validation, and the refit on train + validation is then
    stopped after as many. A model sets a largest number by ending.

    The same events, setting and seed give the same rounds, on one thread.
    """

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]: ...


@dataclass(frozen=True)
class Entry:
    """A model of the comparison and its search.

    search: the settings tried on validation, a short list over its own main parameters, the usual one first; with a
    bounded time the later ones may not be reached. deterministic: no seed matters, one is enough. static: nothing but
    history moves after training, so the frozen regime is reported beside the live one.
    patience: rounds without a better validation figure after which a fit is stopped.
    """

    name: str
    fit: Fit
    search: tuple[Setting, ...]
    deterministic: bool = False
    static: bool = False
    patience: int = 1


class Frozen:
    """A scorer whose history stands still; only the moment of the question moves."""

    reads_alone = True

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def apply(self, events: Dataset, /) -> None:
        """Nothing moves."""

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        return self._scorer.score(users, at)


def counting(make: Callable[[Dataset, Setting], Scorer]) -> Fit:
    """The fit of a model that learns nothing: all it knows comes through `apply`."""

    def fit(events: Dataset, job: Job, /) -> Iterator[Round]:
        yield Round(1, lambda: make(events, job.setting))

    return fit


def grid(**values: tuple[Any, ...]) -> tuple[Setting, ...]:
    """All combinations of the values; the first values make the first setting."""
    settings: list[dict[str, Any]] = [{}]
    for name, several in values.items():
        settings = [setting | {name: value} for setting in settings for value in several]
    return tuple(settings)
