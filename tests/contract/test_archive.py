"""What every archive promises: all records as they were, no gap, one writer, every step at once or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from service.adapters.archive_folder import open_folder
from service.adapters.in_memory_archive import InMemoryArchive, InMemoryArchiveStore
from service.adapters.parquet_archive import ParquetArchive
from service.core.log_records import (
    LogRecords,
    pack_erase,
    pack_event,
    pack_item,
    pack_nothing,
    pack_switch,
    pack_unreadable,
)
from service.core.types import Erase, Event, ItemChange, Switch
from service.errors import ArchiveMismatch, Fenced
from tests.contract.archives import ROWS, Open, all_of, claimed, event, records
from tests.contract.entries import entries_of


@pytest.fixture(params=["in_memory", "local", "fsspec"])
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "in_memory":
        return partial(InMemoryArchive, InMemoryArchiveStore())
    url = str(tmp_path / "archive") if request.param == "local" else f"memory://{uuid4().hex}/archive"
    return lambda: ParquetArchive(open_folder(url), ROWS)


def test_an_empty_archive_ends_at_zero_and_belongs_to_no_log(open_archive: Open) -> None:
    archive = open_archive()
    assert (archive.end(), archive.log_id(), archive.files()) == (0, "", [])
    assert len(archive.read(0, 10)) == 0


@pytest.mark.parametrize("size", [1, 7, 40, 99, 250])
def test_what_was_appended_in_any_portions_is_read_as_it_was(open_archive: Open, size: int) -> None:
    archive, whole = claimed(open_archive), records(1, 250)
    for start in range(0, 250, size):
        archive.append(whole.part(start, min(250, start + size)))
        assert archive.end() == min(250, start + size)
    for reader in (archive, open_archive()):
        assert reader.end() == 250
        for count in (1, 33, 1_000):
            assert entries_of(all_of(reader, count)) == entries_of(whole)
        for after in (0, 1, 39, 40, 41, 249):
            found = reader.read(after, 5)
            assert entries_of(found) == entries_of(whole.part(after, after + len(found)))
            assert 0 < len(found) <= 5
        assert len(reader.read(250, 5)) == 0


def test_every_kind_of_record_is_kept_byte_by_byte(open_archive: Open) -> None:
    payloads = [
        pack_event(Event("é" * 20, "ünï", "item", "view", None, float("nan"), b"\0\xff")),
        pack_event(Event("", "", "", "", None)),
        pack_item(ItemChange("shoe", b'{"title":"x"}', "embedder", bytes(range(256)), None)),
        pack_item(ItemChange("shoe", b"{}", available_from=-5)),
        pack_erase(Erase("u")),
        pack_switch(Switch("u", on=True)),
        pack_nothing(),
        pack_unreadable(b"once unreadable"),
        b"",
        b"not a record",
        pack_event(Event("", "user", "item", "type", None)).replace(b"user", b"\xffser"),
    ]
    whole = LogRecords.of(list(range(1, 12)), [0, -1, 2**62, -(2**62), *range(7)], payloads)
    archive = claimed(open_archive)
    archive.append(whole)
    assert entries_of(all_of(open_archive())) == entries_of(whole)


@pytest.mark.parametrize("wrong", [records(1, 3), records(4, 5), records(7, 8)])
def test_records_that_do_not_follow_are_refused(open_archive: Open, wrong: LogRecords) -> None:
    archive = claimed(open_archive)
    archive.append(records(1, 5))
    with pytest.raises(ValueError, match="do not follow offset 5"):
        archive.append(wrong)
    assert open_archive().end() == archive.end() == 5


def test_nothing_to_append_changes_nothing(open_archive: Open) -> None:
    archive = claimed(open_archive)
    archive.append(LogRecords.of([], [], []))
    archive.append(records(1, 5))
    archive.append(LogRecords.of([], [], []))
    assert archive.end() == 5


def test_files_hold_all_records_once_and_small_ones_are_merged(open_archive: Open) -> None:
    archive = claimed(open_archive)
    for n in range(1, 201):
        archive.append(records(n, n))
        files = archive.files()
        assert [file.first for file in files] == [1, *(file.last + 1 for file in files[:-1])]
        assert files[-1].last == n
        assert all(archive.check(file) == "" for file in files)
        if not isinstance(archive, InMemoryArchive):
            assert len(files) <= n // ROWS + 8  # about log2 of a full file's records


def test_the_archive_of_another_log_is_refused(open_archive: Open) -> None:
    archive = claimed(open_archive)
    archive.append(records(1, 5))
    with pytest.raises(ArchiveMismatch, match="belongs to log log-1, not to log log-2"):
        open_archive().claim("log-2")
    archive.append(records(6, 7))  # the one who claimed it goes on
    assert open_archive().log_id() == "log-1"


def test_a_writer_that_another_shut_out_changes_nothing(open_archive: Open) -> None:
    first = claimed(open_archive)
    first.append(records(1, 50))
    second = claimed(open_archive)
    with pytest.raises(Fenced):
        first.append(records(51, 60))
    with pytest.raises(Fenced):
        first.rewrite(second.files()[0], {b"u": 100})
    second.append(records(51, 55, "other"))
    with pytest.raises(Fenced):
        first.append(records(51, 60))
    assert entries_of(all_of(open_archive())) == entries_of(LogRecords.join([records(1, 50), records(51, 55, "other")]))
    assert all(second.check(file) == "" for file in second.files())


def test_whoever_did_not_claim_it_cannot_write(open_archive: Open) -> None:
    claimed(open_archive).append(records(1, 5))
    with pytest.raises(Fenced):
        open_archive().append(records(6, 7))


def test_a_reader_follows_a_growing_archive(open_archive: Open) -> None:
    writer, reader = claimed(open_archive), open_archive()
    for n in range(1, 100, 3):
        writer.append(records(n, n + 2))
        assert entries_of(reader.read(n - 1, 10)) == entries_of(records(n, n + 2))


def test_an_erased_users_records_become_nothing_up_to_the_marker(open_archive: Open) -> None:
    archive = claimed(open_archive)
    payloads = [event(n, "gone" if n % 3 == 0 else "stays") for n in range(1, 101)]
    payloads[59] = pack_switch(Switch("gone", on=False))  # offset 60
    payloads[69] = pack_erase(Erase("gone"))  # offset 70
    whole = LogRecords.of(list(range(1, 101)), list(range(1, 101)), payloads)
    archive.append(whole)
    reader = open_archive()
    reader.read(0, 1)  # has a file at hand that is about to be replaced
    changed = sum(archive.rewrite(file, {b"gone": 70, b"unknown": 100}) for file in archive.files())
    assert changed == 24  # 3, 6, ..., 69 and the marker at 70
    expected = [
        pack_nothing() if n <= 70 and (n % 3 == 0 or n == 70) else payload for n, payload in enumerate(payloads, 1)
    ]
    for some in (archive, reader, open_archive()):
        found = all_of(some)
        assert found.offset.tolist() == found.timestamp.tolist() == list(range(1, 101))
        assert found.payloads()[40:] == expected[40:]
    assert all_of(open_archive()).payloads() == expected
    assert all(archive.check(file) == "" for file in archive.files())
    assert sum(archive.rewrite(file, {b"gone": 70}) for file in archive.files()) == 0  # again: nothing to do
    archive.append(records(101, 102))
    assert open_archive().end() == 102
