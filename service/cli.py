"""The `peregrine` command: what its options mean. The work is in `service.commands`, imported when it is called.

Data goes to stdout, progress to stderr. Exit codes: 0, 1 (it went wrong, one line says what to do), 2 (wrong usage).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, Optional

import typer

from service.cli_groups import archive, bench, inspect, keys, profile
from service.cli_models import join
from service.cli_options import Bundle, Commands, Data, DataDir, Json, Port, Prepare, Ui, Url
from service.commands.training import CONTEXT, TRAINING, training_command

app = typer.Typer(
    cls=Commands,
    help="Real-time recommendations: every event moves a memory, and the next list follows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
join(app)
_GROUPS = {"bench": bench, "archive": archive, "inspect": inspect, "keys": keys, "profile": profile}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"peregrine {version('peregrine-recsys')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Real-time recommendations: every event moves a memory, and the next list follows."""


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Replay a fixed part, report, and exit.")] = False,
    as_json: Json = False,
    train: Annotated[bool, typer.Option("--train", help="Train the model first (needs the train extra).")] = False,
    households: Annotated[int, typer.Option(min=50, help="Households of the Complete Journey data.")] = 600,
    data_dir: DataDir = None,
    port: Port = None,
    ui: Ui = None,
) -> None:
    """Real purchases replayed live: memory moves, the list follows, contenders beside it."""
    from service.commands.demo import run

    run(once, as_json, train, households, data_dir, port, ui)


@app.command()
def up(
    host: Annotated[Optional[str], typer.Option(help="Address to listen on.")] = None,  # noqa: UP045
    port: Port = None,
    data_dir: DataDir = None,
    bundle: Bundle = None,
    ui: Ui = None,
) -> None:
    """Run everything on this machine, with its own Valkey when no URL is set."""
    from service.commands.up import run

    run(_given(host=host, port=port, data_dir=data_dir, bundle=bundle), ui)


def _process(name: str) -> Callable[[], None]:
    def run_process() -> None:
        from service.processes.child import run

        run(name)

    return run_process


for _name, _help in {
    "api": "Run one API process.",
    "worker": "Run the worker, the one writer of the state.",
    "keeper": "Run the keeper, which copies the log to the archive and trims it.",
    "profiler": "Run a profiler, which describes active users; as many as you like.",
}.items():
    app.command(_name, help=_help)(_process(_name))


@app.command("ui")
def pages(url: Url = None) -> None:
    """Run the pages for people, a client of the service (needs the ui extra)."""
    from service.commands.ui import run

    run(url)


@app.command()
def rebuild(
    bundle: Bundle = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the state again from archive and log, also by another bundle, while the old one serves. Then switch."""
    from service.commands.rebuild import run

    run(bundle, data_dir, as_json)


@app.command("import")
def import_data(
    data: Data,
    until: Annotated[Optional[float], typer.Option(help="Fraction of the events where it ends.")] = None,  # noqa: UP045
    before: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Unix seconds before which it ends."),
    ] = None,
    prepare: Prepare = True,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Post a data set's items and events to the running service."""
    from service.commands.import_data import run

    run(data, until, before, prepare, url, as_json)


@app.command()
def replay(
    data: Data,
    start: Annotated[float, typer.Option("--from", help="Fraction of the events where it begins.")] = 0.85,
    stop: Annotated[float, typer.Option("--to", help="Fraction where it ends.")] = 1.0,
    every: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Score one event in that many. Default: about 15,000 of them, as `evaluate` does."),
    ] = None,
    speed: Annotated[str, typer.Option(help="`fast`, or how many times real time.")] = "fast",
    prepare: Prepare = True,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Replay a data set over HTTP and count hits like `evaluate`: lists first, then the events of each timestamp."""
    from service.commands.replay import run

    run(data, start, stop, every, speed, prepare, url, as_json)


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=10_000, help="Items at most.")] = 20,
    at: Annotated[Optional[str], typer.Option(help="A moment, RFC 3339 or unix seconds. Default: now.")] = None,  # noqa: UP045
    exclude_seen: Annotated[bool, typer.Option(help="Leave out what the user already had.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show a user's list."""
    from service.commands.recommend import run

    run(user, k, at, exclude_seen, url, as_json)


@app.command()
def erase(
    user: Annotated[str, typer.Argument(help="User id.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until it is complete.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Erase a user: hidden at once, then out of log, archive and files."""
    from service.commands.personal import erase as run

    run(user, wait, url, as_json)


@app.command("export-user")
def export_user(user: Annotated[str, typer.Argument(help="User id.")], url: Url = None) -> None:
    """Everything that is stored about a user, as NDJSON."""
    from service.commands.personal import export as run

    run(user, url)


@app.command()
def doctor(url: Url = None, as_json: Json = False) -> None:
    """Check the set-up and say what to do; exit code 1 if something fails."""
    from service.commands.doctor import run

    if not run(url, as_json):
        raise typer.Exit(1)


@app.command()
def config(as_json: Json = False) -> None:
    """Show the settings in force and what they mean; secrets are hidden."""
    from service.commands.config import run

    run(as_json)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


for _name, _help in TRAINING.items():
    app.command(_name, help=_help, context_settings=CONTEXT, rich_help_panel="Training")(training_command(_name))
if __name__ == "__main__":
    sys.exit(app())
