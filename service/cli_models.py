"""Commands of the life of a model: `peregrine models`, `rollout`, `activate`, `rollback`, `retire`, `retrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from service.cli_options import Archive, Json, Url

Version = Annotated[str, typer.Argument(help="As `peregrine models` lists it.")]
_RUNS = Path("runs")


def show_models(url: Url = None, as_json: Json = False) -> None:
    """Show the bundles of the registry, and which are live."""
    from service.commands.models import show

    show(url, as_json)


def rollout(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or a version of the registry.")],
    switch: Annotated[
        bool, typer.Option("--switch/--hold", help="Take over when the checks are passed, or wait for `activate`.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it serves, or was refused.")] = True,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Bring another model into service: its memory is made beside the one that serves, checked, then they switch."""
    from service.commands.models import rollout as run

    run(bundle, switch, wait, url, as_json)


def activate(version: Version, url: Url = None, as_json: Json = False) -> None:
    """Switch to a live model that is ready."""
    from service.commands.models import activate as run

    run(version, url, as_json)


def rollback(url: Url = None, as_json: Json = False) -> None:
    """Switch back to the model that was active before."""
    from service.commands.models import roll_back

    roll_back(url, as_json)


def retire(version: Version, url: Url = None) -> None:
    """Break a rollout off, or end the time in which one can go back."""
    from service.commands.models import retire as run

    run(version, url)


def retrain(
    ctx: typer.Context,
    runs: Annotated[Path, typer.Option(help="Folder of runs; each gets one of its own.")] = _RUNS,
    archive: Archive = None,
    serving: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Bundle to compare with. Default: the active one."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="From new weights, not from the serving bundle's.")] = False,
    roll_out: Annotated[bool, typer.Option("--rollout", help="Bring it into service if it is registered.")] = False,
    min_events: Annotated[
        int, typer.Option(min=0, help="Do nothing unless the archive has gained so many records.")
    ] = 0,
    every: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.01, help="Again so many hours after the last one began, for ever."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Train on the archive, compare with the serving bundle on the latest window, register what is not worse.

    Further options go to `train`.
    """
    from service.commands.retrain import Plan, run

    plan = Plan(runs, archive, serving, fresh, min_events, roll_out, url, tuple(ctx.args))
    if not run(plan, every, as_json):
        raise typer.Exit(1)


def join(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("models")(show_models)
    app.command("rollout")(rollout)
    app.command("activate")(activate)
    app.command("rollback")(rollback)
    app.command("retire")(retire)
    app.command("retrain", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(retrain)
