"""What is answered about the service itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Ready(BaseModel):
    """offset: of the items served; log_end: newest offset in the log; lag: what lies between; refusing: why no events
    are taken for now, null when they are; tick: number of the item tick that the vectors are visible in, null before
    the first event."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ready": True,
                    "items": 4056,
                    "offset": 4711,
                    "log_end": 4711,
                    "lag": 0,
                    "refusing": None,
                    "tick": 491631,
                    "model": "2026-01-30",
                }
            ]
        }
    )

    ready: Literal[True]
    items: int
    offset: int
    log_end: int
    lag: int
    refusing: str | None
    tick: int | None
    model: str


class Live(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"]


class Version(BaseModel):
    """bundle: hash of the weights; `none` without a bundle. clock: what `now` is, the time of day or of the log."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "peregrine",
                    "version": "0.1.0",
                    "model": "2026-01-30",
                    "preset": "peregrine",
                    "bundle": "9f2c...",
                    "clock": "wall",
                }
            ]
        }
    )

    name: str
    version: str
    model: str
    preset: str
    bundle: str
    clock: Literal["wall", "event"]
