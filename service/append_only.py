"""Repairs an append-only file as `valkey-check-aof --fix` does: cuts it where it is damaged.

Valkey 9.1.2 damages it itself when the disk is full soon after a rewrite: behind the place of the short write the file
is full of zeros, as if the rest had been cut off by the size of the file before the rewrite. What is before it stays.
"""

from __future__ import annotations

import mmap
from pathlib import Path

_REFUSED = b"Bad file format reading the append only file"


def is_damaged(messages: Path) -> bool:
    """Whether the server, by the end of the file of its messages, did not start because of its append-only file."""
    return messages.exists() and _REFUSED in messages.read_bytes()[-2_000:]


def repair(folder: Path, zeros_only: bool = False) -> int:
    """The newest incremental file of a server in `folder`; how many bytes were cut.

    zeros_only: cut nothing but zeros, for what else stands there may have been acknowledged.
    """
    newest = max(folder.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)
    size = newest.stat().st_size
    if size == 0:
        return 0
    with newest.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            whole = whole_commands(data)
            if zeros_only and not _all_zeros(data, whole):
                return 0
        file.truncate(whole)
    return size - whole


def whole_commands(data: bytes | mmap.mmap) -> int:
    """Bytes up to the end of the last command before the first one that cannot be read."""
    end = 0
    while (after := _command(data, end)) is not None:
        end = after
    return end


def _command(data: bytes | mmap.mmap, at: int) -> int | None:
    """Where the command that begins at `at` ends; None if there is none."""
    if data[at : at + 1] == b"#":  # an annotation
        end = data.find(b"\r\n", at)
        return None if end < 0 else end + 2
    count, at = _number(data, at, b"*")
    for _ in range(count):
        length, at = _number(data, at, b"$")
        if length < 0 or data[at + length : at + length + 2] != b"\r\n":
            return None
        at += length + 2
    return at if count > 0 else None


def _number(data: bytes | mmap.mmap, at: int, sign: bytes) -> tuple[int, int]:
    """(number, what follows its line); (-1, at) if there is none."""
    end = data.find(b"\r\n", at, at + 20)
    digits = data[at + 1 : end] if end > 0 else b""
    return (int(digits), end + 2) if data[at : at + 1] == sign and digits.isdigit() else (-1, at)


def _all_zeros(data: mmap.mmap, start: int, step: int = 1 << 20) -> bool:
    return all(not any(data[at : at + step]) for at in range(start, len(data), step))
