"""Compose files, Dockerfile and code, as linters see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from deploy.credentials import write
from service.settings import PREFIX, Settings
from tests.deploy.tools import run

pytestmark = pytest.mark.long

COMPOSE = ["--file", "deploy/compose.yaml"]
TLS = [*COMPOSE, "--file", "deploy/compose.tls.yaml"]
URL_VARIABLE = "PEREGRINE_URL"  # of the commands that are clients
KNOWN_FINDINGS = {
    ("B104", "service/processes/all_in_one.py"),  # an address is compared with 0.0.0.0, none is bound
}


@pytest.mark.parametrize("files", [COMPOSE, TLS], ids=["plain", "tls"])
def test_compose_files_say_what_docker_compose_understands(files: list[str]) -> None:
    shown = run("docker-compose", *files, "--profile", "retrain", "config").stdout
    services = yaml.safe_load(shown)["services"]
    assert set(services) == {"log", "state", "api", "worker", "keeper", "profiler", "ui", "retrain"}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {URL_VARIABLE}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["deploy"]["resources"]["limits"]["memory"]
        for variable in service.get("environment", {}):
            assert variable in known or variable.removesuffix("_FILE") in known, (name, variable)
        targets = [secret["target"] for secret in service.get("secrets", [])]
        for value in (service.get("environment") or {}).values():
            if str(value).startswith("/run/secrets/"):
                assert value in targets or value.removeprefix("/run/secrets/") in targets, (name, value)
    if files == TLS:
        assert "--tls-port" in services["log"]["command"]
        assert services["worker"]["environment"]["PEREGRINE_TLS_CA"] == "/run/secrets/ca.crt"


def test_every_secret_that_compose_reads_is_one_that_is_made(tmp_path: Path) -> None:
    write(tmp_path / "secrets", tls=True)
    made = {path.name for path in (tmp_path / "secrets").iterdir()}
    for file in ("deploy/compose.yaml", "deploy/compose.tls.yaml"):
        asked = yaml.safe_load(Path(file).read_text())["secrets"]
        assert {Path(secret["file"]).name for secret in asked.values()} <= made


def test_linters_find_nothing_high_in_the_compose_file_and_nothing_in_the_dockerfile() -> None:
    run("compose-lint", "--fail-on", "high", "deploy/compose.yaml")
    run("hadolint", "Dockerfile")


def test_bandit_finds_nothing_but_what_is_explained_here() -> None:
    done = run("bandit", "--quiet", "--format", "json", "--recursive", "service", "model", "deploy", "-ll", check=False)
    found = {(one["test_id"], one["filename"].removeprefix("./")) for one in json.loads(done.stdout)["results"]}
    assert found == KNOWN_FINDINGS
