"""`peregrine retrain`: from the archive to a better bundle, in one run folder.

    archive -> data set -> training -> bundle -> both models on the latest window, one evaluator -> registry -> rollout

The bundle is registered only if it is not worse than the one that serves beyond what chance explains.
"""

from __future__ import annotations

import calendar
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.client import Client, ClientError
from service.commands import terminal
from service.commands.archive import located, opened
from service.commands.archive_dataset import write
from service.commands.connection import connect
from service.commands.models import registry, roll_out
from service.core.bundles import NO_BUNDLE
from service.errors import ConfigurationError, PeregrineError
from service.ports import EventArchive
from service.settings import load_settings

REPORT = "retrain.json"
_VERSION = "%Y%m%d-%H%M%S"
"""Of a run, its folder and its bundle: when it began, UTC."""
MEASURES = ("next recall@20", "next ndcg@10")
"""By which a bundle must not be worse."""


class RetrainFailed(PeregrineError):
    """A step of a retraining failed; its run folder says more."""


@dataclass(frozen=True)
class Plan:
    """serving: folder of the bundle to beat, None for the active one as the service says; fresh: not from the
    serving bundle's weights; min_events: records that the archive must have gained since the last run."""

    runs: Path
    archive: str | None = None
    serving: Path | None = None
    fresh: bool = False
    min_events: int = 0
    rollout: bool = False
    url: str | None = None
    train: tuple[str, ...] = ()
    """Further options of `train`."""


def run(plan: Plan, every_hours: float | None, as_json: bool) -> bool:
    """Once, or every so many hours since the last one began, for ever, whatever becomes of one. False if the only one
    made nothing that could be registered."""
    if every_hours is None:
        report = retrain(plan)
        _say(report, as_json)
        return bool(report["registered"] or report["skipped"])
    while True:
        time.sleep(seconds_left(plan.runs, every_hours, time.time()))
        began = time.monotonic()
        try:
            _say(retrain(plan), as_json)
        except PeregrineError as exc:  # the next one may go better
            terminal.say(f"error: {exc}")
        time.sleep(max(0.0, 3_600 * every_hours - (time.monotonic() - began)))


def seconds_left(runs: Path, every_hours: float, now: float) -> float:
    """Until the next run is due, whoever began the last one: 0 if that is over, or if there was none."""
    begun = [calendar.timegm(time.strptime(path.name, _VERSION)) for path in _runs(runs)]
    return max(0.0, max(begun) + 3_600 * every_hours - now) if begun else 0.0


def _say(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_text(_told(report))


def retrain(plan: Plan) -> dict[str, Any]:
    """One run; what is in its `retrain.json`."""
    archive = opened(located(plan.archive))
    gained = archive.end() - _last_end(plan.runs)
    if gained < plan.min_events:
        reason = f"{gained:,} records since the last run, fewer than {plan.min_events:,}"
        return {"skipped": True, "reason": reason, "registered": False}
    version = time.strftime(_VERSION, time.gmtime())
    folder = plan.runs / version
    folder.mkdir(parents=True)
    serving = plan.serving or _serving(plan.url)
    report = {"skipped": False, "version": version, "archive_end": archive.end()}
    report |= {"serving": None if serving is None else str(serving)}
    report |= _made(plan, archive, folder, version, serving)
    (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if report["registered"] and plan.rollout:
        report["rolled_out"] = roll_out(version, switch=True, wait=True, url=plan.url)["status"]
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _made(plan: Plan, archive: EventArchive, folder: Path, version: str, serving: Path | None) -> dict[str, Any]:
    with terminal.progress("records") as bar:
        task = bar.add_task("read", total=archive.end())
        data = write(archive, folder / "data", lambda records: bar.advance(task, records))
    start = [] if plan.fresh or serving is None else ["--from", str(serving)]
    _peregrine("train", "--data", str(folder / "data"), "--out", str(folder / "run"), *start, *plan.train)
    _peregrine("export", str(folder / "run"), "--out", str(folder / "bundle"), "--version", version)
    compared = _compare(folder, serving)
    objection = judge(compared) if serving is not None else ""
    if not objection:
        registry().add(folder / "bundle")
    return {"data": data, "compared": compared, "registered": not objection, "reason": objection}


def judge(compared: dict[str, Any]) -> str:
    """Why the new bundle is not taken: by one of MEASURES it is worse, and the 95 % interval says not by chance."""
    for measure in MEASURES:
        found = compared[measure]
        if found["high"] < 0:
            return (
                f"{measure} is {found['mean']:.4f}, that of the serving bundle {found['other_mean']:.4f}; the "
                f"difference lies between {found['low']:+.4f} and {found['high']:+.4f}"
            )
    return ""


def _compare(folder: Path, serving: Path | None) -> dict[str, Any]:
    """Both bundles on the latest 15 % of the events, which neither has learned from; the first one with nothing."""
    against = [] if serving is None else ["--against", str(serving)]
    options = ("--data", str(folder / "data"), "--model", str(folder / "bundle"), *against)
    printed = _peregrine("evaluate", *options, "--json")
    (folder / "evaluation.json").write_text(printed, encoding="utf-8")
    found: dict[str, Any] = json.loads(printed).get("against", {})
    return found


def _serving(url: str | None) -> Path | None:
    """The active model's folder: in the registry, or the bundle of the settings; None where there is no model yet."""
    settings, models = load_settings(), registry()
    try:
        with connect(url) as client:
            version = _active(client)
    except ClientError as exc:
        if settings.bundle is not None:
            return settings.bundle
        raise ConfigurationError(f"which bundle serves is not known ({exc}): name it with --serving") from exc
    if version == NO_BUNDLE:
        return None
    if settings.bundle is None or version in {model.version for model in models.models()}:
        return models.folder(version)
    return settings.bundle


def _active(client: Client) -> str:
    return str(client.call("GET", "/v1/models")["active"])


def _last_end(runs: Path) -> int:
    """Where the archive ended at the last run; 0 before the first."""
    reports = [path / REPORT for path in _runs(runs) if (path / REPORT).is_file()]
    return int(json.loads(reports[-1].read_bytes())["archive_end"]) if reports else 0


def _runs(runs: Path) -> list[Path]:
    """Oldest first; one that failed has no report."""
    return sorted(path for path in runs.glob("????????-??????") if path.name.replace("-", "").isdigit())


def _peregrine(*arguments: str) -> str:
    """A training command in a process of its own, so that torch stays out of this one; what it prints."""
    command = [sys.executable, "-m", "service.cli", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise RetrainFailed(f"`peregrine {arguments[0]}` failed (see above)")
    return done.stdout


def _told(report: dict[str, Any]) -> str:
    if report["skipped"]:
        return f"nothing done: {report['reason']}"
    if not report["registered"]:
        return f"version {report['version']} is not registered: {report['reason']}"
    if (found := report["compared"].get(MEASURES[0])) is None:
        return f"version {report['version']} is registered: there was no model before"
    return (
        f"version {report['version']} is registered: {MEASURES[0]} {found['mean']:.4f}, the serving bundle "
        f"{found['other_mean']:.4f}"
    )
