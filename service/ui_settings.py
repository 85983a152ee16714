"""Settings of the pages, a part of `service.settings.Settings`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class UiSettings(BaseSettings):
    """Where `peregrine ui` listens, and whom it offers."""

    ui_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that `peregrine ui` listens on. Off loopback everybody signs in with an API key of their "
        "own; on loopback the pages use api_key.",
    )
    ui_port: int = Field(
        8080,
        ge=0,
        le=65_535,
        description="Port of the pages; 0 takes a free one. `up` takes a free one if it is taken.",
    )
    ui_users: str = Field("", description="User ids that the Live page offers, separated by commas.")
