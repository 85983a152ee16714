"""JSON on disk, each file whole or not at all."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Makes the folder, too."""
    _write(path, json.dumps(content, indent=2))


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """A list, each of its rows on a line of its own."""
    _write(path, "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]")


def read_json(path: Path) -> Any:
    """None where there is no such file."""
    return json.loads(path.read_bytes()) if path.exists() else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text + "\n", encoding="utf-8")
    os.replace(new, path)
