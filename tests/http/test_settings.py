"""Settings: each mistake is a ConfigurationError that names the variable and says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.processes import api
from service.settings import PREFIX, Settings, load_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "70000"), ("PORT", "http"), ("CLOCK", "sundial"), ("STATE_URL", "http://x"), ("PREFIX", "a b"),
        ("LOG_LEVEL", "loud"), ("BATCH_SIZE", "0"), ("API_KEY", "two words"), ("API_KEY", "schlüssel"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{variable}", value)
    with pytest.raises(ConfigurationError, match=f"^{PREFIX}{variable}"):
        load_settings()


def test_secrets_are_not_shown_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}STATE_URL", "http://:password@host")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "password" not in str(caught.value)


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv(f"{PREFIX}API_KEY_FILE", str(tmp_path / "key"))
    key = load_settings().api_key
    assert key is not None
    assert key.get_secret_value() == "from-file"
    monkeypatch.setenv(f"{PREFIX}API_KEY", "from-environment")
    with pytest.raises(ConfigurationError, match="both set"):
        load_settings()


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}API_KEY_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=f"{PREFIX}API_KEY_FILE=.*gone"):
        load_settings()


def test_one_url_serves_for_both_stores_and_none_is_an_error() -> None:
    assert load_settings(state_url="redis://one").stores() == ("redis://one", "redis://one")
    assert load_settings(state_url="redis://one", log_url="redis://two").stores() == ("redis://two", "redis://one")
    with pytest.raises(ConfigurationError, match=f"{PREFIX}STATE_URL is not set"):
        load_settings().stores()
    with pytest.raises(ConfigurationError, match=f"{PREFIX}STATE_URL is not: set it"):
        load_settings(log_url="redis://two")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104 - refused
def test_off_loopback_the_process_refuses_to_start_without_a_key(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{PREFIX}API_KEY"):
        api.main(load_settings(host=host))  # without stores, so that it cannot run by mistake
    load_settings(host=host, api_key="k").check_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    load_settings(host=host).check_exposure()


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on .*{PREFIX}PORT={port}: Address already in use"):
            api.main(load_settings(port=port, state_url="redis://127.0.0.1:1"))


def test_every_setting_explains_itself() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
