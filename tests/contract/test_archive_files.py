"""The archive as files: whatever ends the process, breaks a file or the place they lie in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters import parquet_archive
from service.adapters.archive_folder import Folder, FsspecFolder, LocalFolder, open_folder
from service.adapters.archive_manifest import read_manifest
from service.adapters.archive_table import from_parquet, to_parquet
from service.adapters.parquet_archive import ParquetArchive
from service.core.log_records import LogRecords, pack_nothing
from service.errors import ArchiveDamaged, ConfigurationError, Fenced, StoreUnavailable
from tests.contract.archives import ROWS, all_of, event, records
from tests.contract.entries import entries_of


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
    for first in (1, 8, 15):
        archive.append(records(first, first + 6))
    assert [file.rows for file in archive.files()] == [7, 7, 7]  # two of them would be too large
    archive.append(records(22, 61))
    assert max(file.rows for file in archive.files()) <= 10
    assert len(archive.files()) == 3 + 4
    assert entries_of(all_of(archive)) == entries_of(records(1, 61))


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
    assert sum(file.rows for file in archive.files()) == 60


def test_a_place_that_cannot_be_written_is_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnavailable, match=r"file/archive: NotADirectoryError"):
        ParquetArchive(LocalFolder(tmp_path / "file" / "archive")).claim("log-1")


def test_a_url_that_nothing_can_reach_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="nowhere://bucket"):
        open_folder("nowhere://bucket/archive")


@pytest.fixture(params=["local", "fsspec"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return open_folder(str(tmp_path / "new") if request.param == "local" else f"memory://{tmp_path}")


def test_a_folder_keeps_files_by_name(folder: Folder) -> None:
    assert folder.names() == []
    folder.put("a", b"1")
    folder.put("a", b"2")
    folder.create("b", b"3")
    assert (sorted(folder.names()), folder.get("a"), folder.get("b")) == (["a", "b"], b"2", b"3")
    folder.remove(["a", "never there"])
    assert folder.names() == ["b"]
    with pytest.raises(FileNotFoundError):
        folder.get("a")


def test_a_file_is_created_by_one_only(folder: Folder) -> None:
    folder.create("a", b"first")
    with pytest.raises(FileExistsError):
        folder.create("a", b"second")
    assert (folder.names(), folder.get("a")) == (["a"], b"first")


def test_a_writer_shut_out_at_the_last_moment_changes_nothing(tmp_path: Path) -> None:
    """Another one claims the archive when the first has written its file, and only the manifest is left to write."""
    folder = LocalFolder(tmp_path)
    other = ParquetArchive(folder)

    class Stalled(LocalFolder):
        def put(self, name: str, content: bytes) -> None:
            super().put(name, content)
            other.claim("log-1")

    first = ParquetArchive(Stalled(tmp_path))
    first.claim("log-1")
    with pytest.raises(Fenced, match="claimed by another writer"):
        first.append(records(1, 5))
    assert other.end() == 0
    other.append(records(1, 3))
    assert entries_of(all_of(ParquetArchive(folder))) == entries_of(records(1, 3))


def test_urls_and_paths_lead_to_folders(tmp_path: Path) -> None:
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
    assert isinstance(open_folder(f"file://{tmp_path}"), LocalFolder)
    assert open_folder(f"file://{tmp_path}").url == str(tmp_path)
    assert isinstance(open_folder("memory://x"), FsspecFolder)
