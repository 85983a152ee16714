"""The users of the stores: each role can do its whole job with its own, and nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from service.client import Client, ClientError
from service.commands.bundles import remade
from service.event_path import tidy
from service.processes.all_in_one import _free_port
from service.wiring import build_keeper
from tests.deploy.job import events, main_job, until
from tests.deploy.roles import PREFIX, Deployment, deployment

SECOND = "v2"

FORBIDDEN = (
    "FLUSHALL", "CONFIG GET *", "CONFIG SET maxmemory 0", "SHUTDOWN", "KEYS *", "ACL LIST", "FUNCTION FLUSH", "MONITOR",
    "EVAL return 0", "HSET others:log:meta offset 1", "HGET others:x y", "REPLICAOF NO ONE", "CLIENT KILL TYPE normal",
)  # fmt: skip

pytestmark = pytest.mark.long  # a minute


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, server_binary: Path | None) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("roles")
    bundle = Path("model/bundles/complete-journey").absolute()
    remade(bundle, folder / "models" / SECOND, SECOND)
    values = {
        "bundle": bundle,
        "models": folder / "models",
        "archive_url": str(folder / "archive"),
        "log_length": 100,
        "keeper_seconds": 0.1,
        "lease_seconds": 1.0,
        "log_format": "json",
        "state_timeout": 5.0,
    }
    with deployment(folder, _free_port("127.0.0.1"), server_binary, **values) as found:
        with found.client() as client:
            until(lambda: answers(lambda: client.ready().ok))
        yield found


def answers(ask: Callable[[], object]) -> bool:
    """Whether there is something, and not an error."""
    try:
        return bool(ask())
    except ClientError:
        return False


def test_every_role_does_its_whole_job_and_is_refused_nothing(running: Deployment) -> None:
    try:
        whole_job(running)
    finally:
        assert running.refused() == []
    assert not [line for line in running.said if "store_unavailable" in line or "NOPERM" in line]


def whole_job(running: Deployment) -> None:
    with running.client() as client:
        main_job(client)
        read_everything(client)
        change_a_person(client)
        again = [event | {"event_id": f"{n}:{event['event_id']}"} for n in range(5) for event in events()]
        client.post_events(again, wait=True)
        erase(client)
        try_a_model(client)
    until(lambda: any('"log_trimmed"' in line for line in running.said))
    keeper = build_keeper(running.settings["keeper"])
    assert tidy(keeper.generations, "test", 0.0) == 1


def read_everything(client: Client) -> None:
    shown = client.recommendations("user-1", k=5)
    clicked = {"user_id": "user-1", "item_id": shown.items[0].item_id, "type": "click", "request_id": shown.request_id}
    client.post_events([clicked], wait=True)
    until(lambda: answers(lambda: client.get_request(shown.request_id)))
    client.recommend({"user_id": "user-1", "k": 5, "explain": True})
    client.call("POST", "/v1/recommendations/batch", {"user_ids": ["user-1", "user-2"], "k": 3})
    for path in ("/v1/items/trending", "/v1/items/popular", "/v1/items/latest", "/v1/items/item-1/similar",
                 "/v1/users/user-1/similar", "/v1/items", "/v1/items/item-1", "/v1/users/user-1", "/v1/models",
                 "/v1/experiments"):  # fmt: skip
        client.get(path)
    assert client.patch_item("item-1", {"title": "renamed"})
    client.delete_item("item-29")
    assert len(list(client.export_user("user-1"))) > 5
    assert "peregrine_writer_epoch" in client.metrics()


def change_a_person(client: Client) -> None:
    until(lambda: answers(lambda: client.get_profile("user-2")))
    client.edit_profile("user-2", {"override": {"interest": ["espresso"]}})
    client.refresh_profile("user-2")
    client.reset_profile("user-2")
    client.set_personalised("user-3", False)
    client.set_personalised("user-3", True)


def try_a_model(client: Client) -> None:
    """Rolled out and held, in an experiment, switched to, back, given up."""
    active = client.get("/v1/models")["active"]
    client.call("POST", f"/v1/models/{SECOND}/rollout", {"switch": False})
    until(lambda: status_of(client, SECOND) == "ready")
    shares = {active: 0.5, SECOND: 0.5}
    variants = [{"name": version, "version": version, "share": share} for version, share in shares.items()]
    client.call("POST", "/v1/experiments", {"id": "x", "variants": variants})
    for user in range(20):
        shown = client.recommendations(f"user-{user}", k=5)
        clicked = {"user_id": f"user-{user}", "item_id": shown.items[0].item_id, "type": "click"}
        client.post_events([clicked | {"request_id": shown.request_id}])
    until(lambda: client.get("/v1/experiments/x/report")["variants"][active]["lists"] > 0)
    client.call("DELETE", "/v1/experiments/x")
    client.call("POST", f"/v1/models/{SECOND}/activate")
    client.call("POST", "/v1/models/rollback")
    client.call("DELETE", f"/v1/models/{SECOND}/rollout")


def status_of(client: Client, version: str) -> str:
    (model,) = [model for model in client.get("/v1/models")["models"] if model["version"] == version]
    return str(model["status"])


def erase(client: Client) -> None:
    erasure = client.erase_user("user-4")
    until(lambda: client.get_erasure(erasure["erasure_id"])["status"] == "complete")


@pytest.mark.parametrize("server", ["log", "state"])
@pytest.mark.parametrize("role", ["api", "worker", "keeper", "profiler"])
def test_no_role_can_empty_a_server_read_its_settings_or_touch_the_keys_of_others(
    running: Deployment, role: str, server: str
) -> None:
    with running.store(role, server) as client:
        for command in FORBIDDEN:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())


@pytest.mark.parametrize(
    ("role", "server", "command"),
    [
        ("api", "log", ("XTRIM", f"{PREFIX}:log", "MAXLEN", "0")),
        ("api", "log", ("DEL", f"{PREFIX}:log")),
        ("api", "log", ("SET", f"{PREFIX}:keeper", "me")),
        ("api", "state", ("SET", f"{PREFIX}:1:u:user-1", "x")),
        ("api", "state", ("UNLINK", f"{PREFIX}:1:i:0")),
        ("worker", "log", ("XADD", f"{PREFIX}:log", "*", "a", "b")),
        ("worker", "state", ("SET", f"{PREFIX}:profile:u:user-1", "x")),
        ("keeper", "state", ("MSET", f"{PREFIX}:1:u:user-1", "x")),
        ("profiler", "log", ("XADD", f"{PREFIX}:log", "*", "a", "b")),
        ("profiler", "state", ("SET", f"{PREFIX}:1:u:user-1", "x")),
    ],
)
def test_a_role_cannot_do_what_is_anothers(
    running: Deployment, role: str, server: str, command: tuple[str, ...]
) -> None:
    with running.store(role, server) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_without_a_password_a_server_says_that_it_is_alive_and_nothing_else(running: Deployment) -> None:
    url = running.settings["api"].stores()[0]
    with redis.Redis.from_url(url.replace("api:secret-of-api@", "probe:any@")) as probe:
        assert probe.ping()
        with pytest.raises(NoPermissionError):
            probe.info()
    with redis.Redis.from_url(url.replace("api:secret-of-api@", "")) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
