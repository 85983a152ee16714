"""`peregrine keys`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from service.adapters.key_file import read_keys
from service.core.access import digest
from tests.cli.running import assert_one_clear_error, peregrine


def test_a_key_is_printed_once_and_kept_as_a_digest_for_the_owners_eyes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made = peregrine("keys", "add", "shop", "--scope", "events", "--scope", "recommend", "--per-second", "50",
                     keys_file=str(file))  # fmt: skip
    key = made.stdout.strip()
    assert made.returncode == 0
    assert len(key) > 40
    assert key not in file.read_text()
    assert read_keys(file).keys[0].sha256 == digest(key)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = peregrine("keys", "list", "--json", keys_file=str(file))
    assert json.loads(listed.stdout) == [
        {"name": "shop", "scopes": ["events", "recommend"], "per_second": 50.0, "expires": None}
    ]
    assert "shop" in peregrine("keys", "list", "--file", str(file)).stdout
    assert peregrine("keys", "revoke", "shop", "--file", str(file)).returncode == 0
    assert read_keys(file).keys == ()


def test_wrong_names_and_scopes_are_named_and_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert_one_clear_error(peregrine("keys", "add", "a b", "--scope", "events", "--file", str(file)), "name", "a b")
    assert_one_clear_error(peregrine("keys", "add", "a", "--scope", "all", "--file", str(file)), "scopes", "'all'")
    assert not file.exists()
    peregrine("keys", "add", "a", "--scope", "events", "--file", str(file))
    assert_one_clear_error(peregrine("keys", "revoke", "b", "--file", str(file)), "no key 'b'", "it has a")


def test_a_service_that_others_can_reach_does_not_start_without_keys() -> None:
    done = peregrine("api", host="0.0.0.0", state_url="redis://127.0.0.1:1")  # noqa: S104
    assert_one_clear_error(done, "PEREGRINE_KEYS_FILE", "PEREGRINE_API_KEY")
