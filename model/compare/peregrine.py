"""The system itself as a candidate, through its own training pipeline, and its ablations.

    train -> weights -> reset, replay with frozen weights -> evaluate with `StateScorer`

The run folder of each seed (`seed-0`, ...) is what `peregrine export` makes a bundle of. Its rounds are epochs: the
pipeline chooses their number on validation by itself, with the criterion that everybody is chosen by, and refits.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from model.ablations import ABLATED
from model.compare.candidate import VALIDATION_ROWS, Point, Stage, Trained, Trial
from model.compare.errors import NoProfilesError
from model.compare.files import write_json
from model.spec import DAY, HOUR
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.train import train
from model.training.config import TrainingConfig
from model.training.profiles import attach
from model.training.run_folder import CHECKPOINT, RunFolder
from model.weights import load_model

MINUTE = 60


@dataclass(frozen=True)
class Pipeline:
    """One composition of the pipeline. changes: to the fields of the default TrainingConfig.

    It has no search but for the number of epochs; `TrainingConfig.epochs` and the budget bound it. profiled: it is
    trained and evaluated with the profiles of the stage.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    profiled: bool = False
    deterministic: bool = False
    static: bool = False

    def train(self, stage: Stage, seed: int) -> Trained:
        folder = RunFolder(stage.folder / f"seed-{seed}")
        done = stage.folder / f"trained-{seed}.json"
        if not done.exists():
            if not (folder.path / CHECKPOINT).exists():  # no epoch was finished
                shutil.rmtree(folder.path, ignore_errors=True)
                folder.start(stage.source, self._config(stage, seed))
            train(stage.dataset, folder.settings()[1], folder, stage.console, stage.budget)
            write_json(done, {"run": folder.path.name})
        model = load_model(folder.path)
        text = item_texts(stage.dataset, model.spec.embedder, model.spec.text_dim)
        config = folder.settings()[1]
        dataset = attach(stage.dataset, config.profiles, config.profile_form, model.spec, text)
        epochs = [record for record in folder.records() if record["kind"] == "epoch"]
        chosen = Trial(dict(self.changes), seed, _curve(epochs))
        return Trained(
            scorer=lambda: StateScorer(new_state(model, dataset, text)),
            chosen=chosen,
            trials=[chosen],
            seconds=sum(record["seconds"] for record in epochs if record["stage"] == "refit"),
        )

    def _config(self, stage: Stage, seed: int) -> TrainingConfig:
        config = replace(TrainingConfig(), **self.changes, seed=seed, scored_rows=VALIDATION_ROWS)
        if not self.profiled:
            return config
        if stage.profiles is None:
            raise NoProfilesError(f"{self.name} reads profiles: make them (`peregrine profile build`), name --profiles")
        return replace(config, profiles=str(stage.profiles))


def _curve(epochs: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Of the epochs on the training part; validation is not in their clock."""
    points: list[Point] = []
    seconds = 0.0
    for record in epochs:
        if record["stage"] == "select":
            seconds += record["seconds"]
            ndcg = {task: strata["all"]["ndcg@10"] for task, strata in record["validation"].items()}
            points.append(Point(seconds, seconds, ndcg))
    return points


PEREGRINE = Pipeline("peregrine")

ABLATIONS = (
    *(Pipeline(f"peregrine-{name}", {"preset": f"peregrine-{name}"}) for name in ABLATED),
    Pipeline("peregrine-history-3", {"neighbours": 3}),
    Pipeline("peregrine-history-20", {"neighbours": 20}),
    Pipeline("peregrine-history-50", {"neighbours": 50}),
    Pipeline("peregrine-tick-minute", {"spec": {"item_tick": MINUTE}}),
    Pipeline("peregrine-tick-hour", {"spec": {"item_tick": HOUR}}),
    Pipeline("peregrine-tick-day", {"spec": {"item_tick": DAY}}),
    Pipeline("peregrine-step-per-event", {"spec": {"step_per_event": True}}),
    Pipeline("peregrine-bpr", {"loss": "bpr"}),
    Pipeline("peregrine-no-discover-loss", {"discover_weight": 0.0}),
    Pipeline("peregrine-full-memory-rate", {"memory_rate": TrainingConfig.learning_rate}),
    Pipeline("peregrine-no-history-dropout", {"history_dropout": 0.0}),
)
"""One thing each: a field of the configuration or a part that does nothing. A new switch is one more line."""

PROFILED = tuple(
    Pipeline(
        "-".join(["peregrine-profiles", *filter(None, (how, "" if whose == "made" else whose))]),
        {"profile_form": whose} | ({"preset": f"peregrine-{how}-facets"} if how else {}),
        profiled=True,
    )
    for how in ("", "plain", "loud", "summed")
    for whose in ("made", "shuffled", "titles")
)
"""With profiles, used as the preset uses them or in one of `FACET_FORMS`; as made, somebody else's, or mean titles in
their place."""
