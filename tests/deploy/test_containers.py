"""The image as it is built, run as it is meant to be run: read-only root, not root, no capabilities, limited memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest
import redis

from tests.deploy.engine import IMAGE, LIMITS, USER, build, check_tools, podman
from tests.deploy.fleet import ROLES, Fleet, fleet
from tests.deploy.job import events, main_job, until
from tests.deploy.tools import run

pytestmark = pytest.mark.long

MOST_BYTES = 400e6


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    check_tools()
    build(tmp_path_factory.mktemp("pip"))
    return IMAGE


@pytest.fixture(scope="module")
def running(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as found:
        yield found


def test_the_image_is_small_and_holds_neither_torch_nor_pip_nor_a_secret(image: str) -> None:
    about = json.loads(podman("inspect", image))[0]
    assert about["Size"] < MOST_BYTES
    assert about["Config"]["User"] == "10001:10001"
    history = podman("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert "BEGIN CERTIFICATE" not in history
    look = "import importlib.util as u; print([m for m in ('torch', 'pip', 'setuptools', 'onnx') if u.find_spec(m)])"
    once = ("run", "--rm", "--network", "none", *LIMITS)
    assert podman(*once, "--entrypoint", "python", image, "-c", look) == "[]"
    assert podman(*once, image, "--version").startswith("peregrine ")


def test_a_bill_of_materials_names_what_is_in_the_image(image: str) -> None:
    root = podman("image", "mount", image)
    try:
        found = json.loads(run("syft", "scan", f"dir:{root}", "--output", "cyclonedx-json").stdout)
    finally:
        podman("image", "unmount", image)
    kinds = {component["name"]: component.get("purl", "").partition("/")[0] for component in found["components"]}
    assert found["bomFormat"] == "CycloneDX"
    for name in ("fastapi", "onnxruntime", "peregrine-recsys", "numpy"):
        assert kinds[name] == "pkg:pypi", name
    assert kinds["libc6"] == "pkg:deb"
    assert "torch" not in kinds


def test_the_main_job_is_done_in_containers(running: Fleet) -> None:
    with running.client() as client:
        main_job(client)


@pytest.mark.parametrize("name", ROLES)
def test_a_process_is_not_root_can_write_nothing_but_its_own_and_has_no_capabilities(running: Fleet, name: str) -> None:
    container = running.containers[name]
    status = container.inside("cat", "/proc/1/status").stdout
    assert f"Uid:\t{USER}\t{USER}" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    for path in ("/x", "/opt/peregrine/x", "/usr/bin/x", "/bundle/x"):
        assert "Read-only file system" in container.inside("touch", path).stderr
    assert container.inside("touch", "/tmp/x").returncode == 0  # noqa: S108 - the container's own


def test_nothing_is_refused_to_any_role_by_the_stores(running: Fleet) -> None:
    for server in ("log", "state"):
        url = (running.folder / "secrets" / f"admin_{server}_url").read_text().strip()
        with redis.Redis.from_url(url, ssl_ca_certs=str(running.folder / "secrets" / "ca.crt")) as admin:
            assert admin.acl_log() == []


def test_a_container_that_is_told_to_stop_ends_in_time_and_without_an_error(running: Fleet) -> None:
    for name in ROLES:
        assert running.containers[name].stop() == 0, running.containers[name].logs()[-2_000:]
        running.containers[name].start()
    until(running.ready)


def test_containers_killed_in_turn_lose_nothing_that_was_acknowledged(running: Fleet) -> None:
    with running.client() as client:
        for number, name in enumerate(running.containers):
            posted = [event | {"event_id": f"{name}:{event['event_id']}"} for event in events(2)]
            offset = client.post_events(posted).offset
            running.containers[name].kill()
            running.containers[name].start()
            until(partial(has_applied, running, offset), 120.0)
            assert client.post_events(posted).duplicates == len(posted), number


def has_applied(running: Fleet, offset: int | None) -> bool:
    with running.client() as client:
        return running.ready() and client.ready().body["offset"] >= offset
