"""A baseline as a candidate: every setting of its short search on validation, then the best one on train + validation.

    first seed     all settings are tried; the best validation figure chooses
    other seeds    the chosen setting is tried again, for this seed's own number of rounds
    every seed     a refit on train + validation with that setting, for that many rounds

What is done is on disk: a trial or refit that was interrupted goes on where the model kept a checkpoint, or repeats its
rounds without validating them again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model.baselines.baseline import Entry, Job, Round, Setting
from model.compare.candidate import VALIDATION_ROWS, Point, Stage, Trained, Trial
from model.compare.files import read_json, write_json
from model.data import Dataset, split
from model.evaluate import evaluate, warm
from model.training.progress import ProgressBar

TRIAL, POINTS, WORK = "trial.json", "points.json", "work"

Judge = Callable[[Round], Mapping[str, float]]
Stop = Callable[[list[Point]], bool]


@dataclass(frozen=True)
class Searched:
    """See the module. In the folder of a stage: search/00, 01, ... by setting, trial-<seed>, refit-<seed>."""

    entry: Entry

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def deterministic(self) -> bool:
        return self.entry.deterministic

    @property
    def static(self) -> bool:
        return self.entry.static

    def train(self, stage: Stage, seed: int) -> Trained:
        trials = self._search(stage, seed)
        chosen = max(trials, key=lambda trial: trial.best.figure)
        if chosen.seed != seed:
            chosen = self._trial(stage, chosen.setting, seed, stage.folder / f"trial-{seed}", stage.budget)
        rows = slice(0, split(stage.dataset).validation.stop)
        job = _Job(self.entry, chosen.setting, seed, stage, "refit", stage.folder / f"refit-{seed}")
        last, points = job.walk(rows, lambda _: {}, lambda points: len(points) >= chosen.rounds)
        return Trained(last.scorer, chosen, trials, points[-1].seconds)

    def _search(self, stage: Stage, seed: int) -> list[Trial]:
        """One trial at least; those that are on disk, of another seed or not, are taken as they are."""
        trials: list[Trial] = []
        for number, setting in enumerate(self.entry.search):
            spent = sum(trial.total for trial in trials)
            if trials and stage.budget is not None and spent >= stage.budget:
                break
            left = None if stage.budget is None else stage.budget - spent
            trials.append(self._trial(stage, setting, seed, stage.folder / "search" / f"{number:02}", left))
        return trials

    def _trial(self, stage: Stage, setting: Setting, seed: int, folder: Path, budget: float | None) -> Trial:
        if (done := read_json(folder / TRIAL)) is not None and done["setting"] == dict(setting):
            return Trial(setting, done["seed"], [Point(**point) for point in done["curve"]])
        job = _Job(self.entry, setting, seed, stage, "search", folder)

        def enough(points: list[Point]) -> bool:
            best = Trial(setting, seed, points).rounds
            spent = budget is not None and points[-1].total >= budget
            return spent or len(points) - best >= self.entry.patience

        _, points = job.walk(split(stage.dataset).train, job.validate, enough)
        trial = Trial(setting, seed, points)
        write_json(folder / TRIAL, asdict(trial))
        job.forget()
        return trial


class _Job:
    """One fit of an entry: rounds with their clock, on disk."""

    def __init__(self, entry: Entry, setting: Setting, seed: int, stage: Stage, what: str, folder: Path) -> None:
        self._entry, self._setting, self._seed, self._stage, self._folder = entry, setting, seed, stage, folder
        self._what = {"setting": dict(setting), "seed": seed}
        values = " ".join(f"{name}={value}" for name, value in setting.items())
        self._title = f"{entry.name} {what} {values}".strip()

    def walk(self, rows: slice, judge: Judge, stop: Stop) -> tuple[Round, list[Point]]:
        """Rounds on these rows until `stop` of the points so far, or the model's own end; the last round."""
        points = self._left()
        began = time.process_time()
        for last in self._rounds(self._stage.dataset.subset(rows)):
            if last.number > len(points):
                past = points[-1] if points else Point(0.0, 0.0, {})
                seconds = past.seconds + time.process_time() - began
                ndcg = judge(last)
                points.append(Point(seconds, past.total + time.process_time() - began, ndcg, last.loss))
                write_json(self._folder / POINTS, self._what | {"points": [asdict(point) for point in points]})
            if stop(points[: last.number]):
                break
            began = time.process_time()
        return last, points[: last.number]

    def _left(self) -> list[Point]:
        """What an interrupted fit of the same setting and seed left; what another one left goes."""
        left = read_json(self._folder / POINTS)
        if left is not None and {name: left[name] for name in self._what} != self._what:
            shutil.rmtree(self._folder)
            left = None
        return [Point(**point) for point in left["points"]] if left else []

    def _rounds(self, events: Dataset) -> Iterator[Round]:
        """Each under a bar of its own."""
        work = self._folder / WORK
        work.mkdir(parents=True, exist_ok=True)

        def advance(done: int) -> None:
            bar.advance(done)

        rounds = self._entry.fit(events, Job(self._setting, self._seed, advance, work))
        while True:
            with ProgressBar(self._stage.console, self._title, len(events)) as bar:
                following = next(rounds, None)
            if following is None:
                return
            yield following

    def validate(self, last: Round) -> Mapping[str, float]:
        """NDCG@10 by task on about VALIDATION_ROWS rows of the validation part."""
        dataset, console = self._stage.dataset, self._stage.console
        part = split(dataset).validation
        every = max(1, (part.stop - part.start) // VALIDATION_ROWS)
        scorer = last.scorer()
        with ProgressBar(console, f"{self._title}, validation", part.stop) as bar:
            warm(scorer, dataset, 0, part.start, bar.advance)
            done = evaluate(scorer, dataset, part.start, part.stop, every=every, progress=bar.advance)
        return {task: strata["all"]["ndcg@10"] for task, strata in done.report().items()}

    def forget(self) -> None:
        """Drops the checkpoint of a finished fit."""
        shutil.rmtree(self._folder / WORK)
        (self._folder / POINTS).unlink()
