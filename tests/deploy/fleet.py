"""The deployment as containers on loopback: two Valkeys by TLS with their ACL files, api, worker, keeper, profiler."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.credentials import write
from service.client import Client, ClientError
from tests.deploy.engine import IMAGE, USER, VALKEY, Container
from tests.deploy.job import until

CONFIGURATION = Path("deploy/valkey").absolute()
BUNDLE = Path("model/bundles/complete-journey").absolute()
ROLES = ("worker", "api", "keeper", "profiler")
NO_SETTINGS: Mapping[str, str] = {}


@dataclass
class Fleet:
    """By name: log, state, worker, api, keeper, profiler, and what was added."""

    containers: dict[str, Container]
    folder: Path
    port: int
    key: str
    settings: Mapping[str, str]
    """Of all processes, beside where things are."""

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", self.key)

    def ready(self) -> bool:
        with self.client() as client:
            try:
                return client.ready().ok
            except ClientError:
                return False

    def add(self, name: str, role: str) -> Container:
        """One more container of a role."""
        secrets = self.folder / "secrets"
        environment = {
            "LOG_URL_FILE": f"/run/secrets/{role}_log_url",
            "STATE_URL_FILE": f"/run/secrets/{role}_state_url",
            "TLS_CA": "/run/secrets/ca.crt",
            "BUNDLE": "/bundle",
            "ARCHIVE_URL": "/archive",
            "MODELS": "/models",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "API_KEY_FILE": "/run/secrets/api_key",
            **self.settings,
        }
        options = [part for item, value in environment.items() for part in ("--env", f"PEREGRINE_{item}={value}")]
        mounts = {f"{secrets}:/run/secrets:ro", f"{BUNDLE}:/bundle:ro", f"{self.folder}/archive:/archive",
                  f"{self.folder}/models:/models"}  # fmt: skip
        options += [part for mount in sorted(mounts) for part in ("--volume", mount)]
        self.containers[name] = Container(name, IMAGE, [role], options, "1g")
        return self.containers[name]

    def add_store(self, server: str, port: int) -> None:
        command = [
            "valkey-server", "/etc/valkey.conf", "--dir", "/data", "--bind", "127.0.0.1", "--port", "0",
            "--tls-port", str(port), "--tls-cert-file", "/run/secrets/server.crt", "--tls-key-file",
            "/run/secrets/server.key", "--tls-ca-cert-file", "/run/secrets/ca.crt", "--tls-auth-clients", "no",
            "--aclfile", f"/run/secrets/{server}.acl", "--protected-mode", "no", "--maxmemory", "600mb",
        ]  # fmt: skip
        options = ["--volume", f"{CONFIGURATION}/{server}.conf:/etc/valkey.conf:ro",
                   "--volume", f"{self.folder}/secrets:/run/secrets:ro",
                   "--volume", f"{self.folder}/{server}:/data"]  # fmt: skip
        self.containers[server] = Container(server, VALKEY, command, options, "1g")


@contextmanager
def fleet(folder: Path, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[Fleet]:
    """Everything runs and is ready; removed at the end."""
    write(folder / "secrets", tls=True)
    ports = {"log": free_port(), "state": free_port()}
    for server, port in ports.items():
        for path in (folder / "secrets").glob(f"*_{server}_url"):
            path.write_text(path.read_text().replace(f"@{server}:6379", f"@localhost:{port}"))
    for path in (folder / "secrets", *(folder / name for name in ("log", "state", "archive", "models"))):
        path.mkdir(exist_ok=True)
        os.chown(path, USER, USER)
    found = Fleet({}, folder, free_port(), (folder / "secrets" / "api_key").read_text().strip(), settings)
    with ExitStack() as stack:
        stack.callback(lambda: [container.remove() for container in found.containers.values()])
        for server, port in ports.items():
            found.add_store(server, port)
        for role in ROLES:
            found.add(role, role)
        try:
            until(found.ready, 120.0)
        except AssertionError:
            raise AssertionError("\n".join(container.logs() for container in found.containers.values())) from None
        yield found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
