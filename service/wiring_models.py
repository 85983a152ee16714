"""Settings into models: bundles, the registry, embedders, and the lines that serve live models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
from pydantic import SecretStr

from model.process.records import Float
from model.text import SentenceEncoder, has_sentence_encoder
from service.adapters.bundle import NO_BUNDLE, Bundle, load_bundle, no_bundle
from service.adapters.exact_index import ExactIndex
from service.adapters.ivf_index import LEAST, IvfIndex
from service.adapters.model_folder import ModelFolder
from service.adapters.onnx_model import OnnxModel
from service.adapters.redis_clients import Server
from service.adapters.redis_generations import RedisActiveState
from service.adapters.remote_embedder import RemoteEmbedder
from service.core.item_texts import ItemTexts
from service.core.live_models import LiveModel
from service.core.log_records import Columns, readable
from service.errors import BundleError, ConfigurationError, EndpointRefused, EndpointUnavailable, StoreUnavailable
from service.lines import Line
from service.ports import (
    EventSource,
    ItemIndex,
    LiveModels,
    ModelRegistry,
    TemporalModel,
    TextEmbedder,
)
from service.replica import Replica
from service.request_path import Serving
from service.settings import PREFIX, Settings
from service.tracing import Followed

log = structlog.get_logger("peregrine.wiring")

RECENT, MOST_USERS = 5_000, 200
"""Newest records looked through for users whose lists are compared, and how many of these."""


def open_registry(settings: Settings) -> ModelRegistry | None:
    """None if the settings name none."""
    return None if settings.models is None else registry_at(str(settings.models))


def registry_at(place: str) -> ModelRegistry:
    """A folder, or a URL. Raises ConfigurationError for one that cannot be reached at all."""
    if "://" not in place or place.startswith("file://"):
        return ModelFolder(Path(place.removeprefix("file://")))
    try:
        from service.adapters.model_url import ModelUrl
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f'the registry needs {exc.name}: pip install "peregrine-recsys[archive]"') from exc
    return ModelUrl(place)


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


def bundle_of(registry: ModelRegistry | None, model: LiveModel) -> Bundle:
    """Raises BundleError if it is not there, or another one has its version."""
    if model.bundle == NO_BUNDLE:
        return no_bundle()
    if registry is None:
        raise BundleError(f"version {model.version} is live, and {PREFIX}MODELS is not set: name the registry")
    bundle = registry.load(model.version)
    if bundle.hash != model.bundle:
        raise BundleError(f"version {model.version} of the registry is another bundle than the one that is live")
    return bundle


def reading_texts(bundle: Bundle, settings: Settings) -> Bundle:
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


@contextmanager
def embedding(settings: Settings) -> Iterator[TextEmbedder | None]:
    """The embedder of the settings for the time of the block."""
    embedder = make_embedder(settings)
    try:
        yield embedder
    finally:
        close_embedder(embedder)


def close_embedder(embedder: TextEmbedder | None) -> None:
    if isinstance(embedder, RemoteEmbedder):
        embedder.close()


def plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def new_index(settings: Settings, model: TemporalModel) -> ItemIndex:
    """With the events as the clock, lists must not depend on how fast they are asked for."""
    at_once = settings.clock == "event"
    if settings.index == "exact" or (settings.index == "auto" and at_once):
        return ExactIndex(model, at_once)
    return IvfIndex(model, at_once, 1 if settings.index == "ivf" else LEAST)


def replica_of(
    state: RedisActiveState, bundle: Bundle, settings: Settings, followed: Followed | None = None
) -> Replica:
    index = partial(new_index, settings, bundle.model)
    return Replica(state, index, bundle.model.spec, bundle.hash, settings.clock, followed)


@asynccontextmanager
async def line_of(
    settings: Settings,
    server: Server,
    registry: ModelRegistry | None,
    model: LiveModel,
    followed: Followed | None = None,
) -> AsyncIterator[Line]:
    """A live model whose items are followed."""
    bundle = await asyncio.to_thread(bundle_of, registry, model)
    state = RedisActiveState(server, bundle.model.spec, bundle.hash)
    try:
        line = Line(bundle, replica_of(state, bundle, settings, followed))
        async with line.replica.following():
            yield line
    finally:
        await state.aclose()


@asynccontextmanager
async def serving_of(
    settings: Settings, server: Server, registry: ModelRegistry | None, model: LiveModel
) -> AsyncIterator[Serving]:
    async with line_of(settings, server, registry, model) as line:
        yield line.serving


def recent_users(source: EventSource) -> list[str]:
    """Up to 200 users of the newest events."""
    end = source.end()
    records = source.read(max(0, end - RECENT), RECENT, block_ms=0)
    columns = Columns(records.take(readable(records)))
    return [user.decode() for user in dict.fromkeys(reversed(columns.user)) if user][:MOST_USERS]
