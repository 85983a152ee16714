"""What the pages of the documentation tell a reader to run, as scripts.

A block of ```sh or ```python runs where it stands; ```python NAME is written to the file NAME; ```sh install and ```sh
long are left out unless they are asked for.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_PRELUDE = """
set -euo pipefail
trap 'jobs -p | xargs -r kill 2> /dev/null || true; wait || true' EXIT
curl() { case " $* " in *" --fail "*) command curl "$@";; *) command curl --fail-with-body --max-time 60 "$@";; esac; }
"""


@dataclass(frozen=True)
class Block:
    """language: sh, python, http, ...; note: what stands behind it, or ""."""

    language: str
    note: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(language, note, text) for language, note, text in found]


def script(page: Path, notes: frozenset[str] = frozenset({""})) -> str:
    """Bash that does what a reader of the page does. notes: of the blocks of sh that it does."""
    steps = [_PRELUDE]
    for block in blocks(page):
        if block.language == "python":
            to = f"cat > {block.note}" if block.note else "python -"
            steps.append(f"{to} <<'END-OF-PYTHON'\n{block.text}END-OF-PYTHON\n")
        elif block.language == "sh" and block.note in notes:
            steps.append(block.text)
    return "\n".join(steps)


def follow(
    page: Path,
    folder: Path,
    port: int,
    notes: frozenset[str] = frozenset({""}),
    seconds: float = 240.0,
    environment: Mapping[str, str] = _NOTHING,
    **places: str,
) -> subprocess.CompletedProcess[str]:
    """Does what the page says, in `folder`, with the service at `port`. places: other addresses, by what stands for
    them in the page (`localhost_8087="localhost:1234"`); environment: beside the port."""
    text = script(page, notes).replace("localhost:8000", f"localhost:{port}")
    for name, place in places.items():
        text = text.replace(name.replace("_", ":"), place)
    if not (folder / "model").exists():
        (folder / "model").symlink_to(ROOT / "model")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PEREGRINE_")}
    path = f"{Path(sys.executable).parent}:{plain['PATH']}"
    settings = {"PEREGRINE_PORT": str(port), "PEREGRINE_UI_PORT": "0"}
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env=plain | settings | dict(environment) | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)  # what it started ends with it
            said = process.communicate()
            said = said[0], f"{said[1]}\nnot done after {seconds:.0f} s"
    return subprocess.CompletedProcess(process.args, process.returncode, *said)
