"""Alerts and dashboard name metrics that are there, and runbooks that are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.meter import Meter
from service.processes.scrape import KEEPER, PROFILER, WORKER, Measured
from tests.http.conftest import Start
from tests.http.running import event

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"


def named(text: str) -> set[str]:
    return set(re.findall(r"peregrine_[a-z_]+", text))


def test_every_metric_that_alerts_and_dashboard_name_is_exported(start: Start) -> None:
    with start(chat_daily_tokens=1_000, index="ivf") as service:
        service.applied([event()])
        service.recommend("ann")
        text = service.http.get("/metrics").text
    for kind in (WORKER, KEEPER, PROFILER):
        meter = Meter()
        meter.stages["any"].observe(0.0)
        text += generate_latest(Measured(kind, meter)).decode()
    exported = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    exported |= {family.name + "_total" for family in text_string_to_metric_families(text) if family.type == "counter"}
    dashboard = json.loads((DEPLOY / "grafana" / "peregrine.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (?:>-\s*)?(.+)", ALERTS.read_text())
    assert len(asked) > 20
    assert named("\n".join(asked)) - exported == set()


def test_every_alert_has_its_runbook() -> None:
    runbooks = (DEPLOY.parent / "docs" / "runbooks.md").read_text()
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", runbooks, re.MULTILINE)}
    linked = re.findall(r"runbook: docs/runbooks\.md#(\S+)", ALERTS.read_text())
    assert len(linked) == ALERTS.read_text().count("alert:")
    assert set(linked) == headings


@pytest.mark.long
def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "install promtool (Debian: apt install prometheus)"
    for arguments in (["check", "rules", str(ALERTS)], ["test", "rules", str(ALERTS.with_name("alerts_test.yaml"))]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
