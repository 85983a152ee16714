"""Rollouts as an operator asks for them: begin, activate, roll back, give up. The workers do the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from service.core.bundles import NO_BUNDLE, Bundle
from service.core.live_models import Live, LiveModel
from service.errors import NoRoom, RolloutRefused, UnknownModel
from service.ports import LiveModels, ModelRegistry

FULL = 0.95
"""Share of the state's memory that no rollout may take it beyond."""
_SWITCH_SECONDS = 20.0
"""How long the switch waits for a model that is a few records behind."""


@dataclass(frozen=True)
class Rolling:
    """registry: None for none, then nothing can be rolled out; home: folder of the bundle that the settings name;
    embedder: id of the text embedder at hand. Its methods block. Raise RolloutRefused, UnknownModel, BundleError,
    StoreUnavailable."""

    models: LiveModels
    registry: ModelRegistry | None
    home: Path | None = None
    embedder: str | None = None

    def begin(self, version: str, serving: Bundle, switch: bool) -> LiveModel:
        """Makes a model live beside `serving`, the active one: its memory is filled, checked, and it takes over if told
        to `switch`.

        Raises NoRoom if there is less memory than another state takes.
        """
        if self.registry is None:
            raise RolloutRefused("there is no registry of models: set PEREGRINE_MODELS for all processes")
        if version not in {model.version for model in self.registry.models()}:
            raise UnknownModel(f"the registry has no version {version!r}")
        bundle, live = self.registry.load(version), self.models.live()
        if live.of(bundle.hash) or bundle.hash == serving.hash:
            raise RolloutRefused(f"version {version} is live already")
        self._check_texts(bundle, serving)
        self._check_room(live)
        if self.home is not None and live.serving is None and serving.hash != NO_BUNDLE:
            self.registry.add(self.home)  # so that it can be served after a restart, whatever the settings name then
        now = int(time.time())
        return self.models.begin(
            LiveModel(0, version, bundle.hash, since=now, switch=switch),
            LiveModel(0, serving.version, serving.hash, "ready", since=now, switch=False),
        )

    def _check_texts(self, bundle: Bundle, serving: Bundle) -> None:
        wanted = bundle.model.spec.embedder
        if wanted not in {None, self.embedder, serving.model.spec.embedder}:
            raise RolloutRefused(
                f"version {bundle.version} reads texts of the embedder {wanted}, at hand is {self.embedder or 'none'}: "
                "set it up first"
            )

    def _check_room(self, live: Live) -> None:
        taken, states = self.models.fullness(), max(1, len(live.models))
        if taken * (1 + 1 / states) > FULL:
            raise NoRoom(
                f"another state needs about as much memory again as each of the {states}, and {taken:.0%} is taken: "
                "raise maxmemory, or give up a model that is not needed"
            )

    def activate(self, version: str) -> LiveModel:
        """Switches to a live model that is ready."""
        model = self._live(version)
        if model.stage != "ready":
            raise RolloutRefused(f"version {version} is {model.stage}: {model.reason or 'wait until it is ready'}")
        return self._switch(model)

    def roll_back(self) -> LiveModel:
        """Switches to the model that was active before."""
        live = self.models.live()
        if (model := live.at(live.before)) is None:
            raise RolloutRefused("there is no model to go back to: it was given up, or there was no switch")
        return self._switch(model)

    def _switch(self, model: LiveModel) -> LiveModel:
        for waiting in self.models.live().models:
            if waiting.switch and waiting.stage == "ready":
                self.models.note(replace(waiting, switch=False))  # or it would take over again by itself
        deadline = time.monotonic() + _SWITCH_SECONDS
        while not self.models.switch(model.generation):
            if time.monotonic() > deadline:
                raise RolloutRefused(f"version {model.version} is behind the active one: is its worker running?")
            time.sleep(0.01)
        return model

    def end(self, version: str) -> LiveModel:
        """Gives a live model up; its memory is deleted."""
        model = self._live(version)
        if self.models.live().active == model.generation:
            raise RolloutRefused(f"version {version} is active: activate another one before")
        self.models.end(model.generation)
        return model

    def _live(self, version: str) -> LiveModel:
        found = next((model for model in self.models.live().models if model.version == version), None)
        if found is None:
            raise UnknownModel(f"no model of version {version!r} is live")
        return found
