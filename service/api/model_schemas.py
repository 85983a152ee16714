"""What is answered about models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {
    "version": "2026-02-01",
    "bundle": "9f2c1f0e",
    "created": "2026-02-01T03:00:00+00:00",
    "code": "0.1.0",
    "data": {"events": 1203944, "sha256": "77ab"},
    "metrics": {"next": {"recall@20": 0.22, "ndcg@10": 0.09}},
    "problem": None,
    "status": "filling",
    "generation": 2,
    "since": "2026-02-01T03:05:00Z",
    "events_behind": 400000,
    "seconds_left": 21.0,
    "takes_over": True,
    "checks": {},
    "reason": None,
}


class ModelAnswer(BaseModel):
    """A bundle, and how far it is on its way to be served."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    version: str
    bundle: str = Field(description="Hash of all its files; names the weights that a memory was made by.")
    created: str | None = None
    code: str | None = Field(None, description="Release that exported it.")
    data: dict[str, Any] = Field({}, description="Fingerprint of the events it was trained on.")
    metrics: dict[str, Any] = Field({}, description="Of its validation.")
    problem: str | None = Field(None, description="Why it cannot be served.")
    status: Literal["registered", "filling", "checking", "ready", "refused", "active"] = Field(
        description="registered: nothing but files; filling: its memory is being made; checking: it has caught up and "
        "is compared with the active model; ready: may become active; refused: a check failed, see `reason`."
    )
    generation: int | None = Field(None, description="Of the state, that its memory is in.")
    since: str | None = None
    events_behind: int | None = Field(None, description="Records that its memory lacks; 0 once it has caught up.")
    seconds_left: float | None = None
    takes_over: bool | None = Field(None, description="Whether it becomes active as soon as it is ready.")
    checks: dict[str, Any] = {}
    reason: str | None = None


class ModelsAnswer(BaseModel):
    """before: what `rollback` goes back to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"models": [_EXAMPLE], "active": "2026-01-01", "before": None}]}
    )

    models: list[ModelAnswer]
    active: str
    before: str | None
