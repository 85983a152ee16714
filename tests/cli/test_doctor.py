"""`peregrine doctor`: what it finds on healthy and unhealthy set-ups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventSource
from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.cli.running import peregrine
from tests.http.running import Running, event, toy_bundle


def examined(*arguments: str, **settings: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the checks by name."""
    done = peregrine("doctor", "--json", *arguments, **settings)
    answer = json.loads(done.stdout)
    assert (done.returncode == 0) == answer["ok"]
    return done.returncode, {check["name"]: check for check in answer["checks"]}


def test_nothing_set_is_healthy(tmp_path: Path) -> None:
    code, checks = examined(port="0", data_dir=str(tmp_path))
    assert code == 0
    assert {check["verdict"] for check in checks.values()} <= {"ok", "note"}
    assert checks["bundle"]["todo"]
    assert "not running" in checks["service"]["found"]


def test_the_shipped_valkey_configuration_passes_every_check(valkey: EmbeddedValkey) -> None:
    code, checks = examined(log_url=valkey.log_url, state_url=valkey.state_url, port="0")
    assert code == 0
    stores = {name: check["verdict"] for name, check in checks.items() if "store" in name}
    both = ("reachable", "transport", "fit", "memory", "persistence", "functions", "clock")
    names = [f"{role} store: {what}" for role in ("log", "state") for what in both]
    expected = dict.fromkeys([*names, "log store: backlog"], "ok")
    assert stores == expected | {"state store: memory": "note"}  # its limit belongs to the machine


def test_a_store_that_would_evict_or_forget_is_found(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as stores:
        for name, url in (("log", stores.log_url), ("state", stores.state_url)):
            with redis.Redis.from_url(url) as server:
                server.config_set("maxmemory-policy", "allkeys-lru")
                server.config_set("appendfsync" if name == "log" else "appendonly", "no")
        code, checks = examined(log_url=stores.log_url, state_url=stores.state_url, port="0")
    assert code == 1
    for role in ("log", "state"):
        assert checks[f"{role} store: fit"]["verdict"] == "fail"
        assert "allkeys-lru" in checks[f"{role} store: fit"]["found"]
        assert "config set maxmemory-policy noeviction" in checks[f"{role} store: fit"]["found"]
        assert checks[f"{role} store: persistence"]["verdict"] == "note"


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "ok"), (0.88, "note"), (0.97, "fail")])
def test_the_memory_that_is_left_is_told(tmp_path: Path, share: float, verdict: str) -> None:
    with EmbeddedValkey(tmp_path) as stores, redis.Redis.from_url(stores.state_url) as server:
        server.setrange("ballast", 20_000_000, "x")
        server.config_set("maxmemory", int(server.info("memory")["used_memory"] / share))
        _, checks = examined(log_url=stores.log_url, state_url=stores.state_url, port="0")
    memory = checks["state store: memory"]
    assert memory["verdict"] == verdict, memory
    assert "MB used (" in memory["found"]
    assert bool(memory["todo"]) == (verdict != "ok")


def test_a_log_that_takes_nothing_more_is_found_with_and_without_a_service(valkey: EmbeddedValkey, prefix: str) -> None:
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": prefix}
    with Running(load_settings(**stores, clock="event", max_lag=1), toy_bundle(), worker=False) as service:
        service.post([event(), event()])
        code, checks = examined("--url", f"http://127.0.0.1:{service.port}", **stores)
        assert (code, checks["service"]["verdict"]) == (1, "fail")
        assert "2 records wait to be applied, above the limit of 1" in checks["service"]["found"]
    source = RedisEventSource(Server(valkey.log_url, prefix))
    source.report(1, "the memory of the state store is 97% full")
    source.close()
    code, checks = examined(**stores, port="0")
    assert (code, checks["log store: backlog"]["verdict"]) == (1, "fail")
    assert "offset 2; 1 records" in checks["log store: backlog"]["found"]
    assert "97% full" in checks["log store: backlog"]["found"]


def test_a_store_that_is_down_fails(tmp_path: Path) -> None:
    code, checks = examined(state_url=f"unix://{tmp_path}/nobody.sock", port="0")
    assert code == 1
    assert checks["state store: reachable"]["verdict"] == "fail"
    assert checks["state store: reachable"]["todo"]


def test_a_bundle_that_is_none_fails(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("")
    code, checks = examined(bundle=str(tmp_path), port="0")
    assert (code, checks["bundle"]["verdict"]) == (1, "fail")
    assert "manifest.json" in checks["bundle"]["found"]


def test_wrong_settings_end_the_examination(tmp_path: Path) -> None:
    code, checks = examined(host="0.0.0.0", data_dir=str(tmp_path))  # noqa: S104
    assert (code, checks["settings"]["verdict"]) == (1, "fail")
    assert "PEREGRINE_API_KEY" in checks["settings"]["found"]
    assert "bundle" not in checks


def test_a_running_service_is_asked_how_it_is(service: Running) -> None:
    url = f"http://127.0.0.1:{service.port}"
    code, checks = examined("--url", url)
    assert (code, checks["service"]["verdict"]) == (0, "ok")
    assert "toy-1" in checks["service"]["found"]
    code, checks = examined("--url", "http://127.0.0.1:9")
    assert (code, checks["service"]["verdict"]) == (1, "fail")


def test_the_table_says_what_to_do() -> None:
    done = peregrine("doctor", port="0")
    assert done.returncode == 0
    assert "what to do" in done.stdout
    assert "PEREGRINE_BUNDLE" in done.stdout
