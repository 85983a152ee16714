"""What every archive promises: all records as they were, no gap, one writer, every step at once or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters import parquet_archive
from service.adapters.archive_folder import Folder, FsspecFolder, LocalFolder, open_folder
from service.adapters.archive_manifest import read_manifest
from service.adapters.archive_table import from_parquet, to_parquet
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
from service.errors import ArchiveDamaged, ArchiveMismatch, ConfigurationError, Fenced, StoreUnavailable
from service.ports import EventArchive
from tests.contract.entries import entries_of

Open = Callable[[], EventArchive]
"""One more archive in the same place, as another process opens it."""

ROWS = 40  # of a full file


@pytest.fixture(params=["in_memory", "local", "fsspec"])
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "in_memory":
        return partial(InMemoryArchive, InMemoryArchiveStore())
    url = str(tmp_path / "archive") if request.param == "local" else f"memory://{uuid4().hex}/archive"
    return lambda: ParquetArchive(open_folder(url), ROWS)


def event(n: int, user: str = "u") -> bytes:
    return pack_event(Event(f"e{n}", user, f"i{n % 7}", "purchase", None, n / 2, b'{"n":%d}' % n))


def records(first: int, last: int, user: str = "u") -> LogRecords:
    offsets = list(range(first, last + 1))
    return LogRecords.of(offsets, [1_000 + n for n in offsets], [event(n, user) for n in offsets])


def all_of(archive: EventArchive, count: int = 1_000) -> LogRecords:
    parts: list[LogRecords] = []
    while len(some := archive.read(int(parts[-1].offset[-1]) if parts else 0, count)):
        parts.append(some)
    return LogRecords.join(parts)


def claimed(open_archive: Open) -> EventArchive:
    archive = open_archive()
    archive.claim("log-1")
    return archive


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


def test_no_file_holds_an_erased_user(tmp_path: Path) -> None:
    archive = ParquetArchive(LocalFolder(tmp_path), ROWS)
    archive.claim("log-1")
    archive.append(records(1, 60, "somebody"))
    archive.append(records(61, 90, "another"))
    for file in archive.files():
        archive.rewrite(file, {b"somebody": 60})
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"somebody" not in content
    assert b"another" in content


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.builds(event, st.integers(0, 9), st.text(max_size=5)))))
def test_any_payloads_make_a_file_and_come_back(payloads: list[bytes]) -> None:
    whole = LogRecords.of(list(range(5, 5 + len(payloads))), list(range(len(payloads))), payloads)
    assert entries_of(from_parquet(to_parquet(whole))) == entries_of(whole)


def test_a_file_is_full_before_its_payloads_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_archive, "FILE_BYTES", 10 * len(event(10)))
    archive = ParquetArchive(LocalFolder(tmp_path), ROWS)
    archive.claim("log-1")
    archive.append(records(10, 49).part(0, 0))
    for first in range(1, 100, 3):
        archive.append(records(first, first + 2))
    assert max(file.rows for file in archive.files()) in range(9, 12)
    assert len(archive.files()) < 20
    assert entries_of(all_of(archive)) == entries_of(records(1, 99))


class BrokenOff(Exception):
    """The process ends here."""


class Breaking:
    """A folder whose process ends before or after its n-th change."""

    def __init__(self, folder: Folder, changes: float, after: bool) -> None:
        self.url = folder.url
        self._folder = folder
        self._left = changes
        self._after = after

    def names(self) -> list[str]:
        return self._folder.names()

    def get(self, name: str) -> bytes:
        return self._folder.get(name)

    def put(self, name: str, content: bytes) -> None:
        self._change(lambda: self._folder.put(name, content))

    def create(self, name: str, content: bytes) -> None:
        self._change(lambda: self._folder.create(name, content))

    def remove(self, names: object) -> None:
        for name in sorted(names):  # type: ignore[call-overload]
            self._change(partial(self._folder.remove, [name]))

    def _change(self, work: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise BrokenOff
        work()
        if self._left == 0:
            raise BrokenOff


def steps(folder: Folder) -> None:
    """What a keeper does: claims, copies what is missing in two portions, rewrites."""
    archive = ParquetArchive(folder, ROWS)
    archive.claim("log-1")
    for last in (90, 110):
        if archive.end() < last:
            archive.append(records(archive.end() + 1, last))
    for file in archive.files():
        archive.rewrite(file, {b"u": 50})


@pytest.mark.parametrize("after", [False, True])
def test_a_process_that_ends_at_any_step_leaves_no_record_lost_or_doubled(tmp_path: Path, after: bool) -> None:
    """Ends before or after every single change of the folder; the next one goes on from what is there."""
    expected = [pack_nothing() if n <= 50 else event(n) for n in range(1, 111)]
    broken = 0
    for number in range(1, 100):
        folder = LocalFolder(tmp_path / str(number))
        before = ParquetArchive(folder, ROWS)
        before.claim("log-1")
        for first in range(1, 61, 20):
            before.append(records(first, first + 19))
        try:
            steps(Breaking(folder, number, after))
        except BrokenOff:
            broken += 1
        else:
            break
        reader = ParquetArchive(folder, ROWS)
        found = all_of(reader)
        assert found.offset.tolist() == list(range(1, reader.end() + 1))
        assert reader.end() >= 60
        assert all(p in {event(n), pack_nothing()} for n, p in enumerate(found.payloads(), 1))
        assert all(reader.check(file) == "" for file in reader.files())
        steps(folder)
        assert all_of(reader).payloads() == expected
        assert set(folder.names()) == read_manifest(folder).names()  # nothing is left behind
    assert broken > 15


def local(tmp_path: Path) -> tuple[LocalFolder, ParquetArchive]:
    folder = LocalFolder(tmp_path / "archive")
    archive = ParquetArchive(folder, ROWS)
    archive.claim("log-1")
    archive.append(records(1, 60))
    return folder, archive


def test_a_damaged_or_missing_file_is_named_and_never_read(tmp_path: Path) -> None:
    folder, archive = local(tmp_path)
    first, second = archive.files()
    path = tmp_path / "archive" / first.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    folder.remove([second.name])
    reader = ParquetArchive(folder)
    assert "is not what was written" in reader.check(first)
    assert "is missing" in reader.check(second)
    for after, file in ((0, first), (45, second)):
        with pytest.raises(ArchiveDamaged, match=file.name):
            reader.read(after, 10)


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder, _ = local(tmp_path)
    for content in (b"{", b'{"format": 2}', b'{"format": 1, "log_id": "x", "files": [{}]}'):
        folder.put("manifest-000000000009.json", content)
        with pytest.raises(ArchiveDamaged, match="manifest-000000000009"):
            ParquetArchive(folder).end()


def test_a_manifest_with_a_gap_is_refused(tmp_path: Path) -> None:
    folder, _ = local(tmp_path)
    manifest = read_manifest(folder)
    content = folder.get(manifest.name).replace(b'"first": 1,', b'"first": 2,')
    folder.put("manifest-000000000009.json", content)
    with pytest.raises(ArchiveDamaged, match="do not follow one another"):
        ParquetArchive(folder).end()


def test_numbers_of_files_are_what_they_hold(tmp_path: Path) -> None:
    folder, archive = local(tmp_path)
    for file in archive.files():
        content = folder.get(file.name)
        assert len(content) == file.size
        assert len(from_parquet(content)) == file.rows
    assert np.sum([file.rows for file in archive.files()]) == 60


def test_a_place_that_cannot_be_written_is_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnavailable, match=r"the archive .*file"):
        ParquetArchive(LocalFolder(tmp_path / "file" / "archive")).claim("log-1")


def test_a_url_that_nothing_can_reach_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="nowhere://bucket"):
        open_folder("nowhere://bucket/archive")


def test_urls_and_paths_lead_to_folders(tmp_path: Path) -> None:
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
    assert isinstance(open_folder(f"file://{tmp_path}"), LocalFolder)
    assert open_folder(f"file://{tmp_path}").url == str(tmp_path)
    assert isinstance(open_folder("memory://x"), FsspecFolder)
