"""Settings into services: this file and those named `wiring_*` alone name concrete classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import structlog
from pydantic import SecretStr

from model.process.records import Float
from model.text import SentenceEncoder, has_sentence_encoder
from service.adapters.bundle import NO_BUNDLE, SPARE, Bundle, load_bundle, no_bundle
from service.adapters.exact_index import ExactIndex
from service.adapters.ivf_index import LEAST, IvfIndex
from service.adapters.model_folder import ModelFolder
from service.adapters.onnx_model import OnnxModel
from service.adapters.redis_clients import Server, check_server
from service.adapters.redis_erasures import RedisErasures, RedisFiles
from service.adapters.redis_experiments import RedisExperiments
from service.adapters.redis_generations import RedisActiveState, RedisGenerations
from service.adapters.redis_impressions import RedisImpressions
from service.adapters.redis_keeper import RedisLogKeeper, RedisSnapshots
from service.adapters.redis_live import RedisLiveModels
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_profiles import RedisProfileEraser, RedisProfiles, RedisTokenBudget
from service.adapters.remote_embedder import RemoteEmbedder
from service.api.audit import Audit
from service.api.placements import load_placements
from service.api.services import ApiServices
from service.attribution import Attribution
from service.comparing import Comparing
from service.core.item_texts import ItemTexts
from service.core.live_models import LiveModel
from service.core.log_records import Columns, readable
from service.errors import BundleError, ConfigurationError, EndpointRefused, EndpointUnavailable, StoreUnavailable
from service.event_path import ArchivedSource, Checks
from service.lines import Line, Lines
from service.live_evaluation import LiveEvaluation
from service.ports import (
    Erasures,
    EventArchive,
    EventSource,
    Generations,
    ItemIndex,
    LiveModels,
    LogKeeper,
    ModelRegistry,
    Snapshots,
    StateStore,
    TemporalModel,
    TextEmbedder,
)
from service.profile_ports import ProfileEraser
from service.replica import Replica
from service.request_path import Serving
from service.settings import PREFIX, Settings
from service.trials import Trials
from service.wiring_gate import gate_of

log = structlog.get_logger("peregrine.wiring")

COMMIT_TIMEOUT = 2.0
"""Seconds: a commit may hold megabytes, and nobody waits for the worker's answer."""
RECENT, MOST_USERS = 5_000, 200
"""Newest records looked through for users whose lists are compared, and how many of these."""


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

    def registry_holds(self, model: LiveModel) -> bool:
        """False for a bundle that this release cannot read, or that is gone: its memory must be made by another one."""
        try:
            return _bundle_of(self.registry, model).hash == model.bundle
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
    home = Line(bundle, _replica(state, bundle, settings))
    lines = Lines(home, partial(_line, settings, state_server, registry), models)
    experiments = RedisExperiments(patient)
    trials = Trials(lines, experiments)

    async def close() -> None:
        for connection in (event_log, state, profiles, budget, impressions, experiments):
            await connection.aclose()
        models.close()
        close_embedder(embedder)

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
    return WorkerServices(
        source,
        RedisGenerations(patient, feed_length=settings.feed_length),
        _reading_texts(bundle or current_bundle(settings, models, registry), settings),
        models,
        registry,
        Comparing(partial(_serving, settings, patient, registry), partial(_recent_users, source)),
    )


def _reading_texts(bundle: Bundle, settings: Settings) -> Bundle:
    """With the embedder that it reads texts of, made when a text of another one comes."""
    spec, made = bundle.model.spec, list[TextEmbedder | None]()

    def embed(texts: Sequence[str]) -> Float | None:
        if not made:
            made.append(make_embedder(settings))
        if made[0] is None or made[0].id != spec.embedder:
            return None
        try:
            return made[0].embed(texts)
        except (EndpointUnavailable, EndpointRefused) as exc:
            raise StoreUnavailable(f"texts cannot be embedded: {exc}") from exc  # the worker waits, and tries again

    return replace(bundle, texts=ItemTexts(spec, embed)) if spec.embedder is not None else bundle


def current_bundle(
    settings: Settings, models: LiveModels, registry: ModelRegistry | None, active: bool = False
) -> Bundle:
    """The bundle of the settings; if there was a rollout and its memory is not live, that of the active model.

    active: that of the active model also if the other's memory is live.
    """
    bundle = read_bundle(settings)
    try:
        live = models.live()
    except StoreUnavailable:
        return bundle
    if live.serving is None or live.serving.bundle == bundle.hash or (live.of(bundle.hash) and not active):
        return bundle
    if registry is None:
        raise ConfigurationError(
            f"version {live.serving.version} of the model is active, and {PREFIX}MODELS is not set: name the registry"
        )
    try:
        return registry.load(live.serving.version)
    except BundleError as exc:
        log.warning("live_model_unreadable", version=live.serving.version, reason=str(exc))
        return bundle


def open_registry(settings: Settings) -> ModelRegistry | None:
    """None if the settings name none."""
    return None if settings.models is None else ModelFolder(settings.models)


def _replica(state: RedisActiveState, bundle: Bundle, settings: Settings) -> Replica:
    return Replica(state, partial(_new_index, settings, bundle.model), bundle.model.spec, bundle.hash, settings.clock)


@asynccontextmanager
async def _line(
    settings: Settings, server: Server, registry: ModelRegistry | None, model: LiveModel
) -> AsyncIterator[Line]:
    """A live model whose items are followed."""
    bundle = await asyncio.to_thread(_bundle_of, registry, model)
    state = RedisActiveState(server, bundle.model.spec, bundle.hash)
    try:
        line = Line(bundle, _replica(state, bundle, settings))
        async with line.replica.following():
            yield line
    finally:
        await state.aclose()


@asynccontextmanager
async def _serving(
    settings: Settings, server: Server, registry: ModelRegistry | None, model: LiveModel
) -> AsyncIterator[Serving]:
    async with _line(settings, server, registry, model) as line:
        yield line.serving


def _bundle_of(registry: ModelRegistry | None, model: LiveModel) -> Bundle:
    """Raises BundleError if it is not there, or another one has its version."""
    if model.bundle == NO_BUNDLE:
        return no_bundle()
    if registry is None:
        raise BundleError(f"version {model.version} is live, and {PREFIX}MODELS is not set: name the registry")
    bundle = registry.load(model.version)
    if bundle.hash != model.bundle:
        raise BundleError(f"version {model.version} of the registry is another bundle than the one that is live")
    return bundle


def _recent_users(source: EventSource) -> list[str]:
    """Up to 200 users of the newest events."""
    end = source.end()
    records = source.read(max(0, end - RECENT), RECENT, block_ms=0)
    columns = Columns(records.take(readable(records)))
    return [user.decode() for user in dict.fromkeys(reversed(columns.user)) if user][:MOST_USERS]


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


def _new_index(settings: Settings, model: TemporalModel) -> ItemIndex:
    """With the events as the clock, lists must not depend on how fast they are asked for."""
    at_once = settings.clock == "event"
    if settings.index == "exact" or (settings.index == "auto" and at_once):
        return ExactIndex(model, at_once)
    return IvfIndex(model, at_once, 1 if settings.index == "ivf" else LEAST)


def close_embedder(embedder: TextEmbedder | None) -> None:
    if isinstance(embedder, RemoteEmbedder):
        embedder.close()


def plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


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


def read_bundle(settings: Settings, spare: tuple[str, ...] = ()) -> Bundle:
    """The bundle of the settings. An empty folder is one that is yet to come; a missing one is a mistake.

    spare: graphs that this process can do without.
    """
    folder = settings.bundle
    if folder is None or (folder.is_dir() and not any(folder.iterdir())):
        log.warning("no_bundle", serving="popular items", folder=str(folder))
        return no_bundle()
    bundle = load_bundle(folder, spare=spare)
    if isinstance(bundle.model, OnnxModel) and bundle.model.missing:
        log.error("graphs_missing", graphs=bundle.model.missing, folder=str(folder))
    log.info("bundle_loaded", version=bundle.version, bundle=bundle.hash[:12], preset=bundle.model.spec.preset)
    return bundle


def make_embedder(settings: Settings) -> TextEmbedder | None:
    if settings.embed_url is not None and settings.embed_model is not None:
        key = plain(settings.embed_api_key)
        return RemoteEmbedder(
            settings.embed_url, settings.embed_model, key, settings.embed_prefix, settings.embed_batch
        )
    if settings.embed_text == "off":
        return None
    if not has_sentence_encoder():
        log.warning("no_text_embedder", effect="items are known by id alone", install="peregrine-recsys[text]")
        return None
    return SentenceEncoder()
