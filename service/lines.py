"""The live models as one replica serves them: a line each, with weights, items and the reader of its users.

Whoever answers a request takes a line once and stays with it, so a switch touches nothing that is under way. A line
is opened when its model's memory has caught up, and becomes the default one when the record says so and its items are
here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from uuid import uuid4

import structlog

from service.core.bundles import NO_BUNDLE, Bundle
from service.core.live_models import Live, LiveModel
from service.core.side_by_side import SideBySide
from service.errors import BundleError, PeregrineError, StoreUnavailable
from service.ports import LiveModels
from service.replica import Replica
from service.request_path import Serving

log = structlog.get_logger("peregrine.lines")

LOOK_SECONDS = 0.1
"""Between two looks at the record: all replicas follow a switch within this time."""
_REPORT_SECONDS = 1.0
_GRACE_SECONDS = 10.0
"""A line that is closed can be read for so long: by requests under way."""


@dataclass(frozen=True)
class Line:
    """One live model as this replica serves it."""

    bundle: Bundle
    replica: Replica

    @cached_property
    def serving(self) -> Serving:
        """One and the same: it remembers whose lists it made."""
        return Serving(self.replica, self.bundle.model, self.bundle.hash != NO_BUNDLE)


OpenLine = Callable[[LiveModel], AbstractAsyncContextManager[Line]]
"""Loads the model's bundle and follows its items for the time of the block. Raises BundleError, StoreUnavailable."""


class Lines:
    """home: of the bundle that the settings name, the default one before the first rollout; it follows already while
    `following` runs. open_line: of other models; models: None for a replica that knows no record."""

    def __init__(self, home: Line, open_line: OpenLine | None = None, models: LiveModels | None = None) -> None:
        self.default = home
        self.live = Live(0)
        self.beside: dict[str, SideBySide] = {}
        """By bundle, what was found of its lists beside those of the default line; whoever looks notes it here."""
        self._home = home
        self._open_line = open_line
        self._models = models
        self._lines: dict[str, Line] = {home.bundle.hash: home}  # by the hash of the bundle
        self._closing: dict[str, AsyncExitStack] = {}
        self._replica = uuid4().hex
        self._reported = (0.0, frozenset[int]())
        self._broken: set[str] = set()
        self._later: set[asyncio.Task[None]] = set()

    def of(self, bundle: str) -> Line | None:
        """The line of that bundle, if its items are here; maybe as of a moment ago."""
        line = self._lines.get(bundle)
        return line if line is not None and line.replica.view.reader is not None else None

    def serving(self) -> list[Line]:
        """All lines whose items are here."""
        return [line for line in self._lines.values() if line.replica.view.reader is not None]

    def _ready(self, bundle: str) -> Line | None:
        """The same, if nothing is wrong with it now."""
        line = self.of(bundle)
        return line if line is not None and not line.replica.reasons else None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follows items and the record for the time of the block."""
        home = self._closing[self._home.bundle.hash] = AsyncExitStack()
        await home.enter_async_context(self._home.replica.following())
        task = asyncio.create_task(self._follow(self._models)) if self._models is not None else None
        try:
            yield
        finally:
            if task is not None and self._models is not None:
                await self._end(task, self._models)
            for later in self._later:
                later.cancel()
            await asyncio.gather(*self._later, return_exceptions=True)
            for stack in self._closing.values():
                await stack.aclose()

    async def _end(self, task: asyncio.Task[None], models: LiveModels) -> None:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        try:
            await asyncio.to_thread(models.withdraw, self._replica)
        except StoreUnavailable as exc:
            log.warning("replica_not_withdrawn", reason=str(exc))

    async def _follow(self, models: LiveModels) -> None:
        said = ""
        while True:
            try:
                await self._turn(models)
                said = ""
            except PeregrineError as exc:  # what is served stays as it is
                if str(exc) != said:
                    log.warning("live_models_not_followed", reason=str(exc))
                said = str(exc)
            await asyncio.sleep(LOOK_SECONDS)

    async def _turn(self, models: LiveModels) -> None:
        live = self.live = await asyncio.to_thread(models.live)
        for model in live.models:
            if model.stage != "filling" and model.bundle not in self._lines:
                await self._open(model)
        if live.serving is not None and (line := self._ready(live.serving.bundle)) is not None:
            if self.default is not line:
                log.info("line_switched", version=line.bundle.version, generation=live.active)
                self.beside.clear()
            self.default = line
        for bundle in [bundle for bundle in self._lines if live.models and live.of(bundle) is None]:
            if self._lines[bundle] is not self.default:
                self._close(bundle)
        await self._report(models, live)

    async def _open(self, model: LiveModel) -> None:
        if self._open_line is None:
            return
        stack = AsyncExitStack()
        try:
            line = await stack.enter_async_context(self._open_line(model))
        except BundleError as exc:
            if model.bundle not in self._broken:
                log.warning("line_not_opened", version=model.version, reason=str(exc))
            self._broken.add(model.bundle)
            return
        log.info("line_opened", version=model.version, generation=model.generation)
        self._lines[model.bundle], self._closing[model.bundle] = line, stack
        self._broken.discard(model.bundle)

    def _close(self, bundle: str) -> None:
        """Nobody new gets it; what is under way can go on for a while."""
        line = self._lines.pop(bundle)
        log.info("line_closed", version=line.bundle.version)
        task = asyncio.create_task(_close_later(self._closing.pop(bundle)))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _report(self, models: LiveModels, live: Live) -> None:
        ready = frozenset(model.generation for model in live.models if self._ready(model.bundle))
        at, before = self._reported
        if live.models and (ready != before or time.monotonic() - at > _REPORT_SECONDS):
            beside = {
                model.generation: self.beside[model.bundle] for model in live.models if model.bundle in self.beside
            }
            await asyncio.to_thread(models.report, self._replica, ready, beside)
            self._reported = (time.monotonic(), ready)


async def _close_later(stack: AsyncExitStack) -> None:
    try:
        await asyncio.sleep(_GRACE_SECONDS)
    finally:
        await stack.aclose()
