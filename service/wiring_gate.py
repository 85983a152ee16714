"""Which keys are valid: those of the key file and `api_key`."""

from __future__ import annotations

from service.adapters.key_file import KeyRing
from service.api.gate import Gate
from service.core.access import Key, digest
from service.settings import Settings


def gate_of(settings: Settings) -> Gate:
    """Open to everybody where no keys are set. Raises ConfigurationError if the key file cannot be read."""
    key = settings.api_key
    fixed = () if key is None else (Key(name="api_key", sha256=digest(key.get_secret_value()), scopes=("admin",)),)
    if settings.keys_file is None:
        return Gate((lambda: fixed) if fixed else None)
    ring = KeyRing(settings.keys_file)
    return Gate(lambda: (*fixed, *ring.keys))
