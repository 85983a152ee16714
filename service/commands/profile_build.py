"""`peregrine profile build`: profiles of a data set's users as they would have been made at the time, to train with.

profiles.parquet           what `model.data.profiles` reads
profiles.answers.ndjson    beside it, a line for each description: {"hash", "facets"}. Written as they come in: a build
                           that was interrupted goes on, and a later one asks only about what is new
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from pydantic_core import to_json

from model.spec import DAY
from service.adapters.cached_embedder import CachedEmbedder
from service.adapters.in_memory_profiles import InMemoryTokenBudget
from service.commands import datasets, terminal
from service.commands.profile_plan import Moment, PastHistories, plan
from service.core.profiles import Facets, Maker
from service.errors import AnswerRejected, BudgetSpent, ConfigurationError, EndpointRefused, EndpointUnavailable
from service.profile_path import Breaker, prompt
from service.profile_path.history import input_hash
from service.profile_path.hygiene import check, facet_vectors
from service.profile_ports import History, Profiler
from service.serving_ports import TextEmbedder
from service.settings import Settings, load_settings
from service.wiring_profiles import build_describer, profile_limits, profile_rules

if TYPE_CHECKING:  # pyarrow comes with an extra
    from model.data import Dataset

MOST_TRIES = 3
BYTES_A_TOKEN = 4
"""Of a prompt, about; for the estimate alone."""
CACHED = 200_000
"""Texts whose vectors are kept."""
NAME = "profiles.parquet"


@dataclass
class Answers:
    """Facets by input hash, in a file that grows by a line for each."""

    path: Path
    known: dict[str, Facets] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            whole = self.path.read_bytes().rpartition(b"\n")[0]  # what follows was cut off
            lines = [json.loads(line) for line in whole.splitlines()]
            self.known = {line["hash"]: {name: tuple(p) for name, p in line["facets"].items()} for line in lines}
            self.path.write_bytes(whole + b"\n" * bool(whole))

    def add(self, key: str, facets: Facets) -> None:
        self.known[key] = facets
        with self.path.open("ab") as file:
            file.write(to_json({"hash": key, "facets": {name: list(p) for name, p in facets.items()}}) + b"\n")


@dataclass
class Build:
    """One run. failed: users and periods that were given up, which a later build asks about again."""

    histories: PastHistories
    profiler: Profiler
    embedder: TextEmbedder
    nearness: float
    answers: Answers
    breaker: Breaker = field(default_factory=Breaker)
    calls: int = 0
    failed: int = 0

    @property
    def maker(self) -> Maker:
        return Maker(self.profiler.source, self.profiler.model, self.profiler.prompt, self.embedder.id)

    def missing(self, moments: Sequence[Moment]) -> dict[str, History]:
        """What has to be asked about: histories by hash, none twice."""
        found: dict[str, History] = {}
        for moment in moments:
            history = self.histories.of(moment)
            key = input_hash(history, self.maker)
            if history.items and key not in self.answers.known:
                found[key] = history
        return found

    async def describe(self, missing: Mapping[str, History], concurrency: int) -> None:
        """Asks about all of them. Raises EndpointRefused and BudgetSpent; what was answered until then is kept."""
        waiting = iter(missing.items())
        with terminal.progress("") as bar:
            task = bar.add_task("describing", total=len(missing))

            async def work() -> None:
                for key, history in waiting:
                    await self._one(key, history)
                    bar.advance(task)

            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work())

    async def _one(self, key: str, history: History) -> None:
        for _ in range(MOST_TRIES):
            while wait := self.breaker.wait():
                await asyncio.sleep(wait)
            try:
                self.calls += 1
                draft = await self.profiler.describe(history)
            except AnswerRejected:
                self.breaker.succeeded()
                continue
            except EndpointUnavailable as exc:
                await asyncio.sleep(self.breaker.failed(exc.retry_after))
                continue
            self.breaker.succeeded()
            self.answers.add(key, check(draft, history, self.embedder, self.nearness).facets)
            return
        self.failed += 1

    def write(self, path: Path, moments: Sequence[Moment], user_ids: Sequence[str], period: int) -> int:
        """The file; how many profiles it holds. A moment whose profile is the one before it has no row."""
        from model.data.profiles import Made, PastProfile, write_profiles

        profiles: list[PastProfile] = []
        before: dict[int, str] = {}
        with terminal.progress("") as bar:
            for moment in bar.track(moments, description="embedding"):
                history = self.histories.of(moment)
                key = input_hash(history, self.maker)
                facets = self.answers.known.get(key)
                if facets is None or before.get(moment.user) == key:
                    continue
                before[moment.user] = key
                items = [item.item_id for item in history.items]
                vectors = facet_vectors(facets, self.embedder).astype(np.float16).astype(np.float32)
                profiles.append(PastProfile(user_ids[moment.user], moment.begin, facets, items, key, vectors))
        write_profiles(path, profiles, Made(asdict(self.maker), period, self.embedder.dim))
        return len(profiles)


def run(data: str, out: Path | None, days: float, most_tokens: int | None, yes: bool, as_json: bool) -> None:
    """Raises ConfigurationError, which says what to do."""
    settings = load_settings()
    path = _out(data, out)
    terminal.say(f"reading {data}")
    dataset = datasets.read(data, prepared=False)
    try:
        report = asyncio.run(_build(dataset, path, round(days * DAY), most_tokens, yes, settings))
    except* (EndpointRefused, BudgetSpent) as group:
        raise ConfigurationError(f"{_first(group)}; what was answered is kept, run it again to go on") from group
    if as_json:
        terminal.print_json(report)


async def _build(
    dataset: Dataset, path: Path, period: int, most_tokens: int | None, yes: bool, settings: Settings
) -> dict[str, Any]:
    limit = most_tokens or settings.chat_daily_tokens
    profiler, embedder, close = build_describer(settings, InMemoryTokenBudget(limit, clock=lambda: 0.0))
    try:
        cached = CachedEmbedder(embedder, size=CACHED)
        answers = Answers(path.with_name(path.stem + ".answers.ndjson"))
        histories = PastHistories(dataset, profile_limits(settings))
        build = Build(histories, profiler, cached, settings.profile_nearness, answers)
        moments = plan(dataset, profile_rules(settings), period)
        missing = build.missing(moments)
        cost = estimate(missing, profiler.source, settings)
        _say(cost, len(moments), len(missing), limit)
        if cost["tokens_at_most"] and not yes:
            typer.confirm("go on?", abort=True, err=True)
        await build.describe(missing, settings.chat_concurrency if profiler.source == "chat" else 1)
        written = build.write(path, moments, dataset.user_ids, period)
    finally:
        await close()
    terminal.say(f"{written:,} profiles in {path}; {build.failed:,} could not be described")
    report = {"file": str(path), "profiles": written, "due": len(moments)}
    return report | {"calls": build.calls, "failed": build.failed} | cost


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The error at the bottom of nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def estimate(missing: Mapping[str, History], source: str, settings: Settings) -> dict[str, int]:
    """Tokens that the calls will cost: of prompts about, and with answers at most. Rules cost nothing."""
    if source != "chat":
        return {"prompt_tokens": 0, "tokens_at_most": 0}
    asked = sum(len(to_json(prompt.messages(history))) for history in missing.values()) // BYTES_A_TOKEN
    return {"prompt_tokens": asked, "tokens_at_most": asked + settings.chat_max_tokens * len(missing)}


def _say(cost: Mapping[str, int], due: int, missing: int, limit: int) -> None:
    terminal.say(f"{due:,} profiles were due, {missing:,} of them have to be described")
    if cost["tokens_at_most"]:
        terminal.say(
            f"that is about {cost['prompt_tokens']:,} tokens of prompts, with the answers at most "
            f"{cost['tokens_at_most']:,}; it stops before {limit:,}"
        )


def _out(data: str, out: Path | None) -> Path:
    if out is not None:
        return out
    if not Path(data).is_dir():
        raise ConfigurationError(f"{data} is no folder to put {NAME} into: say where with --out")
    return Path(data) / NAME
