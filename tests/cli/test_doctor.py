"""`peregrine doctor`: what it finds on healthy and unhealthy set-ups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import redis

from service.embedded import EmbeddedValkey
from tests.cli.running import peregrine
from tests.http.running import Running


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
    assert stores == {
        f"{role} store: {what}": "ok"
        for role in ("log", "state")
        for what in ("reachable", "fit", "persistence", "functions", "clock")
    }


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
        assert "noeviction" in checks[f"{role} store: fit"]["found"]
        assert checks[f"{role} store: persistence"]["verdict"] == "note"


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
