"""The repair keeps every whole command before the damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.append_only import repair, whole_commands

SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*1\r\n"
SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"


@pytest.mark.parametrize("damage", [b"", b"\0" * 500, SET[:-1], b"*", b"*1", b"x" + SET, b"*1\r\n$-1\r\n"])
def test_everything_up_to_the_damage_stays(damage: bytes) -> None:
    good = SELECT + b"#TS:17\r\n" + SET
    assert whole_commands(good + damage + (SET if damage else b"")) == len(good)


def test_the_newest_file_is_cut(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    file = tmp_path / "appendonlydir" / "appendonly.aof.2.incr.aof"
    file.write_bytes(SET + b"\0" * 100)
    assert repair(tmp_path) == 100
    assert file.read_bytes() == SET
