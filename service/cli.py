"""The `peregrine` command: what its options mean. The work is in `service.commands`, imported when it is called.

Data goes to stdout, progress to stderr. Exit codes: 0, 1 (it went wrong, one line says what to do), 2 (wrong usage).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from service.commands.training import CONTEXT, TRAINING, training_command
from service.errors import PeregrineError


class Commands(TyperGroup):
    """Turns errors of ours into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PeregrineError as exc:
            typer.echo(f"error: {exc}", err=True)
            raise typer.Exit(1) from exc


app = typer.Typer(
    cls=Commands,
    help="Real-time recommendations: every event moves a memory, and the next list follows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(cls=Commands, help="Measure the running service.", no_args_is_help=True)
app.add_typer(bench, name="bench")
archive = typer.Typer(cls=Commands, help="Look after the archive of the log.", no_args_is_help=True)
app.add_typer(archive, name="archive")
inspect = typer.Typer(cls=Commands, help="Show what the service remembers.", no_args_is_help=True)
app.add_typer(inspect, name="inspect")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Url = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(envvar="PEREGRINE_URL", help="The service. Default: PEREGRINE_HOST and PEREGRINE_PORT here."),
]
Data = Annotated[
    str, typer.Option("--data", help="Folder of Parquet, CSV or NDJSON, or complete-journey[:households|:all].")
]
Prepare = Annotated[
    bool,
    typer.Option(
        "--prepare/--raw",
        help="Prepare the data as `evaluate` does (each event once, rare items and users left out), or take all of it.",
    ),
]
DataDir = Annotated[Optional[Path], typer.Option(help="Folder of the embedded Valkey.")]  # noqa: UP045
Bundle = Annotated[Optional[Path], typer.Option(help="Folder of the exported model.")]  # noqa: UP045
Archive = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--archive", help="Folder or URL. Default: PEREGRINE_ARCHIVE_URL, or the one in the data folder."),
]
Port = Annotated[Optional[int], typer.Option(min=0, max=65_535, help="0 takes a free one.")]  # noqa: UP045


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
) -> None:
    """Real purchases replayed live: memory moves, the list follows, contenders beside it."""
    from service.commands.demo import run

    run(once, as_json, train, households, data_dir, port)


@app.command()
def up(
    host: Annotated[Optional[str], typer.Option(help="Address to listen on.")] = None,  # noqa: UP045
    port: Port = None,
    data_dir: DataDir = None,
    bundle: Bundle = None,
) -> None:
    """Run everything on this machine, with its own Valkey when no URL is set."""
    from service.commands.up import run

    run(_given(host=host, port=port, data_dir=data_dir, bundle=bundle))


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


@app.command()
def rebuild(
    bundle: Bundle = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the state again from archive and log, also by another bundle, while the old one serves. Then switch."""
    from service.commands.rebuild import run

    run(bundle, data_dir, as_json)


@app.command("models")
def show_models(url: Url = None, as_json: Json = False) -> None:
    """Show the bundles of the registry, and which are live."""
    from service.commands.models import show

    show(url, as_json)


Version = Annotated[str, typer.Argument(help="As `peregrine models` lists it.")]


@app.command()
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


@app.command()
def activate(version: Version, url: Url = None, as_json: Json = False) -> None:
    """Switch to a live model that is ready."""
    from service.commands.models import activate as run

    run(version, url, as_json)


@app.command()
def rollback(url: Url = None, as_json: Json = False) -> None:
    """Switch back to the model that was active before."""
    from service.commands.models import roll_back

    roll_back(url, as_json)


@app.command("give-up")
def give_up(version: Version, url: Url = None) -> None:
    """Break a rollout off, or end the time in which one can go back."""
    from service.commands.models import give_up as run

    run(version, url)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def retrain(
    ctx: typer.Context,
    runs: Annotated[Path, typer.Option(help="Folder of runs; each gets one of its own.")] = Path("runs"),
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
    every: Annotated[Optional[float], typer.Option(min=0.0, help="Again after so many hours, for ever.")] = None,  # noqa: UP045
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


@bench.command()
def freshness(
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second, each posted alone.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long.")] = 60.0,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """How long an accepted event takes to show in its user's list. Without --url, on a stack of its own."""
    from service.commands.bench import run

    run(rate, seconds, url, as_json)


@bench.command()
def ingest(
    events: Annotated[int, typer.Option(min=10_000, help="Events of the log that is drained.")] = 400_000,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long events are posted.")] = 60.0,
    entities: Annotated[int, typer.Option(min=1_000, help="Users, and items, whose memory is measured.")] = 1_000_000,
    as_json: Json = False,
) -> None:
    """How many events a second go in, how fresh lists stay meanwhile, and what users and items take of memory."""
    from service.commands.bench_ingest import run

    run(events, seconds, entities, as_json)


@inspect.command()
def request(
    request_id: Annotated[str, typer.Argument(help="`request_id` of an answer with a list.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """What was shown for a request, and what came of it."""
    from service.commands.inspect import request

    request(request_id, url, as_json)


@archive.command()
def status(archive: Archive = None, as_json: Json = False) -> None:
    """What the archive holds, and how far it is behind the log."""
    from service.commands.archive import status

    status(archive, as_json)


@archive.command()
def verify(archive: Archive = None, as_json: Json = False) -> None:
    """Read every file of the archive; exit code 1 if one is missing or broken."""
    from service.commands.archive import verify

    if not verify(archive, as_json):
        raise typer.Exit(1)


@archive.command()
def dataset(
    out: Annotated[Path, typer.Option(help="Folder to write interactions.parquet and items.parquet to.")],
    archive: Archive = None,
    as_json: Json = False,
) -> None:
    """Write the archive's events and items as a data set that `train` reads."""
    from service.commands.archive import dataset

    dataset(out, archive, as_json)


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
