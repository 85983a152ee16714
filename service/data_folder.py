"""A data folder as one process has it: locked, and with sockets whose paths are short enough."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Self

from service.errors import ConfigurationError

_LONGEST_SOCKET = 103  # bytes: the smallest limit of the systems we run on, less one


class FolderLock:
    """Keeps others out of a data folder for as long as this process lives, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="ascii")
        except OSError as exc:
            raise ConfigurationError(f"the data folder {self._path.parent} cannot be written: {exc}") from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise ConfigurationError(
                f"the data folder {self._path.parent} is in use by process {holder}: stop it, or name another folder"
            ) from exc
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class SocketFolder:
    """Where the sockets are: the data folder, or a short one beside it when the path would be too long for a socket.

    A file in the data folder names the short one, so that a later run finds the servers of a crashed one.
    keep: somebody else uses them, and removes the short one in the end.
    """

    def __init__(self, data_dir: Path, keep: bool = False) -> None:
        self.path = data_dir
        self._keep = keep
        self._record = data_dir / "sockets"

    def __enter__(self) -> Self:
        if len(os.fsencode(self.path / "state.sock")) <= _LONGEST_SOCKET:
            return self
        known = Path(self._record.read_text(encoding="utf-8")) if self._record.exists() else None
        if known is not None and known.is_dir():
            self.path = known
        else:
            self.path = Path(tempfile.mkdtemp(prefix="peregrine-"))
            self._record.write_text(str(self.path), encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self.path != self._record.parent and not self._keep:
            shutil.rmtree(self.path, ignore_errors=True)
            self._record.unlink(missing_ok=True)
