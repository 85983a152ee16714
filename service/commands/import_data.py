"""`peregrine import`: a data set into the running service, over HTTP like everything else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from service.commands import datasets, terminal
from service.commands.connection import connect
from service.commands.posting import Account
from service.errors import ConfigurationError, PeregrineError

if TYPE_CHECKING:
    from model.data import Dataset


class Rejected(PeregrineError):
    """The service refused part of the data."""


def run(source: str, until: float | None, before: int | None, prepared: bool, url: str | None, as_json: bool) -> None:
    """Imports items and the events up to a fraction, or before a timestamp [unix seconds], or all."""
    if until is not None and before is not None:
        raise ConfigurationError("--until and --before both say where to end: give one")
    with connect(url) as client:
        terminal.say(f"reading {source}")
        dataset = datasets.read(source, prepared)
        stop = len(dataset)
        if until is not None:
            stop = datasets.row_at(dataset, until)
        if before is not None:
            stop = datasets.row_before(dataset, before)
        account = Account(client)
        started = time.monotonic()
        feed(account, dataset, stop)
        report = _report(account, dataset, stop, time.monotonic() - started)
    if as_json:
        terminal.print_json(report)
    else:
        terminal.stdout().print(
            f"{report['accepted']:,} events accepted, {report['duplicates']:,} known already; "
            f"{dataset.n_items:,} items; {report['events_per_second']:,.0f} events/s"
        )
    if account.refused:
        raise Rejected(f"{account.refused} (the rest is in)")


def feed(account: Account, dataset: Dataset, stop: int) -> None:
    """All items and the events of rows [0, stop), with progress; returns when everything shows in recommendations."""
    with terminal.progress("{task.fields[note]}") as bar:
        task = bar.add_task("items", total=dataset.n_items, note="")
        items = sorted(datasets.items(dataset), key=lambda item: (item.get("title", ""), item.get("category", "")))
        for batch in datasets.batches(items):  # equal texts stand together, so that each is embedded once
            account.put_items(batch)
            bar.advance(task, len(batch))
        task = bar.add_task("events", total=stop, note="")
        started = time.monotonic()
        parts = ((at, min(at + datasets.BATCH, stop)) for at in range(0, stop, datasets.BATCH))
        sent = 0
        for size in account.post_all(datasets.events(dataset, start, end) for start, end in parts):
            sent += size
            bar.update(task, advance=size, note=f"{sent / (time.monotonic() - started):,.0f} events/s")
        task = bar.add_task("applied", total=account.offset, note="")
        account.wait_until_applied(lambda offset: bar.update(task, completed=min(offset, account.offset)))


def _report(account: Account, dataset: Dataset, stop: int, seconds: float) -> dict[str, Any]:
    tally = account.events
    return {
        "dataset": dataset.name,
        "items": dataset.n_items,
        "events": stop,
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "rejected": tally.rejected,
        "items_rejected": account.items.rejected,
        "errors": account.items.errors + tally.errors,
        "offset": account.offset,
        "seconds": round(seconds, 3),
        "events_per_second": round(stop / seconds, 1),
    }
