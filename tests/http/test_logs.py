"""Log lines: JSON that machines read, foreign loggers included, and no local variables in tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, structlog
from service import logs
logs.configure("info", {style!r})
log = structlog.get_logger("peregrine.test")
log.debug("hidden")
log.info("shown", offset=7)
logging.getLogger("uvicorn.error").warning("foreign %d", 1)
def fail():
    password = "hunter2"
    raise RuntimeError("broken")
try:
    fail()
except RuntimeError:
    log.exception("failed")
"""


def lines(style: str) -> list[str]:
    script = SCRIPT.format(style=style)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    return done.stderr.splitlines()


def test_json_lines_carry_level_logger_and_fields() -> None:
    shown, foreign, failed = [json.loads(line) for line in lines("json")]
    assert (shown["event"], shown["level"], shown["logger"], shown["offset"]) == ("shown", "info", "peregrine.test", 7)
    assert (foreign["event"], foreign["level"], foreign["logger"]) == ("foreign 1", "warning", "uvicorn.error")
    assert failed["exception"].endswith("RuntimeError: broken")


def test_text_lines_show_the_same() -> None:
    found = "\n".join(lines("text"))
    assert "shown" in found
    assert "foreign 1" in found
    assert "RuntimeError: broken" in found
    assert "hidden" not in found
