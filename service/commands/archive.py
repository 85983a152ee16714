"""`peregrine archive`: what the archive holds, whether all of it can be read, and its events as a data set."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress, TaskID

from service.adapters.redis_clients import Server
from service.adapters.redis_keeper import RedisLogKeeper
from service.adapters.redis_log import RedisEventSource
from service.commands import terminal
from service.core.types import ArchiveFile
from service.errors import ConfigurationError
from service.ports import EventArchive
from service.settings import PREFIX, Settings, load_settings
from service.wiring import open_archive


def status(url: str | None, as_json: bool) -> None:
    """Prints what the archive holds and, where a log is set, how far it is behind."""
    settings = located(url)
    archive = opened(settings)
    files, end = archive.files(), archive.end()
    size, log = sum(file.size for file in files), _log(settings, end)
    report = {
        "url": settings.archive_url,
        "log_id": archive.log_id() or None,
        "end": end,
        "files": len(files),
        "bytes": size,
        "log": log,
    }
    if as_json:
        terminal.print_json(report)
        return
    terminal.print_text(f"{settings.archive_url}: offsets 1 to {end}, {len(files)} files, {size:,} bytes")
    if log is not None:
        terminal.print_text(f"log: offsets {log['begin']} to {log['end']}, {log['behind']} not archived yet")


def verify(url: str | None, as_json: bool) -> bool:
    """Reads every file and prints what is wrong; False if anything is."""
    settings = located(url)
    archive = opened(settings)
    files = archive.files()
    with terminal.progress("{task.fields[note]}") as bar:
        task = bar.add_task("verify", total=len(files), note="")
        found = {file.name: _check(archive, file, bar, task) for file in files}
    problems = [{"file": name, "problem": problem} for name, problem in found.items() if problem]
    report = {"url": settings.archive_url, "end": archive.end(), "files": len(files), "problems": problems}
    if as_json:
        terminal.print_json(report)
        return not problems
    for problem in problems:
        terminal.print_text(problem["problem"])
    sound = "some are broken: keep the log, and bring them back from a copy" if problems else "all sound"
    terminal.print_text(f"{len(files)} files, offsets 1 to {report['end']}: {sound}")
    return not problems


def dataset(out: Path, url: str | None, as_json: bool) -> None:
    """Writes the archive's events and items as a folder that `train` reads."""
    archive = opened(located(url))
    from service.commands.archive_dataset import write

    with terminal.progress("records") as bar:
        task = bar.add_task("read", total=archive.end())
        report = write(archive, out, lambda records: bar.advance(task, records))
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_text(
            f"{out}: {report['events']} events, {report['items']} items. Try: peregrine train --data {out}"
        )


def located(url: str | None) -> Settings:
    """Settings with an archive: `url`, else what is set, else the one that `up` keeps in the data folder."""
    settings = load_settings(**({"archive_url": url} if url else {}))
    kept = settings.data_dir / "archive"
    if settings.archive_url is None and kept.is_dir():
        return settings.model_copy(update={"archive_url": str(kept)})
    return settings


def opened(settings: Settings) -> EventArchive:
    """Raises ConfigurationError if there is none."""
    if (archive := open_archive(settings)) is None:
        raise ConfigurationError(f"there is no archive: set {PREFIX}ARCHIVE_URL, or name one with --archive")
    return archive


def _check(archive: EventArchive, file: ArchiveFile, bar: Progress, task: TaskID) -> str:
    problem = archive.check(file)
    bar.update(task, advance=1, note=file.name)
    return problem


def _log(settings: Settings, archived: int) -> dict[str, int] | None:
    """The log beside it; None where none is set."""
    if settings.state_url is None:
        return None
    server = Server(settings.stores()[0], settings.prefix, settings.log_timeout)
    source, keeper = RedisEventSource(server), RedisLogKeeper(server)
    try:
        begin, end = keeper.begin(), source.end()
    finally:
        source.close()
        keeper.close()
    return {"begin": begin, "end": end, "behind": max(0, end - archived)}
