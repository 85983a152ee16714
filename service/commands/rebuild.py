"""`peregrine rebuild`: the state made again from archive and log, beside the one that serves, and put in its place."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any

from pydantic import SecretStr

from service.commands import terminal
from service.embedded import servers_of
from service.errors import ConfigurationError, Fenced, LeaseHeld, NoRoom, PeregrineError
from service.event_path import Lease, Rebuild, check_log
from service.logs import configure
from service.settings import PREFIX, Settings, load_settings
from service.wiring import WorkerServices, build_worker


class Stopped(PeregrineError):
    """The rebuild ended before the new state took the old one's place."""


def run(bundle: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """bundle: that the new state is made by; default: the set one, which must then be the served state's."""
    given = {name: value for name, value in (("bundle", bundle), ("data_dir", data_dir)) if value is not None}
    settings = load_settings(**given)
    configure("warning" if as_json else settings.log_level, settings.log_format)
    with ExitStack() as resources:
        settings = reachable(settings, resources)
        services = build_worker(settings)
        _check(services, chosen=bundle is not None)
        try:
            with terminal.interrupted_by_sigterm():
                report = _rebuild(services, settings)
        except NoRoom as exc:
            raise Stopped(f"{exc}; the old state serves on") from exc
        except (KeyboardInterrupt, Fenced) as exc:
            raise Stopped(f"stopped ({exc or 'interrupted'}): the old state serves on; run it again") from exc
        except LeaseHeld as exc:
            raise Stopped(f"a rebuild is under way, or was killed a moment ago: {exc}") from exc
    if as_json:
        terminal.print_json(report)
        return
    terminal.print_text(
        f"{report['records']:,} records in {report['seconds']:,.1f} s, {report['records_per_second']:,.0f} a second; "
        f"generation {report['generation']} is active, made by bundle {report['bundle']}"
    )


def reachable(settings: Settings, resources: ExitStack) -> Settings:
    """Settings that name the stores: without URLs, those of the data folder, whether `up` runs there now or not."""
    if settings.state_url is not None:
        return settings
    log_url, state_url = resources.enter_context(servers_of(settings.data_dir))
    return settings.model_copy(update={"log_url": SecretStr(log_url), "state_url": SecretStr(state_url)})


def _check(services: WorkerServices, chosen: bool) -> None:
    """Raises ConfigurationError rather than making the state by another bundle than the one that serves unasked."""
    position = services.generations.current().position()
    check_log(position, services.source)
    if position.bundle not in {"", services.bundle.hash} and not chosen:
        raise ConfigurationError(
            f"the state was made by bundle {position.bundle:.12}, {PREFIX}BUNDLE names {services.bundle.hash:.12}: set "
            "the same one, or give --bundle to make the state by another"
        )


@dataclass
class Watch:
    """The progress bar, fed by the rebuild."""

    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.bar = terminal.progress("{task.fields[note]}")
        self.task = self.bar.add_task("rebuild", total=None, note="")

    def tell(self, offset: int, end: int) -> None:
        speed = offset / max(1e-9, time.monotonic() - self.started)
        self.bar.update(self.task, completed=offset, total=end, note=f"{speed:,.0f} events/s")


def _rebuild(services: WorkerServices, settings: Settings) -> dict[str, Any]:
    watch, bundle = Watch(), services.bundle
    store = services.generations.next()
    owner = f"rebuild on {socket.gethostname()}:{os.getpid()}"
    with Lease(store, owner, settings.lease_seconds) as lease, watch.bar:
        rebuild = Rebuild(lease, services.source, bundle.model, bundle.hash, texts=bundle.texts)
        rebuild.run(settings.batch_size, Flag(), watch.tell, settings.clock == "wall")
        seconds = time.monotonic() - watch.started
        watch.tell(rebuild.offset, max(rebuild.offset, services.source.end()))
    return {
        "records": rebuild.offset,
        "seconds": round(seconds, 3),
        "records_per_second": round(rebuild.offset / seconds, 1),
        "generation": store.generation,
        "bundle": bundle.version,
    }
