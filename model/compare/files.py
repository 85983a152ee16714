"""JSON on disk, each file whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Makes the folder, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(new, path)


def read_json(path: Path) -> Any:
    """None where there is no such file."""
    return json.loads(path.read_bytes()) if path.exists() else None
