"""Repairs an append-only file as `valkey-check-aof --fix` does, which the wheel lacks: cuts it where it is damaged.

Valkey 9.1.2 damages it itself when the disk is full soon after a rewrite: behind the place of the short write the file
is full of zeros, as if the rest had been cut off by the size of the file before the rewrite. What is before it stays.
"""

from __future__ import annotations

from pathlib import Path


def repair(folder: Path) -> int:
    """The newest incremental file of a server in `folder`; how many bytes were cut."""
    newest = max(folder.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)
    data = newest.read_bytes()
    whole = whole_commands(data)
    with newest.open("r+b") as file:
        file.truncate(whole)
    return len(data) - whole


def whole_commands(data: bytes) -> int:
    """Bytes up to the end of the last command before the first one that cannot be read."""
    end = 0
    while (after := _command(data, end)) is not None:
        end = after
    return end


def _command(data: bytes, at: int) -> int | None:
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


def _number(data: bytes, at: int, sign: bytes) -> tuple[int, int]:
    """(number, what follows its line); (-1, at) if there is none."""
    end = data.find(b"\r\n", at, at + 20)
    digits = data[at + 1 : end] if end > 0 else b""
    return (int(digits), end + 2) if data[at : at + 1] == sign and digits.isdigit() else (-1, at)
