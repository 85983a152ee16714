"""What every log promises to its keeper: one at a time, and nothing goes that it did not name."""

from __future__ import annotations

import pytest

from service.core.types import Append, Appended
from service.errors import Fenced, LeaseHeld, LogTrimmed
from tests.contract.conftest import Log, NewLog
from tests.contract.entries import digest

pytestmark = pytest.mark.anyio

TTL = 60_000


async def filled(new_log: NewLog) -> Log:
    """A log of 12 records in appends of 3."""
    log = new_log()
    for turn in range(4):
        await log.events.append([Append(b"%d" % n, n, digest(f"d{turn}-{n}")) for n in range(3)])
    return log


async def test_an_empty_log_begins_behind_its_end(new_log: NewLog) -> None:
    assert new_log().keeper.begin() == 1


async def test_trimming_takes_the_oldest_and_keeps_offsets_and_digests(new_log: NewLog) -> None:
    log = await filled(new_log)
    log.keeper.trim(log.keeper.acquire("a", TTL), 6)
    assert log.keeper.begin() == 7
    assert log.source.end() == 12
    assert log.source.read(6, 100, 0).offset.tolist() == list(range(7, 13))
    assert await log.events.append([Append(b"p", 1, digest("d0-1")), Append(b"q", 1)]) == [
        Appended(2, True),
        Appended(13, False),
    ]


@pytest.mark.parametrize("upto", [0, 1, 2, 5, 7])
async def test_nothing_above_the_named_offset_goes(new_log: NewLog, upto: int) -> None:
    log = await filled(new_log)
    log.keeper.trim(log.keeper.acquire("a", TTL), upto)
    assert upto - 3 < log.keeper.begin() - 1 <= upto
    assert log.source.read(upto, 100, 0).offset.tolist() == list(range(upto + 1, 13))


async def test_trimmed_records_are_missed_and_never_passed_over(new_log: NewLog) -> None:
    log = await filled(new_log)
    log.keeper.trim(log.keeper.acquire("a", TTL), 6)
    for after in range(6):
        with pytest.raises(LogTrimmed):
            log.source.read(after, 100, 0)


async def test_a_log_trimmed_to_its_end_goes_on_from_there(new_log: NewLog) -> None:
    log = await filled(new_log)
    log.keeper.trim(log.keeper.acquire("a", TTL), 12)
    assert (log.keeper.begin(), log.source.end()) == (13, 12)
    assert len(log.source.read(12, 100, 0)) == 0
    with pytest.raises(LogTrimmed):
        log.source.read(11, 100, 0)
    await log.events.append([Append(b"next", 1)])
    assert log.source.read(12, 100, 0).offset.tolist() == [13]


async def test_what_the_log_does_not_have_cannot_be_trimmed(new_log: NewLog) -> None:
    log = await filled(new_log)
    with pytest.raises(Fenced, match="ends at offset 12"):
        log.keeper.trim(log.keeper.acquire("a", TTL), 13)
    assert log.keeper.begin() == 1


async def test_a_keeper_whose_lease_another_took_trims_nothing(new_log: NewLog) -> None:
    log = await filled(new_log)
    first = log.keeper.acquire("a", 100)
    log.sleep(0.3)
    second = log.keeper.acquire("b", TTL)
    assert second > first
    with pytest.raises(Fenced):
        log.keeper.trim(first, 6)
    with pytest.raises(Fenced, match=r"^b "):
        log.keeper.renew("a", TTL)
    assert log.keeper.begin() == 1
    log.keeper.trim(second, 6)
    assert log.keeper.begin() == 7


async def test_one_keeper_at_a_time(new_log: NewLog) -> None:
    log = new_log()
    log.keeper.acquire("a", TTL)
    with pytest.raises(LeaseHeld, match=r"^a "):
        log.keeper.acquire("b", TTL)
    log.keeper.release("b")
    with pytest.raises(LeaseHeld):
        log.keeper.acquire("b", TTL)
    log.keeper.release("a")
    log.keeper.acquire("b", TTL)
