"""Commands of a group each: `peregrine bench`, `archive`, `inspect`, `keys` and `profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from service.cli_options import Archive, Commands, Data, Json, Url

bench = typer.Typer(cls=Commands, help="Measure the running service.", no_args_is_help=True)
archive = typer.Typer(cls=Commands, help="Look after the archive of the log.", no_args_is_help=True)
inspect = typer.Typer(cls=Commands, help="Show what the service remembers.", no_args_is_help=True)
keys = typer.Typer(cls=Commands, help="API keys in a file; running processes notice a change.", no_args_is_help=True)

KeysFile = Annotated[
    Path, typer.Option("--file", envvar="PEREGRINE_KEYS_FILE", help="The key file; made if it is not there.")
]
KeyName = Annotated[str, typer.Argument(help="Who holds the key.")]

profile = typer.Typer(cls=Commands, help="Profiles of a data set's users.", no_args_is_help=True)


@profile.command()
def build(
    data: Data,
    out: Annotated[Optional[Path], typer.Option(help="File. Default: profiles.parquet of the data folder.")] = None,  # noqa: UP045
    days: Annotated[float, typer.Option(min=0.01, help="A user is looked at that often.")] = 7.0,
    most_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Tokens to spend at most. Default: PEREGRINE_CHAT_DAILY_TOKENS."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the cost is all right.")] = False,
    as_json: Json = False,
) -> None:
    """Describe users as they were before each period, to train with profiles. Goes on where it was interrupted."""
    from service.commands.profile_build import run

    run(data, out, days, most_tokens, yes, as_json)


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


@bench.command()
def profiles(
    users: Annotated[int, typer.Option(min=100, help="Users to describe.")] = 2_000,
    seconds: Annotated[float, typer.Option(min=0.001, help="Of one call of the made-up language model.")] = 0.05,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Calls at once.")] = 8,
    profilers: Annotated[int, typer.Option(min=1, help="Processes that share calls and queue.")] = 1,
    as_json: Json = False,
) -> None:
    """How many users a second are described, against what the language model lets through."""
    from service.commands.bench_profiles import run

    run(users, seconds, concurrency, profilers, as_json)


@bench.command("recommend")
def bench_recommend(
    items: Annotated[int, typer.Option(min=100, help="Items of the catalogue.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long lists are timed.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1.0, help="Lists a second while they are timed.")] = 150.0,
    as_json: Json = False,
) -> None:
    """How fast lists are at this size, how many a second one API process makes, and what its index finds and costs."""
    from service.commands.bench_recommend import run

    run(items, seconds, rate, as_json)


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


@keys.command()
def add(
    name: KeyName,
    file: KeysFile,
    scope: Annotated[
        list[str], typer.Option(help="What it may: events, recommend, catalogue, models, privacy, admin. Repeat it.")
    ],
    per_second: Annotated[Optional[float], typer.Option(help="Requests a second to one process.")] = None,  # noqa: UP045
    days: Annotated[Optional[int], typer.Option(min=1, help="Days after which it is refused.")] = None,  # noqa: UP045
) -> None:
    """Make a key and print it, once; a key of that name is replaced. The file holds its digest alone."""
    from service.commands.keys import add

    add(file, name, scope, per_second, days)


@keys.command("list")
def list_keys(file: KeysFile, as_json: Json = False) -> None:
    """Who holds a key, and what it may."""
    from service.commands.keys import show

    show(file, as_json)


@keys.command()
def revoke(name: KeyName, file: KeysFile) -> None:
    """Make a key invalid."""
    from service.commands.keys import revoke

    revoke(file, name)


@bench.command("rollout")
def bench_rollout(
    events: Annotated[int, typer.Option(min=1_000, help="Events in the log and the archive before.")] = 200_000,
    kill: Annotated[bool, typer.Option("--kill", help="Kill the new model's worker on the way.")] = False,
    as_json: Json = False,
) -> None:
    """How fast a second memory is made while the first serves, and how long lists take before, during and after."""
    from service.commands.bench_rollout import run

    run(events, kill, as_json)
