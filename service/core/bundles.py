"""A bundle as it is used, wherever it was read from; and what a registry says of one it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.process.temporal_model import TemporalModel
from service.core.item_texts import ItemTexts

NO_BUNDLE = "none"
"""Version and hash of what serves until there is one."""


@dataclass(frozen=True)
class Bundle:
    """hash: sha256 over the manifest's file hashes; it names the weights that a state was made by; texts: how the
    items' texts are read, None for the vectors that the log holds."""

    model: TemporalModel
    version: str
    hash: str
    texts: ItemTexts | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """created: RFC 3339; code: release that exported it; data: fingerprint of what it was trained on; metrics: figures
    of its validation; problem: why it cannot be served, "" if nothing is known against it."""

    version: str
    hash: str = ""
    created: str = ""
    code: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
