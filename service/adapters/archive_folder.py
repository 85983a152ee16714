"""Where files of the archive or the registry lie: a local folder, or whatever fsspec reaches by a URL."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.errors import ConfigurationError, StoreUnavailable


class Folder(Protocol):
    """Files by name, each written and read whole. Raises StoreUnavailable."""

    url: str

    def names(self) -> list[str]: ...

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Writes or replaces a file; once it returns, a power cut does not take it."""
        ...

    def create(self, name: str, content: bytes) -> None:
        """Writes a file, at once or not at all. Raises FileExistsError if there is one of that name."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Those that are not there are no error."""
        ...


def open_folder(url: str) -> Folder:
    """url: a path, a file: URL, or one that fsspec knows. Raises ConfigurationError for one it does not know."""
    if "://" not in url:
        return LocalFolder(Path(url))
    if url.startswith("file://"):
        return LocalFolder(Path(url.removeprefix("file://")))
    return FsspecFolder(url)


class LocalFolder:
    """`Folder` on a disk. What is half written has a name of its own, and is left behind by a crash only."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path

    def names(self) -> list[str]:
        with _translated(self.url):
            return os.listdir(self._path) if self._path.is_dir() else []

    def get(self, name: str) -> bytes:
        with _translated(self.url):
            return (self._path / name).read_bytes()

    def put(self, name: str, content: bytes) -> None:
        with _translated(self.url):
            self._write(name, content).replace(self._path / name)
            self._flush()

    def create(self, name: str, content: bytes) -> None:
        with _translated(self.url):
            written = self._write(name, content)
            try:
                (self._path / name).hardlink_to(written)
            finally:
                written.unlink()
            self._flush()

    def remove(self, names: Iterable[str]) -> None:
        with _translated(self.url):
            for name in names:
                (self._path / name).unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> Path:
        self._path.mkdir(parents=True, exist_ok=True)
        path = self._path / f"{name}.{os.getpid()}.part"
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _flush(self) -> None:
        """Makes the folder's entries durable."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class FsspecFolder:
    """`Folder` on object storage. Options and credentials are fsspec's: its configuration files and variables.

    `create` is as safe as the file system's mode "create": S3's, for one, asks the store.
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs

            files, path = url_to_fs(url)
        except (ImportError, ValueError) as exc:
            raise ConfigurationError(f"{url} cannot be reached: {exc}") from exc
        self.url = url
        self._files: Any = files
        self._path = str(path).rstrip("/")

    def names(self) -> list[str]:
        with _translated(self.url):
            self._files.invalidate_cache(self._path)
            try:
                found = self._files.ls(self._path, detail=False)
            except FileNotFoundError:
                return []
            return [str(path).rpartition("/")[2] for path in found]

    def get(self, name: str) -> bytes:
        with _translated(self.url):
            return bytes(self._files.cat_file(self._at(name)))

    def put(self, name: str, content: bytes) -> None:
        with _translated(self.url):
            self._files.makedirs(self._path, exist_ok=True)
            self._files.pipe_file(self._at(name), content)

    def create(self, name: str, content: bytes) -> None:
        with _translated(self.url):
            self._files.makedirs(self._path, exist_ok=True)
            self._files.pipe_file(self._at(name), content, mode="create")

    def remove(self, names: Iterable[str]) -> None:
        with _translated(self.url):
            for name in names:
                if self._files.exists(self._at(name)):
                    self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Foreign errors into ours. An fsspec file system raises whatever the library below it raises."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except Exception as exc:
        raise StoreUnavailable(f"{url}: {type(exc).__name__}: {exc}") from exc
