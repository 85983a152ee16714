"""The `peregrine` command: what it lists, what it costs to start, how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from service.embedded import EmbeddedValkey
from tests.cli.running import ROOT, assert_one_clear_error, environment, peregrine

COMMANDS = (
    "demo",
    "up",
    "ui",
    "api",
    "worker",
    "profiler",
    "keeper",
    "import",
    "replay",
    "recommend",
    "erase",
    "export-user",
    "bench",
    "archive",
    "doctor",
    "config",
)
TRAINING = ("train", "evaluate", "export")
NOBODY = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""


def test_help_lists_every_command() -> None:
    done = peregrine("--help")
    assert done.returncode == 0
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and len(line.split()) > 2}
    assert listed >= {*COMMANDS, *TRAINING}


@pytest.mark.parametrize(
    "command",
    [(name,) for name in COMMANDS]
    + [("bench", "freshness"), ("bench", "ingest")]
    + [("archive", name) for name in ("status", "verify", "dataset")],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    done = peregrine(*command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_version_is_the_package_s() -> None:
    done = peregrine("--version")
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "peregrine", "")


def test_starting_up_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "httpx", "redis", "fastapi", "onnxruntime", "pyarrow", "pydantic", "model")
    code = f"import sys, service.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("recommend",),
        ("erase",),
        ("recommend", "u", "-k", "0"),
        ("replay",),
        ("demo", "--households", "many"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = peregrine(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("recommend", "u1"), ("import", "--data", "."), ("replay", "--data", ".", "--json")]
)
def test_a_service_that_is_not_there_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    assert_one_clear_error(peregrine(*arguments, "--url", NOBODY), NOBODY, "is it running?")


@pytest.mark.parametrize("process", ["api", "worker"])
def test_a_process_without_a_store_says_which_setting_is_missing(process: str) -> None:
    assert_one_clear_error(peregrine(process), "PEREGRINE_STATE_URL")


def test_more_profilers_than_calls_at_once_are_refused() -> None:
    asked = ("bench", "profiles", "--profilers", "9", "--concurrency", "8")
    assert_one_clear_error(peregrine(*asked), "--profilers 9", "--concurrency 8")


def test_a_wrong_setting_is_named_with_its_value() -> None:
    assert_one_clear_error(peregrine("config", port="many"), "PEREGRINE_PORT=many")


def test_a_bundle_with_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    names = ["update_users", "update_items", "static_items", "embed_users", "popularity", "score_pairs"]
    files = ["spec.json", "initial.safetensors", *(f"{name}.onnx" for name in names)]
    manifest = {"format": 1, "version": "v", "created": "now", "files": dict.fromkeys(files, "0" * 64)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    done = peregrine("up", "--bundle", str(tmp_path), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert_one_clear_error(done, "spec.json", "sha256")


def test_up_refuses_a_port_that_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = peregrine("up", "--data-dir", str(tmp_path), "--port", port)
    assert_one_clear_error(done, port, "PEREGRINE_PORT")


def test_up_off_loopback_wants_a_key(tmp_path: Path) -> None:
    done = peregrine("up", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))  # noqa: S104
    assert_one_clear_error(done, "PEREGRINE_API_KEY")


@pytest.mark.parametrize("command", TRAINING)
def test_training_commands_without_their_extra_say_what_to_install(command: str, tmp_path: Path) -> None:
    code = (
        "import sys, importlib.abc\n"
        "class NoTorch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError('no torch', name='torch')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from service.cli import app\n"
        "app(sys.argv[1:])\n"
    )
    place = str(tmp_path / "run")
    given = {"train": ["--out", place], "evaluate": ["--model", place], "export": [place, "--out", place]}
    done = subprocess.run(
        [sys.executable, "-c", code, command, *given[command]],
        env=environment(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert_one_clear_error(done, 'pip install "peregrine-recsys[train]"')


def test_training_commands_take_their_own_options() -> None:
    done = peregrine("train", "--help")
    assert done.returncode == 0
    assert "--out" in done.stdout


def test_config_hides_secrets() -> None:
    settings = {
        "api_key": "very-secret-key",
        "state_url": "redis://user:very-secret-word@store.example:6380/1?password=very-secret-word",
    }
    for arguments in (("config",), ("config", "--json")):
        done = peregrine(*arguments, **settings)
        assert done.returncode == 0
        assert "very-secret" not in done.stdout + done.stderr
        assert "store.example:6380/1" in done.stdout


def test_config_as_json_holds_every_setting() -> None:
    from service.settings import Settings

    done = peregrine("config", "--json", port="8123")
    shown = json.loads(done.stdout)
    assert set(shown) == set(Settings.model_fields)
    assert shown["port"] == 8123


@pytest.mark.parametrize("process", ["worker", "api"])
def test_no_process_starts_on_a_store_that_evicts(tmp_path: Path, process: str) -> None:
    with EmbeddedValkey(tmp_path) as stores, redis.Redis.from_url(stores.state_url) as server:
        server.config_set("maxmemory-policy", "volatile-lru")
        done = peregrine(process, log_url=stores.log_url, state_url=stores.state_url, port="0")
    assert_one_clear_error(done, "volatile-lru", "config set maxmemory-policy noeviction")
