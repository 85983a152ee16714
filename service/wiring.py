"""Settings into services: this file and those named `wiring_*` alone name concrete classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import structlog

from service.adapters.bundle import SPARE, Bundle
from service.adapters.redis_clients import Server, check_server
from service.adapters.redis_erasures import RedisErasures, RedisFiles
from service.adapters.redis_experiments import RedisExperiments
from service.adapters.redis_generations import RedisActiveState, RedisGenerations
from service.adapters.redis_impressions import RedisImpressions
from service.adapters.redis_keeper import RedisLogKeeper, RedisSnapshots
from service.adapters.redis_live import RedisLiveModels
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_profiles import RedisProfileEraser, RedisProfiles, RedisTokenBudget
from service.api.audit import Audit
from service.api.placements import load_placements
from service.api.services import ApiServices
from service.attribution import Attribution
from service.comparing import Comparing
from service.core.live_models import LiveModel
from service.errors import BundleError, ConfigurationError, StoreUnavailable
from service.event_path import ArchivedSource, Checks, in_turn
from service.lines import Line, Lines
from service.live_evaluation import LiveEvaluation
from service.ports import (
    Erasures,
    EventArchive,
    EventSource,
    Generations,
    LiveModels,
    LogKeeper,
    ModelRegistry,
    Snapshots,
    StateStore,
)
from service.profile_path import Reembedding
from service.profile_ports import ProfileEraser
from service.settings import Settings
from service.tracing import Followed, Tracer
from service.trials import Trials
from service.watching import Watching
from service.wiring_gate import gate_of
from service.wiring_models import (
    bundle_of,
    close_embedder,
    current_bundle,
    embedding,
    line_of,
    make_embedder,
    open_registry,
    read_bundle,
    reading_texts,
    recent_users,
    replica_of,
    serving_of,
)
from service.wiring_traces import open_tracer

log = structlog.get_logger("peregrine.wiring")

COMMIT_TIMEOUT = 2.0
"""Seconds: a commit may hold megabytes, and nobody waits for the worker's answer."""


@dataclass(frozen=True)
class WorkerServices:
    """What the worker is given."""

    source: EventSource
    generations: Generations
    bundle: Bundle
    models: LiveModels
    registry: ModelRegistry | None = None
    check: Checks | None = None
    """Compares a model that has caught up with the active one."""
    tracer: Tracer | None = None

    def close(self) -> None:
        """Sends the last spans."""
        if self.tracer is not None:
            self.tracer.close()

    def registry_holds(self, model: LiveModel) -> bool:
        """False for a bundle that this release cannot read, or that is gone: its memory must be made by another one."""
        try:
            return bundle_of(self.registry, model).hash == model.bundle
        except BundleError as exc:
            log.warning("live_model_unreadable", version=model.version, reason=str(exc))
            return False

    @property
    def store(self) -> StateStore:
        """Of the generation that is active now."""
        return self.generations.current()


@dataclass(frozen=True)
class KeeperServices:
    """What the keeper is given. source: the log alone; snapshots: of the state's server; state_files, log_files: what
    makes the servers write their files anew for an erasure."""

    source: EventSource
    log: LogKeeper
    generations: Generations
    snapshots: Snapshots
    archive: EventArchive | None
    erasures: Erasures
    state_files: Snapshots
    log_files: Snapshots
    profiles: ProfileEraser


def build_api(settings: Settings, bundle: Bundle | None = None) -> ApiServices:
    """bundle: in place of the one that the settings name.

    Raises ConfigurationError; a store that is down is no reason not to start.
    """
    log_server, state_server = servers(settings)
    bundle = bundle or read_bundle(settings, SPARE)
    profiles, budget = RedisProfiles(state_server), RedisTokenBudget(state_server, settings.chat_daily_tokens)
    event_log = RedisEventLog(log_server, window=settings.dedupe_window, max_lag=settings.max_lag)
    patient = replace(state_server, timeout=max(COMMIT_TIMEOUT, settings.state_timeout))
    models, registry = RedisLiveModels(patient, settings.feed_length), open_registry(settings)
    state = RedisActiveState(state_server, bundle.model.spec, bundle.hash)
    impressions = RedisImpressions(state_server, settings.impressions, settings.impression_seconds)
    tracer = open_tracer(settings, "api")
    followed = None if tracer is None else Followed(tracer)
    home = Line(bundle, replica_of(state, bundle, settings, followed))
    lines = Lines(home, partial(line_of, settings, state_server, registry, followed=followed), models)
    experiments = RedisExperiments(patient)
    trials = Trials(lines, experiments)

    async def close() -> None:
        for connection in (event_log, state, profiles, budget, impressions, experiments):
            await connection.aclose()
        models.close()
        close_embedder(embedder)
        if tracer is not None:
            await asyncio.to_thread(tracer.close)

    embedder = make_embedder(settings)
    return ApiServices(
        settings=settings,
        log=event_log,
        lines=lines,
        profiles=profiles,
        budget=budget,
        embedder=embedder,
        models=models,
        registry=registry,
        history=partial(_history, settings, log_server),
        close=close,
        attribution=Attribution(impressions if settings.impressions else None, trials.credit),
        trials=trials,
        evaluation=LiveEvaluation(lines, settings.live_evaluation) if settings.live_evaluation else None,
        placements=load_placements(settings.placements),
        gate=gate_of(settings),
        audit=Audit(settings.audit_file),
        tracer=tracer,
        followed=followed,
    )


@contextmanager
def _history(settings: Settings, log_server: Server) -> Iterator[EventSource]:
    source = RedisEventSource(log_server)
    try:
        archive = open_archive(settings)
        yield source if archive is None else ArchivedSource(archive, source)
    finally:
        source.close()


def build_worker(settings: Settings, bundle: Bundle | None = None) -> WorkerServices:
    """The same for the worker."""
    log_server, state_server = servers(settings)
    patient = replace(state_server, timeout=max(COMMIT_TIMEOUT, settings.state_timeout))
    source: EventSource = RedisEventSource(log_server)
    if (archive := open_archive(settings)) is not None:
        source = ArchivedSource(archive, source)
    models, registry = RedisLiveModels(patient, settings.feed_length), open_registry(settings)
    bundle = bundle or current_bundle(settings, models, registry)
    reads_facets_of = bundle.model.spec.embedder if bundle.model.spec.profiles else None
    return WorkerServices(
        source,
        RedisGenerations(patient, feed_length=settings.feed_length),
        reading_texts(bundle, settings),
        models,
        registry,
        in_turn(
            Reembedding(reads_facets_of, partial(embedding, settings), partial(_profiles, patient)),
            Comparing(partial(serving_of, settings, patient, registry), partial(recent_users, source)),
            Watching(models, source.end, settings.rollout_watch),
        ),
        open_tracer(settings, "worker"),
    )


@asynccontextmanager
async def _profiles(server: Server) -> AsyncIterator[RedisProfiles]:
    store = RedisProfiles(server)
    try:
        yield store
    finally:
        await store.aclose()


def build_keeper(settings: Settings) -> KeeperServices:
    """The same for the keeper."""
    log_server, state_server = servers(settings)
    return KeeperServices(
        RedisEventSource(log_server),
        RedisLogKeeper(log_server),
        RedisGenerations(state_server),
        RedisSnapshots(state_server),
        open_archive(settings),
        RedisErasures(log_server),
        RedisFiles(state_server),
        RedisFiles(log_server),
        RedisProfileEraser(state_server),
    )


def open_archive(settings: Settings) -> EventArchive | None:
    """None if the settings name none. Raises ConfigurationError for one that cannot be reached at all."""
    if settings.archive_url is None:
        return None
    try:
        from service.adapters.archive_folder import open_folder
        from service.adapters.parquet_archive import ParquetArchive
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f'the archive needs {exc.name}: pip install "peregrine-recsys[archive]"') from exc
    return ParquetArchive(open_folder(settings.archive_url))


def servers(settings: Settings) -> tuple[Server, Server]:
    """Log and state, looked at once: one that could not keep our promises is refused."""
    log_url, state_url = settings.stores()
    servers = (
        Server(log_url, settings.prefix, settings.log_timeout),
        Server(state_url, settings.prefix, settings.state_timeout),
    )
    for server in servers:
        try:
            check_server(server)
        except StoreUnavailable as exc:
            log.warning("store_unavailable", store=server.name, reason=str(exc))
    return servers
