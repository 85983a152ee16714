"""Commands of `model.cli`, which join ours by entry point, so that serving never imports torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import typer

from service.errors import PeregrineError

TRAINING = {
    "train": "Train a model on a data set.",
    "evaluate": "Score a model or a baseline offline, by the evaluator that `replay` uses.",
    "compare": "Compare models: one search, one evaluator, one table.",
    "export": "Export a trained model to a bundle.",
}
"""What each one does, by name."""
CONTEXT = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""Its options and its help are its own."""


def training_command(name: str) -> Callable[[typer.Context], None]:
    """Raises PeregrineError, when called, if the training extra is not installed."""

    def command(ctx: typer.Context) -> None:
        try:
            (entry,) = entry_points(group="peregrine.commands", name="model")
            entry.load()([name, *ctx.args], prog_name="peregrine")
        except ModuleNotFoundError as exc:
            raise PeregrineError(f'`{name}` needs {exc.name}: pip install "peregrine-recsys[train]"') from exc

    return command
