"""A worker process for each live model beside the one that this process writes for."""

from __future__ import annotations

import sys
from threading import Event as Flag
from threading import Thread
from typing import Self

import structlog

from service.core.live_models import LiveModel
from service.errors import BundleError, StoreUnavailable
from service.processes.child import MEMBER
from service.processes.supervised import Child, environment
from service.settings import Settings
from service.wiring import WorkerServices

log = structlog.get_logger("peregrine.crew")

_LOOK_SECONDS = 0.25


class Crew:
    """Context manager: follows the record of live models for the time of the block."""

    def __init__(self, services: WorkerServices, settings: Settings) -> None:
        self._services = services
        self._settings = settings
        self._children: dict[str, Child] = {}  # by hash of the bundle
        self._broken: set[str] = set()
        self._stopping = Flag()
        self._thread = Thread(target=self._run, name="crew", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        said = ""
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self._follow(self._services.models.live().models)
                said = ""
            except StoreUnavailable as exc:
                if str(exc) != said:
                    log.warning("store_unavailable", error=str(exc))
                said = str(exc)
            for child in self._children.values():
                child.tend()
        self._follow(())

    def _follow(self, models: tuple[LiveModel, ...]) -> None:
        registry = self._services.registry
        wanted = {model.bundle: model for model in models if model.bundle != self._services.bundle.hash}
        for bundle in self._children.keys() - wanted.keys():
            self._children.pop(bundle).stop()
        for bundle, model in wanted.items():
            if bundle not in self._children and registry is not None:
                try:
                    folder = registry.folder(model.version)
                except BundleError as exc:
                    if bundle not in self._broken:
                        log.warning("member_not_started", version=model.version, reason=str(exc))
                    self._broken.add(bundle)
                    continue
                settings = self._settings.model_copy(update={"bundle": folder, "metrics_port": None})
                self._children[bundle] = Child(MEMBER, environment(settings), _tell)
                log.info("member_starts", version=model.version, pid=self._children[bundle].pid)


def _tell(_name: str, line: str) -> None:
    sys.stderr.write(line + "\n")
