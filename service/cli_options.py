"""What the commands of `peregrine` share: options that mean the same everywhere, and errors as one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from service.errors import PeregrineError


class Commands(TyperGroup):
    """Turns errors of ours into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PeregrineError as exc:
            typer.echo(f"error: {exc}", err=True)
            raise typer.Exit(1) from exc


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
Ui = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--ui/--no-ui", help="With the pages. Default: where the ui extra is there."),
]
