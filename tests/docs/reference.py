"""Makes the reference pages from the code: `python -m tests.docs.reference` writes docs/reference/*.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from prometheus_client.metrics_core import Metric

from service.api.metrics import Profiles, Scrape
from service.core.access import scope_of
from service.core.types import Backlog, Totals
from service.embedded import EmbeddedValkey
from service.logs import configure
from service.meter import Meter
from service.processes.scrape import KEEPER, PROFILER, WORKER, Measured
from service.profile_ports import Waiting
from service.settings import PREFIX, SECRETS, Settings, load_settings
from tests.docs.pages import DOCS
from tests.http.running import Running, toy_bundle

FOLDER = DOCS / "reference"
MADE = "<!-- Made from the code by `python -m tests.docs.reference`. -->"


def pages(service: Running) -> dict[str, str]:
    """All pages by file name. service: runs, with an index that has every figure."""
    return {
        "api.md": api(service.http.get("/openapi.json").json()),
        "cli.md": commands(),
        "metrics.md": metrics({"api": exported(service), **others()}),
        "settings.md": settings(),
    }


def api(document: Mapping[str, Any]) -> str:
    """Routes by their tag. document: of OpenAPI."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_route(method.upper(), path, operation))
    lines = [
        "`/docs` of a running service has the same with bodies, limits and examples; `/openapi.json` is for machines. "
        "Errors are `application/problem+json` (RFC 9457). The scope is what a key needs where keys are wanted; "
        "`admin` may everything. [What a list can be asked for](../lists.md) shows every option of a list.",
    ]
    for tag, routes in by_tag.items():
        lines += ["", f"## {tag.capitalize()}", "", *_table("route", "what", "query", "answers", "scope"), *routes]
    return _page("API", lines)


def _route(method: str, path: str, operation: Mapping[str, Any]) -> str:
    asked = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    scope = scope_of(method, path.replace("{", "").replace("}", "")) or ""
    statuses = ", ".join(sorted(operation["responses"]))
    return _row(f"`{method} {path}`", operation["summary"], _code(asked), statuses, scope)


def settings() -> str:
    lines = [
        "Environment variables. `peregrine config` prints those in force. What is marked \\* may also come from a "
        "file: put `_FILE` behind the name and give the path.",
        "",
        *_table("variable", "takes", "default", "what it is"),
    ]
    schema = Settings.model_json_schema()["properties"]
    for name, field in Settings.model_fields.items():
        star = " \\*" if name in SECRETS else ""
        default = "" if field.default in {None, ""} else f"`{field.default}`"
        lines.append(_row(f"`{PREFIX}{name.upper()}`{star}", _takes(schema[name]), default, field.description or ""))
    return _page("Settings", lines)


def _takes(schema: Mapping[str, Any]) -> str:
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    least, most = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    span = "" if least is None else f" from {least:,}" if most is None else f" {least:,} to {most:,}"
    return {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}[
        schema["type"]
    ] + span


def exported(service: Running) -> list[Metric]:
    """What an API exports when all that it asks answers."""
    profiles = Profiles(Waiting(0, 0, 0, 0), {}, 0)
    return list(Scrape(service.services, Backlog(), Totals(), profiles).collect())


def others() -> dict[str, list[Metric]]:
    """What the other processes export, without what every process does."""
    kinds = (WORKER, KEEPER, PROFILER)
    found = {kind.name: list(Measured(kind, Meter()).collect()) for kind in kinds}
    every = found.pop("profiler")
    names = {family.name for family in every}
    return {
        **{name: [family for family in own if family.name not in names] for name, own in found.items()},
        "worker, keeper and profiler": every,
    }


def metrics(by_process: Mapping[str, Iterable[Metric]]) -> str:
    lines = [
        "`GET /metrics`, in the text format of Prometheus, from every API; from worker, keeper and profiler where "
        "`PEREGRINE_METRICS_PORT` is set. A histogram has `_bucket`, `_sum` and `_count`, a summary the last two.",
    ]
    for process, families in by_process.items():
        lines += [
            "",
            f"## {process.capitalize().replace('Api', 'API')}",
            "",
            *_table("metric", "kind", "labels", "what it is"),
        ]
        for family in sorted(families, key=lambda family: family.name):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = list(getattr(family, "_labelnames", ()))
            lines.append(_row(f"`{name}`", family.type, _code(labels), family.documentation))
    return _page("Metrics", lines)


def commands() -> str:
    from model.cli import app as model_app
    from service.cli import app as service_app

    trained: Any = typer.main.get_command(model_app)
    served: Any = typer.main.get_command(service_app)
    every = {**served.commands, **trained.commands}  # the training commands of the first hand over to the second
    lines = [
        "Data goes to stdout, progress to stderr. Exit code 0, 1 (it went wrong, one line says what to do) or 2 (wrong "
        "usage)."
    ]
    for name, command in sorted(every.items()):
        parts = getattr(command, "commands", None)
        inner = {name: command} if parts is None else {f"{name} {part}": one for part, one in sorted(parts.items())}
        for full, one in inner.items():
            lines += _command(full, one)
    return _page("Commands", lines)


def _command(name: str, command: Any) -> Iterator[str]:
    options = [one for one in command.params if not one.hidden]
    arguments = "".join(f" {one.name.upper()}" for one in options if one.param_type_name == "argument")
    yield from ("", f"## peregrine {name}", "")
    yield from (f"`peregrine {name}{arguments}`", "", " ".join((command.help or "").split()))
    if options:
        yield from ("", *_table("option", "default", "what it is"))
    for one in options:
        shown = one.name.upper() if one.param_type_name == "argument" else ", ".join((*one.opts, *one.secondary_opts))
        default = "needed" if one.required else "" if one.default in {None, False, ""} else f"`{one.default}`"
        yield _row(f"`{shown}`", default, one.help or "")


def _page(title: str, lines: Iterable[str]) -> str:
    return "\n".join([MADE, "", f"# {title}", "", *lines, ""])


def _table(*heads: str) -> tuple[str, str]:
    return _row(*heads), "|" + "---|" * len(heads)


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    configure("error")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(Path(folder)) as valkey:
        found = load_settings(log_url=valkey.log_url, state_url=valkey.state_url, embed_text="off", index="ivf")
        with Running(found, toy_bundle()) as service:
            for name, text in pages(service).items():
                (FOLDER / name).write_text(text, encoding="utf-8")
                sys.stdout.write(f"{FOLDER / name}\n")


if __name__ == "__main__":
    main()
