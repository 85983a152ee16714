"""What the API is given: ports, the replica, the model, and its limits."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property

from fastapi import Request

from model.process.temporal_model import TemporalModel
from service.api.audit import Audit
from service.api.counts import Counts
from service.api.freshness import Freshness
from service.api.gate import Gate
from service.api.placements import Placements
from service.api.timings import Timings
from service.attribution import Attribution
from service.lines import Lines
from service.live_evaluation import LiveEvaluation
from service.ports import EventLog, EventSource, LiveModels, ModelRegistry, StateReader, TextEmbedder
from service.profile_ports import ProfileBook, TokenBudget
from service.replica import Replica
from service.request_path import Serving
from service.settings import Settings
from service.tracing import Followed, Tracer
from service.trials import Trials


@dataclass
class ApiServices:
    """lines: the live models as this replica serves them; close: gives connections back."""

    settings: Settings
    log: EventLog
    lines: Lines
    profiles: ProfileBook
    budget: TokenBudget
    embedder: TextEmbedder | None
    history: Callable[[], AbstractContextManager[EventSource]]
    """The log with its archive behind it, for one reader who goes through all of it."""
    close: Callable[[], Awaitable[None]]
    models: LiveModels
    registry: ModelRegistry | None
    trials: Trials
    evaluation: LiveEvaluation | None = None
    attribution: Attribution = field(default_factory=lambda: Attribution(None))
    placements: Placements = field(default_factory=dict)
    """Named configurations of lists."""
    gate: Gate = field(default_factory=lambda: Gate(None))
    audit: Audit = field(default_factory=lambda: Audit(None))
    counts: Counts = field(default_factory=Counts)
    timings: Timings = field(default_factory=Timings)
    tracer: Tracer | None = None
    followed: Followed | None = None
    """Ends the traces of events."""
    embedding: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while texts are embedded: one thread at a time."""
    patching: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an item is read, changed and appended: one PATCH after the other."""
    exports: int = 0
    """Under way now."""
    draining: bool = False
    """Set on the way down: /readyz says no, so that no new callers come."""

    @cached_property
    def freshness(self) -> Freshness:
        return Freshness(self.replica, self.timings)

    @cached_property
    def cursor_key(self) -> bytes:
        """Signs cursors; the same in all replicas of a deployment."""
        key = self.settings.api_key
        secret = self.settings.prefix if key is None else key.get_secret_value()
        return hashlib.sha256(b"cursors of " + secret.encode()).digest()

    @property
    def replica(self) -> Replica:
        """The items of the default line."""
        return self.lines.default.replica

    @property
    def model(self) -> TemporalModel:
        return self.lines.default.bundle.model

    @property
    def reader(self) -> StateReader:
        """Of what belongs to the replica's index. Raises StoreUnavailable if there is nothing to read."""
        return self.replica.reader

    @property
    def serving(self) -> Serving:
        return self.lines.default.serving


def services_of(request: Request) -> ApiServices:
    services: ApiServices = request.app.state.services
    return services
