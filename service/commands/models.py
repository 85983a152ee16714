"""`peregrine models`, `rollout`, `rollback`, `retire`: the life of a model in the terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich import box
from rich.progress import Progress, TaskID
from rich.table import Table

from service.client import Client, Json
from service.commands import terminal
from service.commands.connection import connect
from service.errors import ConfigurationError, PeregrineError
from service.ports import ModelRegistry
from service.settings import PREFIX, load_settings
from service.wiring_models import registry_at

_POLL_SECONDS = 0.25


class RolloutFailed(PeregrineError):
    """The model did not become active."""


def show(url: str | None, as_json: bool) -> None:
    """Prints what the registry holds and what is live."""
    with connect(url) as client:
        found = client.call("GET", "/v1/models")
    if as_json:
        terminal.print_json(found)
        return
    table = Table("version", "status", "created", "recall@20", "behind", box=box.SIMPLE_HEAD)
    for model in found["models"]:
        figure = model["metrics"].get("next", {}).get("recall@20")
        behind = model["events_behind"]
        row = (model["version"], model["problem"] or model["status"], (model["created"] or "")[:16])
        table.add_row(*row, "" if figure is None else f"{figure:.4f}", "" if behind is None else f"{behind:,}")
    terminal.stdout().print(table)


def registry() -> ModelRegistry:
    """The registry of the settings, or the one that `up` keeps in the data folder."""
    settings = load_settings()
    kept = settings.data_dir / "models"
    if settings.models is None and not settings.data_dir.is_dir():
        raise ConfigurationError(f"there is no registry: set {PREFIX}MODELS to its folder or URL")
    return registry_at(str(settings.models or kept))


def rollout(bundle: str, switch: bool, wait: bool, url: str | None, as_json: bool) -> None:
    """bundle: a folder, which is registered first, or a version of the registry."""
    version = registry().add(Path(bundle)).version if Path(bundle).is_dir() else bundle
    model = roll_out(version, switch, wait, url)
    if as_json:
        terminal.print_json(model)
    else:
        terminal.print_text(f"version {version} is {model['status']}")
    if model["status"] == "refused":
        raise RolloutFailed(f"version {version} was refused: {model['reason']}")


def roll_out(version: str, switch: bool, wait: bool, url: str | None) -> Json:
    """What the service says of it in the end, or at the start without `wait`."""
    with connect(url) as client:
        model: Json = client.call("POST", f"/v1/models/{version}/rollout", {"switch": switch})
        return _watched(client, version, switch) if wait else model


def _watched(client: Client, version: str, switch: bool) -> Json:
    """Shows how far it is until it serves, or is ready to, or was refused."""
    done = {"active", "refused"} if switch else {"ready", "refused"}
    with terminal.progress("{task.fields[note]}") as bar:
        task = bar.add_task(version, total=None, note="")
        while True:
            model = _of(client.call("GET", "/v1/models"), version)
            if model is None or model["status"] == "registered":
                raise RolloutFailed(f"version {version} was given up; the worker's log says why")
            _tell(bar, task, model)
            if model["status"] in done:
                return model
            time.sleep(_POLL_SECONDS)


def _of(found: Json, version: str) -> Json | None:
    return next((model for model in found["models"] if model["version"] == version), None)


def _tell(bar: Progress, task: TaskID, model: Json) -> None:
    behind, left = model["events_behind"], model["seconds_left"]
    note = f"{model['status']}, {behind:,} records behind" + (f", {left:,.0f} s left" if left else "")
    bar.update(task, note=note)


def activate(version: str, url: str | None, as_json: bool) -> None:
    with connect(url) as client:
        _say(client.call("POST", f"/v1/models/{version}/activate"), as_json)


def roll_back(url: str | None, as_json: bool) -> None:
    with connect(url) as client:
        _say(client.call("POST", "/v1/models/rollback"), as_json)


def retire(version: str, url: str | None) -> None:
    with connect(url) as client:
        client.call("DELETE", f"/v1/models/{version}/rollout")
    terminal.print_text(f"version {version} is not live any more")


def _say(model: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(model)
    else:
        terminal.print_text(f"version {model['version']} is {model['status']}")
