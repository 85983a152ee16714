"""Placements: named configurations of lists, from a TOML or JSON file, checked when the service starts.

[home]
k = 12
caps = { brand = 3 }

[basket]
exclude_seen = true
hide = [{ tags = "gift-card" }]
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.api.list_schemas import ListOptions
from service.api.problems import FieldError, Problem, field_errors, show
from service.errors import ConfigurationError

Placements = Mapping[str, ListOptions]


def load_placements(path: Path | None) -> Placements:
    """By name. Raises ConfigurationError that names the placement, the field and the value."""
    return {} if path is None else {name: _placement(path, name, fields) for name, fields in _read(path).items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"placements {path}: {exc}") from exc
    if not isinstance(found, dict):
        raise ConfigurationError(f"placements {path}: must be an object of placements by name")
    return found


def _placement(path: Path, name: str, fields: object) -> ListOptions:
    try:
        return ListOptions.model_validate(fields)
    except ValidationError as exc:
        first = field_errors(exc.errors(include_url=False))[0]
        where = f"{name}.{first.field}" if first.field else name
        raise ConfigurationError(f"placements {path}: {where}={first.value}: {first.message}") from exc


def with_placement(asked: ListOptions, name: str | None, placements: Placements) -> ListOptions:
    """The placement's options, overridden by those that were asked for. Raises Problem 422."""
    if name is None:
        return asked
    if name not in placements:
        message = "is no placement; there are: " + (", ".join(sorted(placements)) or "none")
        raise Problem(422, f"placement: {message}", [FieldError(field="placement", value=show(name), message=message)])
    placement = placements[name]
    given = {field: getattr(placement, field) for field in placement.model_fields_set}
    given |= {field: getattr(asked, field) for field in asked.model_fields_set if field in ListOptions.model_fields}
    try:
        return ListOptions(**given)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, f"with placement {name}: {errors[0].message}", errors) from exc
