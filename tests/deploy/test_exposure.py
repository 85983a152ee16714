"""What listens beyond its own machine has keys: processes with the settings of a deployment say so themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from service.settings import PREFIX, load_settings
from tests.deploy.test_chart import SHAPES, pods, render

ROLES = ("api", "worker", "keeper", "profiler")


def check(environment: Mapping[str, str], mounted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, at: Path) -> None:
    """As the process does when it starts. mounted: folders or files of the container that secrets are read from."""
    for name, value in environment.items():
        if is_file := name.endswith(("_FILE", "_TLS_CA")):
            assert value.startswith(mounted), f"{name} is not in the container"
            file = at / value.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("redis://127.0.0.1:6379" if "URL" in name else "k" * 40)
        monkeypatch.setenv(name, str(file) if is_file else value)
    settings = load_settings()
    assert settings.host == "0.0.0.0"  # noqa: S104 - what is to be true of a container
    settings.check_exposure()


@pytest.mark.parametrize("role", ROLES)
def test_compose_gives_every_process_a_key(role: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service = yaml.safe_load(Path("deploy/compose.yaml").read_text())["services"][role]
    environment = {name: value for name, value in service["environment"].items() if not value.startswith("${")}
    secrets = tuple(f"/run/secrets/{one if isinstance(one, str) else one['target']}" for one in service["secrets"])
    check(environment, secrets, monkeypatch, tmp_path)
    assert role == "api" or environment[f"{PREFIX}METRICS_PORT"] == "9090"  # which its health check asks


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_the_chart_does(values: str, role: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [pod] = [pod for name, pod in pods(render(values)) if name.endswith(f"-{role}")]
    [container] = pod["containers"]
    mounted = tuple(mount["mountPath"] for mount in container["volumeMounts"])
    check({one["name"]: one["value"] for one in container["env"]}, mounted, monkeypatch, tmp_path)
