"""What is preloaded into processes under test (`shim.c`): it sees what was synced, moves the clock, fills the disk."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random

_CONTROL = struct.Struct("=qq")
_SYNCED = struct.Struct("=QQ")


def build(folder: Path) -> Path:
    """Compiles the shim. Raises RuntimeError on a machine without a C compiler: a power cut needs one."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("a power cut is simulated by a preloaded library: install a C compiler (cc)")
    library, source = folder / "shim.so", Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-Wall", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Shim:
    """One process's shim: how it is told, and what it saw. folder: of its files, outside the process's own folder."""

    def __init__(self, library: Path, folder: Path, name: str) -> None:
        self._library = library
        self._synced = folder / f"{name}.synced"
        self._control = folder / f"{name}.control"
        self._control.write_bytes(bytes(_CONTROL.size))
        with self._control.open("r+b") as file:
            self._words = mmap.mmap(file.fileno(), _CONTROL.size)

    def environment(self, synced: bool) -> dict[str, str]:
        """Variables of a process that runs under it. synced: whether to note what it syncs."""
        values = {"LD_PRELOAD": str(self._library), "SHIM_CONTROL": str(self._control)}
        return values | ({"SHIM_SYNCED": str(self._synced)} if synced else {})

    def set_clock(self, seconds: int) -> None:
        """How far the process's wall clock is off."""
        self._words[:8] = struct.pack("=q", seconds)

    def set_full(self, full: bool) -> None:
        """Whether the process's disk is full."""
        self._words[8:] = struct.pack("=q", full)

    def synced(self) -> dict[int, int]:
        """The length up to which each file was synced, by inode."""
        data = self._synced.read_bytes() if self._synced.exists() else b""
        return dict(_SYNCED.iter_unpack(data[: len(data) // _SYNCED.size * _SYNCED.size]))

    def cut_power(self, folder: Path, rng: Random) -> int:
        """Drops what the killed process never synced in `folder`; returns how many bytes that were.

        Of what was under way a part may have reached the disk: half of the time a random part stays, a torn write.
        """
        synced, dropped = self.synced(), 0
        for path in folder.rglob("*"):
            if path.is_file():
                found = path.stat()
                length = min(synced.get(found.st_ino, 0), found.st_size)
                unsynced = found.st_size - length
                kept = rng.randrange(unsynced + 1) if unsynced and rng.random() < 0.5 else 0
                with path.open("r+b") as file:
                    file.truncate(length + kept)
                dropped += unsynced - kept
        return dropped
