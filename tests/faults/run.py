"""`python -m tests.faults.run`: seeded runs of the real processes under faults, judged by an oracle.

A run is a deployment of its own, traffic, a schedule of faults, and at the end, while nothing comes in, two power cuts:
of the state, and of everything. Its result is kept under --out, in a folder named by the sources, so that a broken-off
series goes on where it was. On stdout: one JSON line. Exit code 1 if anything was lost, doubled, wrong or stuck; then
the run's folder is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from model.spec import ModelSpec
from service.commands.bundles import shipped
from service.logs import configure
from service.settings import PREFIX
from service.wiring import build_worker
from service.wiring_models import read_bundle
from tests.faults import enclosure, shim
from tests.faults.chaos import DISKS, Chaos, plan
from tests.faults.oracle import TOLERANCE, judge
from tests.faults.servers import Deployment, default_server
from tests.faults.traffic import Ledger, Traffic, seeded

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS = 90.0


@dataclass(frozen=True)
class Size:
    """Of a run. pause: seconds between two faults, about."""

    events: int
    kills: int
    power_cuts: int
    takeovers: int
    faults: int
    pause: float

    @property
    def seconds(self) -> float:
        """How long the faults take, about: a takeover waits for everything to be well before."""
        return 1.1 * self.pause * (self.kills + self.power_cuts + self.faults) + 12.0 * self.takeovers


FULL = Size(events=21_000, kills=10, power_cuts=1, takeovers=2, faults=18, pause=1.6)
SHORT = Size(events=2_500, kills=3, power_cuts=0, takeovers=1, faults=5, pause=1.0)


@dataclass
class Result:
    """Of one run. notes: what must not be and has no count; how: what the machine let us use."""

    seed: str
    size: dict[str, Any]
    how: dict[str, str]
    kills: int = 0
    power_cuts: int = 0
    dropped_bytes: int = 0
    acked: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_entities: int = 0
    max_vector_difference: float = 0.0
    takeover_seconds: list[float] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong_entities or self.notes)


def run_once(seed: str, size: Size, folder: Path, bundles: dict[str, Path], binary: Path) -> Result:
    """One run in `folder`, which is removed if nothing went wrong."""
    rng, begun = seeded(seed), time.monotonic()
    clock = rng.choice(("event", "event", "wall"))
    # Redis 7.0 may leave a file that it cannot load after a short write to a full disk; the shim refuses writes whole.
    small_disks = rng.random() < 0.5 and enclosure.can_mount() and "valkey" in binary.name
    iptables = enclosure.can_cut() and rng.random() < 0.7
    how = {
        "clock": clock,
        "disk": "tmpfs" if small_disks else "shim",
        "connections": "iptables" if iptables else "silent proxy",
    }
    result = Result(seed, asdict(size), how)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = {
        "clock": clock,
        "bundle": bundles[clock],
        "embed_text": "off",
        "lease_seconds": 3.0,
        "log_length": rng.choice((1_000, 5_000)),
        "feed_length": rng.choice((100, 2_000)),
        "batch_size": rng.choice((50, 500, 2_000)),
    }
    try:
        with Deployment(folder, binary, shim.build(folder), small_disks, **settings) as deployment:
            _disturb(deployment, Chaos(deployment, rng, iptables), rng, size, result)
    except Exception as exc:
        result.notes.append(f"{type(exc).__name__}: {exc}")
    result.seconds = time.monotonic() - begun
    if result.good:
        shutil.rmtree(folder)
    return result


def _disturb(deployment: Deployment, chaos: Chaos, rng: Random, size: Size, result: Result) -> None:
    deployment.wait_until_ready()
    traffic = Traffic(deployment.client, result.seed, result.how["clock"], 3, size.events, size.seconds)
    traffic.start()
    try:
        chaos.run(plan(rng, size.kills, size.power_cuts, size.takeovers, size.faults), size.pause)
    finally:
        chaos.end()
        ledger = traffic.finish()
        _note_tally(chaos, ledger, result)
    _settle(deployment, result)
    for stores in (["state"], DISKS):  # while no event comes in
        chaos.cut_power(stores)
        _settle(deployment, result)
    _note_tally(chaos, ledger, result)
    services = build_worker(settings := deployment.settings(direct=True), read_bundle(settings))
    verdict = judge(ledger, services.source, services.store, services.bundle)
    result.lost, result.doubled, result.wrong_entities = verdict.lost, verdict.doubled, verdict.wrong_entities
    result.max_vector_difference = verdict.max_vector_difference
    result.notes += verdict.notes


def _note_tally(chaos: Chaos, ledger: Ledger, result: Result) -> None:
    tally = chaos.tally
    result.kills, result.power_cuts, result.dropped_bytes = tally.kills, tally.power_cuts, tally.dropped
    result.takeover_seconds, result.faults = tally.takeovers, dict(tally.faults)
    result.answers, result.acked = dict(ledger.answers), ledger.acked


def _settle(deployment: Deployment, result: Result) -> None:
    """Until everything that the log holds is applied and served; a note if that does not come."""
    deployment.wait_until_ready()
    settings = deployment.settings(direct=True)
    services, deadline, where = build_worker(settings, read_bundle(settings)), time.monotonic() + SETTLE_SECONDS, ""
    with deployment.client(direct=True) as client:
        while time.monotonic() < deadline:
            end, position = services.source.end(), services.store.position()
            served = client.ready().body.get("offset")
            if end == position.offset == served:
                return
            where = f"the log ends at {end}, the state stands at {position.offset}, served is {served}"
            time.sleep(0.2)
    result.notes.append(f"not settled after {SETTLE_SECONDS:.0f} s: {where}")


def series(options: argparse.Namespace, size: Size) -> list[Result]:
    """The results of all runs, those of an earlier call included; no run begins after the time is up."""
    folder: Path = options.out / digest_of_sources()
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes
    results: list[Result] = []
    bundles: dict[str, Path] = {}
    for number in range(options.runs):
        seed = f"{options.seed}-{number}"
        kept = folder / f"run-{seed}-{size.events}.json"
        if not kept.exists():
            if time.monotonic() > until:
                say(f"the time is up after {number} of {options.runs} runs")
                break
            bundles = bundles or make_bundles(folder / "bundles")
            result = run_once(seed, size, folder / f"run-{seed}", bundles, options.server)
            kept.write_text(json.dumps(asdict(result), indent=1) + "\n")
        results.append(Result(**json.loads(kept.read_text())))
        say(f"run {seed}: {json.dumps(asdict(results[-1]) | {'size': None})}")
    return results


def make_bundles(folder: Path) -> dict[str, Path]:
    """By clock: the shipped weights with shorter ticks, so that many close."""
    return {clock: _variant(folder / clock, seconds) for clock, seconds in (("event", 300), ("wall", 5))}


def _variant(folder: Path, tick: int) -> Path:
    shutil.copytree(shipped(), folder, dirs_exist_ok=True)
    spec = ModelSpec.load(folder / "spec.json")
    spec.model_copy(update={"item_tick": tick, "pop_step": tick}).save(folder / "spec.json")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"] = {name: sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def digest_of_sources() -> str:
    """Names what was tested: a result of other sources is none of these."""
    digest = sha256()
    for top, kinds in (("service", ("py", "lua")), ("model", ("py",)), ("tests", ("py", "c")), ("deploy", ("conf",))):
        for path in sorted(p for kind in kinds for p in (ROOT / top).rglob(f"*.{kind}")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def summary(results: list[Result]) -> dict[str, Any]:
    """Of a series: what the last line says."""
    return {
        "runs": len(results),
        "kills": sum(result.kills for result in results),
        "acked": sum(result.acked for result in results),
        "lost": sum(result.lost for result in results),
        "doubled": sum(result.doubled for result in results),
        "wrong_entities": sum(result.wrong_entities for result in results),
        "max_vector_difference": max((result.max_vector_difference for result in results), default=0.0),
        "worst_takeover_seconds": max((s for result in results for s in result.takeover_seconds), default=0.0),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=40.0, help="no run begins after that")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "faults")
    parser.add_argument("--server", type=Path, default=default_server(), help="a Redis or Valkey server's binary")
    parser.add_argument("--short", action="store_true", help="small runs, as `make test` has one")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    enclosure.enter(["-m", "tests.faults.run", *arguments])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure("warning", "text")
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    results = series(options, SHORT if options.short else FULL)
    faults = sum((Counter(result.faults) for result in results), Counter())
    cuts, dropped = sum(r.power_cuts for r in results), sum(r.dropped_bytes for r in results)
    say(f"{cuts} power cuts dropped {dropped} bytes; faults: {json.dumps(faults)}; tolerance {TOLERANCE}")
    for note in (f"{result.seed}: {note}" for result in results for note in result.notes):
        say(note)
    print(json.dumps(summary(results)))  # noqa: T201
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
