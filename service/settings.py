"""The one settings object: environment variables PEREGRINE_*, secrets also as files. Built in main, never at import.

Every field's description is its manual; `peregrine config` prints them. A value given in the code wins over the
environment.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.errors import ConfigurationError
from service.file_secrets import PREFIX, SECRETS, FileSecrets
from service.profile_settings import ProfileSettings
from service.telemetry_settings import TelemetrySettings
from service.ui_settings import UiSettings

__all__ = ["PREFIX", "SECRETS", "Settings", "is_loopback", "load_settings"]


class Settings(ProfileSettings, UiSettings, TelemetrySettings):
    """All settings of all processes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    state_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey that holds the state: redis://, rediss:// or unix:// URL. Without one, `up` and "
        "`demo` start their own Valkey in the data folder; other processes refuse to start.",
    )
    log_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey that holds the event log, best one with `appendfsync always`. Default: state_url.",
    )
    tls_ca: FilePath | None = Field(
        None,
        description="PEM file of the authorities that the certificates of rediss:// servers are checked against, name "
        "included. Default: those of the system.",
    )
    tls_cert: FilePath | None = Field(
        None, description="PEM file of the certificate that rediss:// servers are shown, if they ask for one."
    )
    tls_key: FilePath | None = Field(None, description="PEM file of its private key. Default: in tls_cert.")
    data_dir: Path = Field(Path("peregrine-data"), description="Folder of the embedded Valkey and of runs.")
    prefix: str = Field(
        "peregrine",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Starts every key, so that several deployments can share a server.",
    )
    archive_url: str | None = Field(
        None,
        description="Where the log is copied to for good: a folder, or a URL that fsspec knows (s3://bucket/folder). "
        "Without one the log is never trimmed; `up` with its own Valkey takes a folder in data_dir. Needs the extra "
        "`archive`.",
    )
    bundle: Path | None = Field(
        None,
        description="Folder of the exported model. Without one, or with an empty folder, events are accepted and "
        "popular items are served.",
    )

    models: str | None = Field(
        None,
        description="The registry, where bundles lie that are rolled out while the service runs; one for all "
        "processes: a folder, or a URL that fsspec knows (s3://bucket/models; needs the extra `archive`). `up` with "
        "its own Valkey takes a folder in data_dir.",
    )

    @field_validator("models", mode="before")
    @classmethod
    def _as_text(cls, place: Any) -> Any:
        return str(place) if isinstance(place, Path) else place

    rollout_watch: float = Field(
        20.0,
        ge=0,
        le=3_600,
        description="Seconds for which the lists of a model that is ready to take over are looked at beside those of "
        "the active one, on events that come in (200 of them at most, none with live_evaluation 0). One that does "
        "worse beyond chance is refused.",
    )

    placements: Path | None = Field(
        None,
        description="TOML or JSON file of placements: by name, the options that a list of that name is made with. A "
        "request that names one may override each of them.",
    )

    impressions: int = Field(
        50_000,
        ge=0,
        description="Answered lists that are kept, so that events which name their request_id count for them; 500 "
        "bytes each in the state store. 0: none.",
    )
    impression_seconds: int = Field(86_400, ge=1, description="Seconds for which they are kept.")

    live_evaluation: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the users whose events are looked for in their lists before they are taken: /metrics "
        "tells how often they were there, beside popular items and a memory that no longer learns, which costs each "
        "API a second copy of the items. 0: none.",
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on. Off loopback a key is needed.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one and logs it.")
    api_key: SecretStr | None = Field(
        None,
        description="Key that callers of /v1 send as `Authorization: Bearer <key>` or `X-API-Key: <key>`. Printable "
        "ASCII without spaces.",
    )
    keys_file: Path | None = Field(
        None,
        description="JSON file of API keys with scopes and rates (`peregrine keys add`), read again when it changes. "
        "Valid beside api_key, which may everything.",
    )
    audit_file: Path | None = Field(
        None, description="File that the audit log is appended to, as JSON lines; without one it is in the log alone."
    )
    cors_origins: str = Field(
        "", description="Origins, separated by commas, whose pages may call the API from a browser. Default: none."
    )
    clock: Literal["wall", "event"] = Field(
        "wall",
        description="What `now` is. wall: the time of day (live). event: the newest timestamp in the log (replay, "
        "import, demo); future timestamps are then accepted up to the year 2100.",
    )
    index: Literal["auto", "exact", "ivf"] = Field(
        "auto",
        description="How items are searched. exact: all of them. ivf: the lists of items nearest to the user, which "
        "find 99 % of the true Top-100. auto: ivf from 50,000 items on, and exact where the events are the clock.",
    )
    unknown_items: Literal["create", "reject"] = Field(
        "create",
        description="What an event for an item that the catalogue does not know does: create it, or be refused.",
    )
    embed_text: Literal["auto", "off"] = Field(
        "auto", description="auto: item texts are embedded if the `text` extra is installed. off: never."
    )

    state_timeout: float = Field(0.25, gt=0, le=60, description="Seconds to wait for an answer of the state store.")
    log_timeout: float = Field(2.0, gt=0, le=60, description="Seconds to wait for an answer of the event log.")
    max_body: int = Field(
        10_000_000, ge=1_000, le=1_000_000_000, description="Bytes of a request body at most, before and after gzip."
    )
    max_batch: int = Field(1_000, ge=1, le=100_000, description="Events or items in one request at most.")
    max_in_flight: int = Field(
        1_000, ge=1, description="Requests under way at most; the next one is answered with 503."
    )

    batch_size: int = Field(
        2_000, ge=1, le=100_000, description="Log records the worker applies in one commit at most."
    )
    lease_seconds: float = Field(
        3.0,
        ge=1,
        description="A worker or keeper that is silent for this long is replaced by one that stands by.",
    )
    feed_length: int = Field(
        2_000,
        ge=100,
        description="Entries of the item feed that are kept; a replica behind them loads all items again.",
    )
    log_length: int = Field(
        1_000_000,
        ge=100,
        description="Records that the log may hold. A longer one is trimmed to half of that by the keeper, as far as "
        "the archive and a durable copy of the state cover them.",
    )
    keeper_seconds: float = Field(
        5.0, gt=0, le=3_600, description="Seconds the keeper rests when it has nothing left to do."
    )
    max_lag: int = Field(
        1_000_000,
        ge=1,
        description="Records of the log that may wait to be applied; above, POSTs and PUTs are answered with 503 and "
        "Retry-After until the worker has caught up. Lists go on.",
    )
    dedupe_window: int = Field(86_400, ge=60, description="Seconds for which an event_id is remembered.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON elsewhere.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSecrets(settings_cls), dotenv_settings, file_secret_settings

    @field_validator("api_key", "chat_api_key", "embed_api_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
            raise ValueError("must be printable ASCII")
        if key is not None and (not key.get_secret_value() or " " in key.get_secret_value()):
            raise ValueError("must not be empty and must not contain spaces")
        return key

    @field_validator("log_url", "state_url")
    @classmethod
    def _known_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return url

    @model_validator(mode="after")
    def _state_beside_log(self) -> Self:
        if self.log_url is not None and self.state_url is None:
            raise ValueError(f"{PREFIX}LOG_URL is set, {PREFIX}STATE_URL is not: set it, too")
        return self

    @model_validator(mode="after")
    def _models_are_named(self) -> Self:
        for kind in ("chat", "embed"):
            if (getattr(self, f"{kind}_url") is None) is not (getattr(self, f"{kind}_model") is None):
                raise ValueError(
                    f"{PREFIX}{kind.upper()}_URL and {PREFIX}{kind.upper()}_MODEL belong together: set both"
                )
        return self

    def stores(self) -> tuple[str, str]:
        """URLs of the log and of the state, with the files that TLS takes in their queries.

        Raises ConfigurationError if there are none.
        """
        if self.state_url is None:
            raise ConfigurationError(
                f"{PREFIX}STATE_URL is not set: name a Redis or Valkey (redis://host:6379/0), or run `peregrine up`, "
                "which starts its own"
            )
        return self._store(self.log_url or self.state_url), self._store(self.state_url)

    def _store(self, secret: SecretStr) -> str:
        url = secret.get_secret_value()
        if not url.startswith("rediss://"):
            return url
        files = {"ssl_ca_certs": self.tls_ca, "ssl_certfile": self.tls_cert, "ssl_keyfile": self.tls_key}
        parts = urlsplit(url)
        options = {name: str(path.absolute()) for name, path in files.items() if path} | parse_qs(parts.query)
        return urlunsplit(parts._replace(query=urlencode(options, doseq=True)))

    def check_exposure(self) -> None:
        """Raises ConfigurationError if others could reach the API without a key."""
        if self.api_key is None and self.keys_file is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"{PREFIX}HOST={self.host} can be reached from other machines, so {PREFIX}KEYS_FILE or "
                f"{PREFIX}API_KEY (or {PREFIX}API_KEY_FILE) must be set; or listen on 127.0.0.1"
            )


def load_settings(**values: Any) -> Settings:
    """Settings from the environment, `values` first. Raises ConfigurationError naming each variable that is wrong."""
    try:
        return Settings(**values)
    except ValidationError as exc:
        raise ConfigurationError("; ".join(_explain(error) for error in exc.errors(include_url=False))) from exc


def _explain(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"])
    name = str(error["loc"][0])
    shown = "" if name in SECRETS else f"={error['input']!s:.100}"
    return f"{PREFIX}{name.upper()}{shown}: {error['msg']}"


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine can reach; a name other than localhost is not trusted to be one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
