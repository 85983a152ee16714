"""A deployment whose processes each know the stores by a user of their own, with the rights that deploy/ gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import ResponseError

from deploy.credentials import ROLES, fill
from service.client import Client
from service.embedded import EmbeddedValkey
from service.processes.supervised import Child, environment
from service.settings import Settings, load_settings

TEMPLATES = Path("deploy/valkey")
PROCESSES = ("worker", "keeper", "api", "profiler")
PREFIX = "roles"


def guard(url: str, server: str, passwords: Mapping[str, str]) -> None:
    """Gives a running server the users of its ACL file; whoever is connected already stays in."""
    text = fill((TEMPLATES / f"{server}.acl").read_text(), PREFIX, passwords)
    with redis.Redis.from_url(url) as client:
        if not knows(client, "commandlog"):
            text = text.replace(" +commandlog|reset", "")
        client.execute_command("ACL", "LOG", "RESET")
        for line in sorted(text.splitlines(), key=lambda line: line.startswith("user default ")):
            client.execute_command("ACL", "SETUSER", *line.split()[1:])


def knows(client: Any, command: str) -> bool:
    try:
        return any(client.execute_command("COMMAND", "INFO", command))
    except ResponseError:
        return False


def as_user(url: str, role: str, password: str) -> str:
    return url.replace("unix://", f"unix://{role}:{password}@")


@dataclass
class Deployment:
    """Everything runs. settings: by role."""

    settings: dict[str, Settings]
    port: int
    said: list[str]

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}")

    def store(self, role: str, server: str) -> Any:
        """A plain client of one server, as that role."""
        log_url, state_url = self.settings[role].stores()
        return redis.Redis.from_url(log_url if server == "log" else state_url)

    def refused(self) -> list[dict[str, Any]]:
        """What the servers would not let anybody do."""
        found = []
        for server in ("log", "state"):
            with self.store("admin", server) as admin:
                found += [entry | {"server": server} for entry in admin.acl_log()]
        return found


@contextmanager
def deployment(folder: Path, port: int, server_binary: Path | None, **values: Any) -> Iterator[Deployment]:
    """values: settings of all roles."""
    said: list[str] = []
    passwords = {role: f"secret-of-{role}" for role in ROLES}
    with ExitStack() as stack:
        valkey = stack.enter_context(EmbeddedValkey(folder / "stores", server_binary))
        urls = {"log": valkey.log_url, "state": valkey.state_url}
        for server, url in urls.items():
            guard(url, server, passwords)
        settings = {
            role: load_settings(
                **{f"{server}_url": as_user(url, role, passwords[role]) for server, url in urls.items()},
                prefix=PREFIX,
                port=port,
                **values,
            )
            for role in ROLES
        }
        for role in PROCESSES:
            child = Child(role, environment(settings[role]), lambda name, line: said.append(f"{name}: {line}"))
            stack.callback(child.stop)
        found = Deployment(settings, port, said)
        yield found
