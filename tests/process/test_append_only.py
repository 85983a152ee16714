"""The repair keeps every whole command before the damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.append_only import repair, whole_commands

SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*1\r\n"
SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"


@pytest.mark.parametrize("damage", [b"", b"\0" * 500, SET[:-1], b"*", b"*1", b"x" + SET, b"*1\r\n$-1\r\n"])
def test_everything_up_to_the_damage_stays(damage: bytes) -> None:
    good = SELECT + b"#TS:17\r\n" + SET
    assert whole_commands(good + damage + (SET if damage else b"")) == len(good)


def _file(folder: Path, content: bytes) -> Path:
    (folder / "appendonlydir").mkdir()
    file = folder / "appendonlydir" / "appendonly.aof.2.incr.aof"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("zeros_only", [False, True])
def test_the_newest_file_is_cut(tmp_path: Path, zeros_only: bool) -> None:
    file = _file(tmp_path, SET + b"\0" * 3_000_000)
    assert repair(tmp_path, zeros_only) == 3_000_000
    assert file.read_bytes() == SET
    assert repair(tmp_path, zeros_only) == 0


def test_what_may_have_been_acknowledged_is_not_cut(tmp_path: Path) -> None:
    file = _file(tmp_path, SET + b"\0" * 2_000_000 + SET)
    assert repair(tmp_path, zeros_only=True) == 0
    assert file.stat().st_size == 2_000_000 + 2 * len(SET)
    assert repair(tmp_path) == 2_000_000 + len(SET)
