"""What the pages say: one dictionary file a language, all with the same keys."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh": "中文"}
"""Code and own name; each has a file here."""


@cache
def texts(language: str) -> dict[str, str]:
    """Texts by key, as `live.title`."""
    with (Path(__file__).parent / f"{language}.toml").open("rb") as file:
        return dict(_flat(tomllib.load(file)))


def _flat(tables: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f"{table}.{name}", text) for table, entries in tables.items() for name, text in entries.items()]


def preferred(accepted: str) -> str:
    """The first language of an Accept-Language header that there is; English if there is none."""
    for part in accepted.split(","):
        if (code := part.split(";")[0].split("-")[0].strip().lower()) in LANGUAGES:
            return code
    return "en"
