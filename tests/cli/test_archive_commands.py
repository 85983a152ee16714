"""`peregrine archive`: what it says of a sound archive, of a broken one, and of none; the data set that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.data import load
from service.adapters.archive_folder import LocalFolder
from service.adapters.parquet_archive import ParquetArchive
from service.core.log_records import LogRecords, pack_event, pack_item, pack_nothing, pack_switch
from service.core.types import Append, Event, ItemChange, Switch
from service.embedded import EmbeddedValkey
from service.event_path import accept
from service.settings import load_settings
from service.wiring import build_keeper
from tests.cli.running import assert_one_clear_error, peregrine


def event(n: int, user: str) -> bytes:
    return pack_event(Event(f"e{n}", user, f"item-{n % 3}", "view" if n % 2 else "purchase", None, n))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An archive of two files: 20 events, three items (one put twice), an erased record, a user who switched off."""
    payloads = [event(n, f"user-{n % 4}") for n in range(20)]
    payloads[3] = pack_nothing()
    document = b'{"item_id":"item-0","title":"New","price":2.5,"attributes":{"colour":"red"},"available_from":null}'
    payloads += [
        pack_item(ItemChange("item-0", b'{"item_id":"item-0","title":"Old"}', available_from=5)),
        pack_item(ItemChange("item-9", b'{"item_id":"item-9"}', available_from=7)),
        pack_item(ItemChange("item-0", document)),
        pack_switch(Switch("user-1", on=False)),
        event(40, "user-1"),
        event(41, "user-2"),
        pack_switch(Switch("user-1", on=True)),
        event(42, "user-1"),
        b"not a record",
    ]
    whole = LogRecords.of(list(range(1, 30)), [1_000 + n for n in range(29)], payloads)
    archive = ParquetArchive(LocalFolder(tmp_path / "archive"), rows=20)
    archive.claim("log-1")
    archive.append(whole)
    assert len(archive.files()) == 2
    return tmp_path


def test_status_tells_what_there_is(place: Path) -> None:
    done = peregrine("archive", "status", "--json", data_dir=str(place))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["url"], report["log_id"], report["end"]) == (str(place / "archive"), "log-1", 29)
    assert (report["files"], report["log"]) == (2, None)
    assert report["bytes"] == sum(path.stat().st_size for path in (place / "archive").glob("*.parquet"))
    assert "offsets 1 to 29, 2 files" in peregrine("archive", "status", "--archive", str(place / "archive")).stdout


def test_status_tells_how_far_it_is_behind_the_log(valkey: EmbeddedValkey, place: Path, prefix: str) -> None:
    import asyncio

    from service.adapters.redis_clients import Server
    from service.adapters.redis_log import RedisEventLog

    async def fill() -> None:
        log = RedisEventLog(Server(valkey.log_url, prefix))
        await log.append(accept([Event("", "u", "i", "view", 5)] * 30, [False] * 30))
        await log.append([Append(b"", 6)])
        await log.aclose()

    asyncio.run(fill())
    values = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": prefix}
    keeper = build_keeper(load_settings(**values)).log
    keeper.trim(keeper.acquire("test", 1_000), 30)
    done = peregrine("archive", "status", "--json", "--archive", str(place / "archive"), **values)
    assert json.loads(done.stdout)["log"] == {"begin": 31, "end": 31, "behind": 2}


def test_verify_passes_a_sound_archive(place: Path) -> None:
    done = peregrine("archive", "verify", "--json", data_dir=str(place))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"url": str(place / "archive"), "end": 29, "files": 2, "problems": []}
    assert "all sound" in peregrine("archive", "verify", data_dir=str(place)).stdout


def test_verify_names_every_broken_file_and_fails(place: Path) -> None:
    first, second = sorted((place / "archive").glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    done = peregrine("archive", "verify", "--json", data_dir=str(place))
    assert done.returncode == 1
    problems = json.loads(done.stdout)["problems"]
    assert [problem["file"] for problem in problems] == [first.name, second.name]
    assert "is missing" in problems[0]["problem"]
    assert "is not what was written" in problems[1]["problem"]


def test_the_data_set_is_what_train_reads(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    done = peregrine("archive", "dataset", "--out", str(out), "--json", data_dir=str(place))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"events": 21, "items": 2}
    dataset = load(str(out))
    rows = zip(dataset.timestamp, dataset.user, dataset.item, dataset.event_type, dataset.value, strict=True)
    found = [(int(t), dataset.user_ids[u], dataset.item_ids[i], dataset.event_types[k], v) for t, u, i, k, v in rows]
    numbers = {1_000 + n: n for n in range(20) if n != 3} | {1_025: 41, 1_027: 42}  # not 40: user-1 was off
    assert found == [
        (
            time,
            f"user-{n % 4 if n < 40 else n - 39 if n == 41 else 1}",
            f"item-{n % 3}",
            "view" if n % 2 else "purchase",
            n,
        )
        for time, n in numbers.items()
    ]
    assert sorted(dataset.item_ids) == ["item-0", "item-1", "item-2", "item-9"]
    at = dataset.item_ids.index("item-0")
    assert (dataset.items.title[at], dataset.items.price[at]) == ("New", 2.5)
    assert dataset.items.available_from[dataset.item_ids.index("item-9")] == 7


def test_a_folder_with_a_data_set_is_not_overwritten(place: Path, tmp_path: Path) -> None:
    (tmp_path / "interactions.parquet").write_bytes(b"mine")
    done = peregrine("archive", "dataset", "--out", str(tmp_path), data_dir=str(place))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"error: {tmp_path}/interactions.parquet exists: name another folder"
    assert (tmp_path / "interactions.parquet").read_bytes() == b"mine"


def test_no_archive_is_one_clear_line(tmp_path: Path) -> None:
    for name in ("status", "verify"):
        assert_one_clear_error(peregrine("archive", name, data_dir=str(tmp_path)), "PEREGRINE_ARCHIVE_URL")
