"""A comparison that was killed anywhere goes on to the figures of an unbroken one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from model.baselines.baseline import Entry, Job, Round
from model.baselines.gru4rec import gru4rec
from model.compare.candidate import Candidate, Stage
from model.compare.peregrine import Pipeline
from model.compare.report import RESULTS, standings, write_results
from model.compare.run import Run, run
from model.compare.searched import Searched
from model.data import Dataset
from model.training.progress import ProgressBar
from tests.modules.streams import random_stream

DATA = random_stream(0, 240, 8, 30)


def _rounds(events: Dataset, job: Job, /) -> Iterator[Round]:
    yield from islice(gru4rec(events, job), 2)


CANDIDATES: tuple[Candidate, ...] = (  # one that learns by rounds, and the pipeline
    Searched(Entry("rounds", _rounds, tuple({"dim": 8, "length": 4, "dropout": share} for share in (0.2, 0.5)))),
    Pipeline("pipeline", {"dim": 8, "time_dim": 4, "neighbours": 4, "epochs": 2, "patience": 2}),
)


def compared(out: Path) -> bytes:
    """results.json of two seeds; what is there already is not done again."""
    for seed in (0, 1):
        for candidate in CANDIDATES:
            folder = out / "runs" / candidate.name
            if Run(folder, candidate.name, seed).result() is None:
                run(candidate, Stage(DATA, "nowhere", folder, None, Console(quiet=True)), seed, None)
    write_results(out, standings(out, [candidate.name for candidate in CANDIDATES], 2))
    return (out / RESULTS).read_bytes()


class Killed(BaseException):
    """Nothing catches it."""


def kill_after(patch: pytest.MonkeyPatch, events: float) -> list[int]:
    """Dies when so many events have gone through progress bars; the list fills with their numbers."""
    done: list[int] = []
    advance = ProgressBar.advance

    def dying(bar: ProgressBar, number: int, *losses: float) -> None:
        done.append(number)
        if sum(done) > events:
            raise Killed
        advance(bar, number, *losses)

    patch.setattr(ProgressBar, "advance", dying)
    return done


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """Its results, and the events that went through its progress bars."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.baselines.sequences.STEPS_A_ROUND", 2)
        done = kill_after(patch, float("inf"))
        return compared(tmp_path_factory.mktemp("unbroken")), sum(done)


@pytest.mark.parametrize(
    "part", [pytest.param(0.05, marks=pytest.mark.long), 0.3, 0.7, pytest.param(0.95, marks=pytest.mark.long)]
)
def test_a_killed_comparison_goes_on_to_the_figures_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: tuple[bytes, int], part: float
) -> None:
    monkeypatch.setattr("model.baselines.sequences.STEPS_A_ROUND", 2)
    with monkeypatch.context() as patch:
        kill_after(patch, part * unbroken[1])
        with pytest.raises(Killed):
            compared(tmp_path)
    assert compared(tmp_path) == unbroken[0]
