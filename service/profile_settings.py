"""The settings of the profile path (`service.settings` has the others)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class ProfileSettings(BaseSettings):
    """Who describes users, when, and what it may cost."""

    profiles: Literal["auto", "off"] = Field(
        "auto",
        description="auto: `up` runs a profiler if texts can be embedded (extra `text`, or embed_url). off: it runs "
        "none.",
    )
    chat_url: str | None = Field(
        None,
        description="Language model that describes users: address of an OpenAI-style API, with its version "
        "(https://host/v1). Without one, profiles are extractive: categories, brands and key terms, no language model.",
    )
    chat_model: str | None = Field(None, description="Name of the language model; mandatory with chat_url.")
    chat_api_key: SecretStr | None = Field(None, description="Key that the language model's API wants.")
    chat_timeout: float = Field(60.0, gt=0, le=600, description="Seconds for one answer of it at most.")
    chat_concurrency: int = Field(4, ge=1, le=256, description="Users described at once by one profiler.")
    chat_max_tokens: int = Field(
        500,
        ge=50,
        le=100_000,
        description="Tokens of an answer; one that is cut off is asked for again with 3 times that.",
    )
    chat_daily_tokens: int = Field(
        1_000_000,
        ge=1_000,
        description="Tokens that all profilers of a deployment may spend in a day (UTC). The most that a call can cost "
        "is set aside before it.",
    )

    embed_url: str | None = Field(
        None,
        description="OpenAI-style API that embeds texts of items and facets (https://host/v1), in place of the extra "
        "`text`. The bundle must have been trained with the same embedder.",
    )
    embed_model: str | None = Field(None, description="Name of the embedder; mandatory with embed_url.")
    embed_api_key: SecretStr | None = Field(None, description="Key that the embedder's API wants.")
    embed_prefix: str = Field("", max_length=200, description="Put before each text, for embedders that want it.")
    embed_batch: int = Field(64, ge=1, le=2_048, description="Texts in one request to the embedder at most.")

    profile_min_events: int = Field(3, ge=1, description="Events from which on a user without a profile gets one.")
    profile_new_events: int = Field(5, ge=1, description="Events since a profile was made from which on it is due.")
    profile_min_age: float = Field(
        21_600.0, ge=0, description="Seconds for which a profile is left alone, whatever the number of new events."
    )
    profile_drift: float = Field(
        0.5,
        ge=-1,
        le=1,
        description="Cosine of the user's memory to the one at the time of the profile below which it is due at once.",
    )
    profile_items: int = Field(30, ge=1, le=500, description="Items of a user's history that a profile is made from.")
    profile_window: int = Field(
        7_776_000, ge=60, description="Seconds before a user's last event whose items a profile is made from."
    )
    profile_nearness: float = Field(
        0.15,
        ge=-1,
        le=1,
        description="Least cosine of a phrase to one of the user's own titles, categories or brands; below, it is "
        "dropped.",
    )
    profiler_seconds: float = Field(
        0.5, gt=0, le=3_600, description="Seconds the profiler rests when nobody's profile is due."
    )

    @field_validator("chat_url", "embed_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url
