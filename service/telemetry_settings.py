"""The settings of what is told about processes (`service.settings` has the others)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class TelemetrySettings(BaseSettings):
    """Where processes other than the API are scraped, and where traces go."""

    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of `host` on which worker, keeper and profiler answer /metrics and /livez, under the rules "
        "of the API's; 0 takes a free one and logs it. `up` gives each the next one. Default: they listen nowhere.",
    )
    traces_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where traces go: address of an OTLP/HTTP collector (http://host:4318/v1/traces). Needs the extra "
        "`otel`. Default: none are made.",
    )
    traces_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the requests that are traced; a caller's `traceparent` decides for its own.",
    )
