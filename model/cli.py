"""Training commands; `peregrine` finds them through the entry points of the group `peregrine.commands`.

Data goes to stdout, progress to stderr. Exit codes: 0, 1 (it went wrong, one line says what to do), 2 (wrong usage).
torch is imported when a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from model.training.config import TrainingConfig

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Data = Annotated[
    str, typer.Option("--data", help="Folder of Parquet, CSV or NDJSON, or complete-journey[:households|:all].")
]
Profiles = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it
    typer.Option(help="File that `profile build` made. Default: profiles.parquet of the data folder, if it is there."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@contextmanager
def told() -> Iterator[None]:
    """Turns errors that say what to do into one line on stderr and exit code 1."""
    from model.compare.errors import CompareError
    from model.data import DataError
    from model.training.run_folder import RunFolderError
    from model.weights import WeightsError

    try:
        yield
    except (DataError, RunFolderError, WeightsError, FileExistsError, CompareError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    data: Data = "complete-journey",
    dim: Annotated[int, typer.Option(help="Width of memories and item vectors, a multiple of 8.")] = TrainingConfig.dim,
    neighbours: Annotated[
        int, typer.Option(help="Recent items of a user that attention sees.")
    ] = TrainingConfig.neighbours,
    epochs: Annotated[int, typer.Option(min=1, help="At most; validation chooses.")] = TrainingConfig.epochs,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = TrainingConfig.learning_rate,
    seed: int = TrainingConfig.seed,
    threads: Annotated[
        int, typer.Option(min=1, help="1 makes a run repeatable to the last bit.")
    ] = TrainingConfig.threads,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Train again on train + validation for the chosen epochs.")
    ] = TrainingConfig.refit,
    start_from: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", help="Folder of a run or bundle: begin with its weights (same widths)."),
    ] = None,
    profiles: Profiles = None,
    resume: Annotated[
        bool, typer.Option(help="Go on after the last finished epoch of --out; its own settings apply.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model: epochs chosen on validation, then refitted on train + validation."""
    from rich.console import Console

    from model.data import load, prepare
    from model.train import train as run_training
    from model.training.run_folder import METRICS, RunFolder

    folder = RunFolder(out)
    with told():
        if not resume:
            config = TrainingConfig(
                dim=dim,
                neighbours=neighbours,
                epochs=epochs,
                learning_rate=learning_rate,
                seed=seed,
                threads=threads,
                refit=refit,
                start_from=None if start_from is None else str(start_from.resolve()),
                profiles=None if (file := _profiles(profiles, data)) is None else str(file.resolve()),
            )
            folder.start(data, config)
        data, config = folder.settings()
        run_training(prepare(load(data)), config, folder, Console(stderr=True))
    _answer(json.loads((out / METRICS).read_bytes()), as_json)


@app.command()
def evaluate(
    data: Data = "complete-journey",
    model: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder of a bundle or of a training run. Without it, the baselines alone."),
    ] = None,
    part: Annotated[
        Literal["test", "validation"],
        typer.Option(help="Which 15 % of the events, by global time; the model must not have learned from it."),
    ] = "test",
    every: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Score one event in that many. Default: about 15,000 of them."),
    ] = None,
    candidates: Annotated[
        Literal["available", "paper", "catalogue"],
        typer.Option(help="Items that had an event or are listed by then; those of validation and test; or all."),
    ] = "available",
    baselines: Annotated[bool, typer.Option("--baselines", help="The baselines in the same run.")] = False,
    against: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Another bundle or run: is --model better than it, or by chance?"),
    ] = None,
    profiles: Profiles = None,
    as_json: Json = False,
) -> None:
    """Score a model or the baselines offline: each event is ranked from the state before it, then applied."""
    from model.commands_evaluate import run

    with told():
        run(
            data,
            model,
            part,
            every,
            candidates,
            baselines or model is None,
            _profiles(profiles, data),
            as_json,
            against,
        )


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder of the report; finished runs in it are not done again.")],
    data: Data = "complete-journey",
    models: Annotated[str, typer.Option(help="Names separated by commas, or all.")] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each model that a seed matters to.")] = 3,
    budget: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.0, help="Processor minutes of search on validation for each model and seed."),
    ] = None,
    profiles: Profiles = None,
    ablations: Annotated[bool, typer.Option("--ablations", help="The model with one thing changed, as well.")] = False,
    every: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Score one test event in that many. Default: about 15,000 of them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare models: each searched on validation, refitted, evaluated alike; writes tables, plots and a summary."""
    from model.commands_compare import compare as run_comparison

    with told():
        done = run_comparison(data, models, ablations, seeds, out, budget, every, _profiles(profiles, data))
    if as_json:
        _answer(done, as_json)
    elif done["models"]:
        typer.echo((out / "summary.md").read_text(encoding="utf-8"))
    if done["failed"]:
        for name, error in done["failed"].items():
            typer.echo(f"error: {name}: {error}", err=True)
        raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle, new or empty.")],
    version: Annotated[Optional[str], typer.Option(help="Default: the bundle folder's name.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Export a trained model to a bundle that the service loads, without torch."""
    from model.export import MANIFEST
    from model.export import export as write_bundle

    with told():
        write_bundle(run, out, version or out.resolve().name)
    manifest = json.loads((out / MANIFEST).read_bytes())
    _answer(manifest | {"bytes": sum(path.stat().st_size for path in out.iterdir())}, as_json)


def _answer(content: dict[str, Any], as_json: bool) -> None:
    """The result on stdout: compact for programs, indented for people."""
    typer.echo(json.dumps(content, indent=None if as_json else 2))


def _profiles(named: Path | None, source: str) -> Path | None:
    from model.data import PROFILES

    beside = Path(source) / PROFILES
    return named or (beside if beside.is_file() else None)
