"""`peregrine up` brings the pages with it, or leaves them out."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from service.errors import ConfigurationError
from service.processes import ui
from tests.spawned import spawned

PORT = {"PEREGRINE_UI_PORT": "0"}


def said(folder: Path, *options: str) -> str:
    """What `up` says until it is ready, and of its pages if it has some; it is told to stop then."""
    command = ("-m", "service.cli", "up", "--data-dir", str(folder), "--port", "0", *options)
    with spawned(*command, env=os.environ | PORT) as up:
        assert up.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            line = up.stdout.readline()
            assert line, up.communicate()[1]
            lines.append(line)
        text = "".join(lines)
        if found := re.search(r"pages are at (\S+)", text):
            page = httpx.get(found[1], timeout=30.0)
            assert page.status_code == 200
            assert "Peregrine" in page.text
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    return text


def test_the_pages_are_there_where_their_extra_is(tmp_path: Path) -> None:
    assert re.search(r"The pages are at http://127\.0\.0\.1:\d+\n", said(tmp_path))


def test_no_ui_leaves_them_out(tmp_path: Path) -> None:
    assert "pages" not in said(tmp_path, "--no-ui")


def test_without_the_extra_they_are_left_out_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "has_ui", lambda: False)
    assert ui.wants_ui(None) is False
    assert ui.wants_ui(False) is False
    with pytest.raises(ConfigurationError, match=r"peregrine-recsys\[ui\]"):
        ui.wants_ui(True)
