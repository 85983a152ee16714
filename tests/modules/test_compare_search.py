"""How a baseline is searched: by validation, within its budget, and over interruptions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from model.baselines import Popularity
from model.baselines.baseline import Entry, Job, Round, grid
from model.compare.candidate import Stage, Trained
from model.compare.searched import Searched
from model.data import Dataset, split
from model.metrics import Score
from tests.modules.streams import random_stream


class Peaked:
    """Scores as popularity does, but only if it was fitted well."""

    def __init__(self, n_items: int, good: bool) -> None:
        self._popularity = Popularity(n_items)
        self._sign = 1.0 if good else -1.0
        self.latest = 0

    def apply(self, events: Dataset, /) -> None:
        self._popularity.apply(events)

    def score(self, users: np.ndarray, at: np.ndarray, /) -> Score:
        return self._sign * self._popularity.score(users, at)


class Recorder:
    """A fit that is good at one setting after one number of rounds, and remembers what it was asked for."""

    def __init__(self, best_round: int = 2, rounds: int = 6) -> None:
        self.best_round, self.rounds = best_round, rounds
        self.asked: list[tuple[str, int, int]] = []  # setting, seed, last timestamp
        self.done: list[int] = []  # rounds of each fit

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]:
        self.asked.append((job.setting["kind"], job.seed, int(events.timestamp[-1])))
        self.done.append(0)
        for number in range(1, self.rounds + 1):
            self.done[-1] = number
            good = job.setting["kind"] == "good" and number == self.best_round
            yield Round(number, lambda good=good: Peaked(events.n_items, good))  # type: ignore[misc]


def skewed() -> Dataset:
    """Half of all events are of item 0."""
    rng = np.random.default_rng(1)
    made = random_stream(2, 800, 10, 20)
    item = np.where(rng.random(len(made)) < 0.5, 0, made.item).astype(np.int32)
    return Dataset(**{**vars(made), "item": item}).in_order()


def trained(fit: Recorder, tmp_path: Path, seed: int = 0, budget: float | None = None, patience: int = 2) -> Trained:
    entry = Entry("recorded", fit, grid(kind=("bad", "good", "worse")), patience=patience)
    stage = Stage(skewed(), "nowhere", tmp_path, budget, Console(quiet=True))
    return Searched(entry).train(stage, seed)


def test_the_setting_and_the_rounds_are_those_that_are_best_on_validation(tmp_path: Path) -> None:
    fit = Recorder()
    found = trained(fit, tmp_path)
    assert (found.chosen.setting, found.chosen.rounds) == ({"kind": "good"}, 2)
    assert [trial.setting["kind"] for trial in found.trials] == ["bad", "good", "worse"]
    # patience of two rounds after the best one, which is the first where all are bad; the refit stops at the best
    assert fit.done == [3, 4, 3, 2]


def test_trials_see_the_training_part_alone_and_the_refit_nothing_of_test(tmp_path: Path) -> None:
    fit, data = Recorder(), skewed()
    trained(fit, tmp_path)
    parts = split(data)
    ends = [int(data.timestamp[part.stop - 1]) for part in (parts.train, parts.validation)]
    assert [last for _, _, last in fit.asked] == [ends[0]] * 3 + [ends[1]]


def test_other_seeds_try_the_chosen_setting_alone_and_choose_their_own_rounds(tmp_path: Path) -> None:
    trained(Recorder(), tmp_path)
    other = Recorder(best_round=3)
    found = trained(other, tmp_path, seed=1)
    assert [asked[:2] for asked in other.asked] == [("good", 1), ("good", 1)]
    assert (found.chosen.seed, found.chosen.rounds) == (1, 3)
    assert len(found.trials) == 3


def test_a_spent_budget_leaves_one_round_of_the_first_setting(tmp_path: Path) -> None:
    fit = Recorder()
    found = trained(fit, tmp_path, budget=0.0)
    assert [trial.setting["kind"] for trial in found.trials] == ["bad"]
    assert fit.done == [1, 1]


class Interrupted(Recorder):
    """The first fit ends in the middle, after round 2; a fit that finds its checkpoint begins with that round."""

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]:
        checkpoint = job.folder / "checkpoint"
        first = 2 if checkpoint.exists() else 1
        for number in range(first, 5):
            checkpoint.touch()
            self.done.append(number)
            yield Round(number, lambda: self._asked_for(events, number))  # noqa: B023 - asked before the fit goes on
            if (first, number) == (1, 2):
                raise KeyboardInterrupt

    def _asked_for(self, events: Dataset, number: int) -> Peaked:
        self.asked.append(("scorer", number, 0))
        return Peaked(events.n_items, number == 4)


def test_an_interrupted_fit_goes_on_from_its_checkpoint_and_no_round_is_validated_twice(tmp_path: Path) -> None:
    fit = Interrupted()
    search = Searched(Entry("interrupted", fit, ({},), patience=9))
    stage = Stage(skewed(), "nowhere", tmp_path, None, Console(quiet=True))
    with pytest.raises(KeyboardInterrupt):
        search.train(stage, 0)
    with pytest.raises(KeyboardInterrupt):  # the trial ends, now the refit is interrupted
        search.train(stage, 0)
    found = search.train(stage, 0)
    assert fit.done == [1, 2, *(2, 3, 4), *(1, 2), *(2, 3, 4)]
    assert [number for _, number, _ in fit.asked] == [1, 2, 3, 4]
    assert (found.chosen.rounds, len(found.chosen.curve)) == (4, 4)


def test_what_a_fit_of_another_setting_left_is_not_taken_for_its_own(tmp_path: Path) -> None:
    stage = Stage(skewed(), "nowhere", tmp_path, None, Console(quiet=True))
    with pytest.raises(KeyboardInterrupt):
        Searched(Entry("changed", Interrupted(), ({"size": 1},), patience=9)).train(stage, 0)
    fit = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        Searched(Entry("changed", fit, ({"size": 2},), patience=9)).train(stage, 0)
    assert fit.done == [1, 2]
