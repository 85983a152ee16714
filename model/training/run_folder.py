"""The folder of a training run: what was asked, what happened, and the best weights so far.

config.json           data source, TrainingConfig, versions
spec.json, weights.safetensors   the best epoch's weights; after a refit, the refitted ones
metrics.jsonl         one JSON object a line: losses along an epoch, validation after it
metrics.json          validation figures of the chosen epoch
curves.png            both, drawn
checkpoint.pt         everything needed to go on after the last finished epoch; gone when the run is done
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.training.config import TrainingConfig

CONFIG, METRICS, LINES, CURVES, CHECKPOINT = (
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "curves.png",
    "checkpoint.pt",
)


class RunFolderError(Exception):
    """A run folder cannot be started or continued."""


class RunFolder:
    """Reads and writes the files above."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, source: str, config: TrainingConfig) -> None:
        """Makes the folder. Raises RunFolderError when it holds a run already."""
        if (self.path / CONFIG).exists():
            raise RunFolderError(f"{self.path} holds a run already: resume it, or choose another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        versions = {"torch": torch.__version__}
        self._write(CONFIG, {"source": source, "config": asdict(config), "versions": versions})

    def settings(self) -> tuple[str, TrainingConfig]:
        """The data source and settings of a run that was started here."""
        try:
            saved = json.loads((self.path / CONFIG).read_bytes())
            return saved["source"], TrainingConfig(**saved["config"])
        except FileNotFoundError as error:
            raise RunFolderError(f"{self.path} holds no run to resume") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{self.path / CONFIG} was not written by this version: {error}") from error

    def log(self, record: dict[str, Any]) -> None:
        with (self.path / LINES).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl."""
        if not (self.path / LINES).exists():
            return []
        return [json.loads(line) for line in (self.path / LINES).read_text(encoding="utf-8").splitlines()]

    def cut(self, lines: int) -> None:
        """Leaves the first `lines` lines of metrics.jsonl."""
        if (self.path / LINES).exists():
            kept = (self.path / LINES).read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
            self._replace(LINES, "".join(kept))

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        self._write(METRICS, metrics)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        torch.save(state, self.path / (CHECKPOINT + ".new"))
        os.replace(self.path / (CHECKPOINT + ".new"), self.path / CHECKPOINT)

    def checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` was given last; None when nothing was, or the run is done."""
        if not (self.path / CHECKPOINT).exists():
            return None
        state: dict[str, Any] = torch.load(self.path / CHECKPOINT, weights_only=True)
        return state

    def done(self) -> None:
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._replace(name, json.dumps(content, indent=2) + "\n")

    def _replace(self, name: str, text: str) -> None:
        (self.path / (name + ".new")).write_text(text, encoding="utf-8")
        os.replace(self.path / (name + ".new"), self.path / name)
