"""The oracle finds what must not be: each test spoils a good end of a run in one way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.adapters.bundle import Bundle
from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_users
from service.core.types import Event, ItemChange
from service.event_path import Writer, accept, accept_items
from tests.faults.oracle import TOLERANCE, Verdict, judge
from tests.faults.traffic import Batch, Document, Ledger, seeded
from tests.faults.traffic import Writer as TrafficWriter
from tests.process.toy import TOY_SPEC, ToyModel

BUNDLE = Bundle(ToyModel(), "toy", "toy")


class End:
    """What a run left: `ledger`, `log` and `state`, all of which agree."""

    def __init__(self) -> None:
        self.ledger, self.log, self.state = Ledger(), InMemoryLog(), InMemoryState()
        writer = TrafficWriter(seeded("end"), "e", "wall")
        for number in range(8):
            new, body = writer.batch(30)
            self.ledger.events.append(Batch(new, self.append(body)))
            writer.acked(new)
            item = {"item_id": f"item-{number % 3}", "title": f"title {number}", "available_from": None}
            change = ItemChange(str(item["item_id"]), f'{{"title": "title {number}"}}'.encode())
            self.ledger.items.append(Batch([item], self.log.append(accept_items([change]))[0].offset))
            self.ledger.item_attempts += 1
        self.apply(self.state)

    def append(self, body: list[Document]) -> int:
        events = [Event(**{"timestamp": None, **event}) for event in body]
        return max(one.offset for one in self.log.append(accept(events, [True] * len(events))))

    def apply(self, state: InMemoryState) -> None:
        """In steps of 7 records, which are not the oracle's."""
        store = InMemoryStateStore(state)
        writer = Writer(store, BUNDLE.model, store.acquire("w", 1_000))
        writer.resume()
        while len(records := InMemoryEventSource(self.log).read(writer.position.offset, 7, 0)):
            writer.step(records)

    def verdict(self) -> Verdict:
        return judge(self.ledger, InMemoryEventSource(self.log), InMemoryStateStore(self.state), BUNDLE)


@pytest.fixture
def end() -> End:
    return End()


def test_a_good_end_is_found_good(end: End) -> None:
    verdict = end.verdict()
    assert verdict.good, verdict
    assert verdict.acked == end.ledger.acked > 50
    assert verdict.max_vector_difference < TOLERANCE


def test_an_acknowledged_event_that_is_not_in_the_log_is_lost(end: End) -> None:
    end.ledger.events.append(Batch([end.ledger.events[0].new[0] | {"event_id": "gone"}], end.log.end + 1))
    assert end.verdict().lost == 1


def test_an_event_that_is_twice_in_log_and_state_is_doubled(end: End) -> None:
    end.log._seen.clear()
    end.append(end.ledger.events[0].new[:1])
    end.apply(end.state)
    assert end.verdict().doubled == 1


def test_events_that_swapped_places_in_the_log_are_wrong(end: End) -> None:
    """The state agrees with the log; the answers do not."""
    first, second = end.ledger.events[2].new[:2]
    at = end.ledger.events[2].offset - len(end.ledger.events[2].new)
    end.log.payloads[at], end.log.payloads[at + 1] = end.log.payloads[at + 1], end.log.payloads[at]
    end.state = InMemoryState()
    end.apply(end.state)
    assert end.verdict().wrong_entities == len({first["user_id"], second["user_id"]})


def test_an_event_that_reads_otherwise_than_it_was_sent_is_noted(end: End) -> None:
    end.ledger.events[0].new[0] |= {"value": 77.0}
    assert "was sent" in end.verdict().notes[0]


def test_a_state_that_missed_an_event_has_lost_it(end: End) -> None:
    log, end.log = end.log, InMemoryLog()
    end.log.offsets, end.log.timestamps, end.log.payloads = log.offsets[:-2], log.timestamps[:-2], log.payloads[:-2]
    end.state = InMemoryState()
    end.apply(end.state)
    end.state.position = replace(end.state.position, offset=log.end)
    end.log = log
    verdict = end.verdict()
    assert (verdict.lost, verdict.doubled) == (1, 0)
    assert verdict.wrong_entities > 0


def test_a_vector_that_is_off_is_wrong(end: End) -> None:
    user_id = next(iter(end.state.users))
    users = unpack_users([end.state.users[user_id]], TOY_SPEC)
    users.rows["m"][0, 0] += 3 * TOLERANCE
    end.state.users[user_id] = users.rows.tobytes() + users.pairs.tobytes()
    verdict = end.verdict()
    assert verdict.wrong_entities == 1
    assert verdict.max_vector_difference > TOLERANCE


def test_a_user_whose_record_is_gone_is_wrong_and_lost(end: End) -> None:
    user_id, blob = next(iter(end.state.users.items()))
    events = int(unpack_users([blob], TOY_SPEC).rows["events"][0])
    del end.state.users[user_id]
    verdict = end.verdict()
    assert (verdict.wrong_entities, verdict.lost) == (1, events)


def test_a_clock_that_went_back_is_noted(end: End) -> None:
    given = [number for number, at in enumerate(end.log.timestamps) if at > 1_750_000_000]
    end.log.timestamps[given[-1]] -= 3_600
    assert any("went back" in note for note in end.verdict().notes)


def test_a_catalogue_change_that_is_not_where_it_was_acknowledged_is_lost(end: End) -> None:
    end.ledger.items[0].offset += 1
    assert end.verdict().lost == 1
