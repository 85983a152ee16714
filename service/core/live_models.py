"""The models that are live: each has a generation of its own, all learn, one is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic_core import from_json, to_json

Stage = Literal["filling", "checking", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A bundle and the generation that its memory is in.

    stage: filling (replays archive and log), checking (has caught up; compared with the active one), ready (may become
    the active one), refused (a check failed, `reason` says which; it learns on); since: unix seconds; erased: offset of
    the newest erase marker that the log had got rid of when the filling began, None before; switch: becomes active as
    soon as it is ready; offset, rate: how far the filling is, and records a second; checks: what they found.
    """

    generation: int
    version: str
    bundle: str
    stage: Stage = "filling"
    since: int = 0
    erased: int | None = None
    switch: bool = True
    offset: int = 0
    rate: float = 0.0
    checks: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """active: the generation that serves whoever is in no experiment; before: the one that did before the last switch;
    models: in order of generations, none before the first rollout of a deployment."""

    active: int
    before: int | None = None
    models: tuple[LiveModel, ...] = ()

    def of(self, bundle: str) -> LiveModel | None:
        return next((model for model in self.models if model.bundle == bundle), None)

    def at(self, generation: int | None) -> LiveModel | None:
        return next((model for model in self.models if model.generation == generation), None)

    @property
    def serving(self) -> LiveModel | None:
        """The active one."""
        return self.at(self.active)

    def generation_of(self, bundle: str) -> int:
        """Where the memory made by this bundle is; the active one if that is not known."""
        model = self.of(bundle)
        return self.active if model is None else model.generation


def pack_live(model: LiveModel) -> bytes:
    """Without the generation, which the record's place says."""
    fields = asdict(model)
    del fields["generation"]
    return to_json(fields)


def unpack_live(generation: int, packed: bytes) -> LiveModel:
    return LiveModel(generation, **from_json(packed))
