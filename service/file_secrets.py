"""Secrets from files: what a container is given beside its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from service.errors import ConfigurationError

PREFIX = "PEREGRINE_"
SECRETS = ("api_key", "log_url", "state_url", "chat_api_key", "embed_api_key")
"""Fields that may also come from a file, named by the variable with `_FILE` appended."""


class FileSecrets(PydanticBaseSettingsSource):
    """PEREGRINE_<FIELD>_FILE names a file whose content, stripped, is the field."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE") if field_name in SECRETS else None
        return (_read(path, field_name) if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(self.settings_cls.model_fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in values.items() if value is not None}


def _read(path: str, field: str) -> str:
    variable = f"{PREFIX}{field.upper()}"
    if os.environ.get(variable):
        raise ConfigurationError(f"{variable} and {variable}_FILE are both set: keep one")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{variable}_FILE={path} cannot be read: {exc}") from exc
