"""All processes on one machine: two embedded Valkeys when no URLs are set, a worker, a keeper, an API, a profiler.

They are started in this order, Valkey first, and stopped in the reverse one. A process that dies is started again after
a pause that doubles each time; one that dies before the stack was ever ready is an error of the set-up.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from threading import Event as Flag
from threading import Thread
from typing import Any, Self

from pydantic import SecretStr

from model.text import has_sentence_encoder
from service.client import Client, ClientError
from service.errors import ConfigurationError
from service.processes.child import PROCESSES, UI
from service.processes.supervised import Child, Output, StartFailed, environment
from service.settings import PREFIX, Settings


def local_url(settings: Settings) -> str:
    """Where a process of this machine reaches the API."""
    return _address(settings.host, settings.port)


def _address(host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}"


def to_stderr(name: str, line: str) -> None:
    """The default output: lines of all processes, each with its process's name before it."""
    sys.stderr.write(f"{name:>6} | {line}\n")


class Stack:
    """Everything that `peregrine up` runs. Use as a context manager; `with` returns when it is ready."""

    def __init__(
        self, settings: Settings, output: Output = to_stderr, start_seconds: float = 60.0, ui: bool = False
    ) -> None:
        """ui: with the pages, which need an extra."""
        self.settings = settings
        self._ui = ui
        self._output = output
        self._start_seconds = start_seconds
        self._children: list[Child] = []
        self._stopping = Flag()
        self._exits = ExitStack()

    @property
    def url(self) -> str:
        return local_url(self.settings)

    @property
    def ui_url(self) -> str | None:
        """Where the pages are, if they were asked for."""
        return _address(self.settings.ui_host, self.settings.ui_port) if self._ui else None

    def client(self) -> Client:
        key = self.settings.api_key
        return Client(self.url, key.get_secret_value() if key else None)

    def child(self, name: str) -> Child:
        """The process of that name."""
        return next(child for child in self._children if child.name == name)

    def __enter__(self) -> Self:
        with self._exits:
            self._start()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _start(self) -> None:
        self.settings.check_exposure()
        self.settings = self.settings.model_copy(update={"port": self.settings.port or _free_port(self.settings.host)})
        check_port(self.settings)
        if self.settings.state_url is None:
            self._start_stores()
        names: tuple[str, ...] = PROCESSES if _wants_profiles(self.settings) else PROCESSES[:-1]
        if self._ui:
            port = _free_port(self.settings.ui_host, self.settings.ui_port)
            self.settings = self.settings.model_copy(update={"ui_port": port})
            names += (UI,)
        for number, name in enumerate(names):
            child = Child(name, environment(self._settings_of(number)), self._output)
            self._children.append(child)
            self._exits.callback(child.stop)
        self._wait_until_ready()
        watch = Thread(target=self._watch, daemon=True, name="supervisor")
        self._exits.callback(watch.join)
        self._exits.callback(self._stopping.set)
        watch.start()

    def _settings_of(self, number: int) -> Settings:
        """Each process is scraped at a port of its own."""
        port = self.settings.metrics_port
        return self.settings.model_copy(update={"metrics_port": port + number}) if port else self.settings

    def _start_stores(self) -> None:
        from service.embedded import EmbeddedValkey  # needs an extra

        stores = self._exits.enter_context(EmbeddedValkey(self.settings.data_dir))
        places: dict[str, Any] = {"log_url": SecretStr(stores.log_url), "state_url": SecretStr(stores.state_url)}
        if self.settings.archive_url is None and find_spec("pyarrow"):
            places["archive_url"] = str(self.settings.data_dir.absolute() / "archive")
        if self.settings.models is None:
            places["models"] = str(self.settings.data_dir.absolute() / "models")
        self.settings = self.settings.model_copy(update=places)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        reason = ""
        with self.client() as client:
            while time.monotonic() < deadline:
                for child in self._children:
                    child.check_alive()
                try:
                    ready = client.ready()
                except ClientError as exc:
                    reason = str(exc)
                else:
                    if ready.ok and self._pages_listen():
                        return
                    reason = str(ready.body.get("detail") or "the pages do not listen yet")
                time.sleep(0.05)
        raise StartFailed(f"not ready after {self._start_seconds:.0f} s: {reason}")

    def _pages_listen(self) -> bool:
        if not self._ui:
            return True
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.ui_host, self.settings.ui_host)  # noqa: S104
        try:
            socket.create_connection((host, self.settings.ui_port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in self._children:
                child.tend()


def _wants_profiles(settings: Settings) -> bool:
    embeds = settings.embed_url is not None or (settings.embed_text == "auto" and has_sentence_encoder())
    return settings.profiles == "auto" and embeds


def _free_port(host: str, wanted: int = 0) -> int:
    """`wanted` if it is free, else any that is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(settings: Settings) -> None:
    """Raises ConfigurationError when somebody listens there already."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as exc:
            raise ConfigurationError(
                f"port {settings.port} of {settings.host} cannot be taken ({exc.strerror}): stop what listens there, "
                f"or set {PREFIX}PORT"
            ) from exc
