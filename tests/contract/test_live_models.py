"""The record of live models: each writes a generation beside the active one, and the switch is one step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.core.live_models import Live, LiveModel
from service.core.side_by_side import SideBySide
from service.core.types import Position
from service.errors import Fenced, LeaseHeld
from service.ports import GenerationEnded, UserRead
from tests.contract.commits import commit_of
from tests.contract.conftest import NewState, State
from tests.contract.test_generations import LEASE_MS, fill

pytestmark = pytest.mark.anyio

OLD, NEW = LiveModel(0, "v1", "old", "ready"), LiveModel(0, "v2", "new", since=7)


def begun(state: State) -> LiveModel:
    """The active generation at offset 5, that of a new model blank."""
    fill(state.store, "old", 5, b"old")
    return state.models.begin(NEW, OLD)


def filled(state: State, offset: int = 6) -> LiveModel:
    model = begun(state)
    fill(state.generations.of("new"), "new", offset, b"new")
    state.models.note(ready := replace(model, stage="ready"))
    return ready


async def test_without_a_rollout_no_model_is_live_and_every_bundle_means_the_active_generation(
    new_state: NewState,
) -> None:
    state = new_state()
    assert state.models.live() == Live(1)
    assert state.generations.of("any").generation == 1
    assert [store.generation for store in state.generations.written()] == [1]


async def test_a_new_model_gets_a_generation_of_its_own_beside_the_one_that_serves(new_state: NewState) -> None:
    state = new_state()
    model = begun(state)
    assert model == replace(NEW, generation=2)
    assert state.models.live() == Live(1, None, (replace(OLD, generation=1), model))
    assert (state.generations.of("new").generation, state.generations.of("old").generation) == (2, 1)
    assert state.generations.of("new").position() == Position()
    assert (await state.active.current()).number == 1
    assert [store.generation for store in state.generations.written()] == [1, 2]
    assert state.generations.next().generation == 3  # what a rebuild would make
    assert state.models.begin(replace(NEW, bundle="third"), OLD).generation == 3


async def test_a_bundle_is_live_once(new_state: NewState) -> None:
    state = new_state()
    begun(state)
    before = state.dump()
    for bundle in ("new", "old"):
        with pytest.raises(Fenced, match="live already"):
            state.models.begin(replace(NEW, bundle=bundle), OLD)
    assert state.dump() == before


async def test_no_rollout_begins_while_a_rebuild_is_under_way(new_state: NewState) -> None:
    state = new_state()
    fill(state.store, "old", 5, b"old")
    state.generations.next().acquire("rebuild", LEASE_MS)
    before = state.dump()
    with pytest.raises(LeaseHeld, match="rebuild"):
        state.models.begin(NEW, OLD)
    assert state.dump() == before


async def test_both_are_written_before_and_after_the_switch_and_after_the_way_back(new_state: NewState) -> None:
    state = new_state()
    filled(state)
    old, new = state.generations.of("old"), state.generations.of("new")
    epochs = {1: old.acquire("old", LEASE_MS), 2: new.acquire("new", LEASE_MS)}
    for offset, active in ((10, None), (11, 2), (12, 1), (13, 2)):
        if active is not None:
            assert state.models.switch(active)
            assert (await state.active.current()).number == state.generations.current().generation == active
        for store in (old, new):
            store.renew("old" if store is old else "new", LEASE_MS)
            store.commit(commit_of(epochs[store.generation], store.position().offset, offset, users={b"u": b"both"}))
    assert state.models.live().before == 1
    assert await (await state.active.current()).reader.user("u") == UserRead(b"both", 13)


async def test_the_switch_waits_until_the_new_one_is_not_behind(new_state: NewState) -> None:
    state = new_state()
    filled(state, offset=4)
    assert not state.models.switch(2)
    assert (await state.active.current()).number == 1
    new = state.generations.of("new")
    new.commit(commit_of(new.acquire("new", LEASE_MS), 4, 5))
    assert state.models.switch(2)
    assert state.models.switch(2)  # the reply was lost
    assert state.models.live().active == 2


async def test_only_what_is_live_becomes_active_and_what_is_active_is_not_given_up(new_state: NewState) -> None:
    state = new_state()
    filled(state)
    before = state.dump()
    with pytest.raises(Fenced, match="not live"):
        state.models.switch(3)
    with pytest.raises(Fenced, match="is active"):
        state.models.end(1)
    assert not state.models.end(9)
    with pytest.raises(Fenced, match="not live"):
        state.models.note(replace(NEW, generation=9))
    assert state.dump() == before


async def test_what_is_given_up_fences_its_writer_tells_its_readers_and_leaves_nothing(new_state: NewState) -> None:
    state = new_state()
    fill(state.store, "old", 5, b"old")
    state.models.note(replace(state.models.begin(NEW, OLD), stage="ready"))
    new = state.generations.of("new")
    epoch = fill(new, "new", 6, b"new")
    line = await state.active_of("new").current()
    cursor = await line.feed.cursor()
    assert (line.number, await line.feed.read(cursor, 0)) == (2, (cursor, []))
    new.release("new")
    assert state.models.end(2)
    for _ in range(2):
        with pytest.raises(Fenced):
            new.commit(commit_of(epoch, 6, 7, users={b"u": b"late"}))
    with pytest.raises(Fenced):
        new.acquire("new", LEASE_MS)
    with pytest.raises(GenerationEnded):
        await line.feed.read(cursor, 0)
    assert state.models.live() == Live(1, None, (replace(OLD, generation=1),))
    state.sleep(0.02)
    assert not state.generations.alone()
    assert state.generations.delete_retired(0.0) == 1
    assert state.generations.alone()
    assert not [key for key in state.dump() if key.rsplit(":", 1)[0].endswith(":2") or ":2:" in key]


async def test_the_way_back_is_forgotten_with_the_generation_it_leads_to(new_state: NewState) -> None:
    state = new_state()
    filled(state)
    assert state.models.switch(2)
    assert state.models.end(1)
    assert (state.models.live().active, state.models.live().before) == (2, None)


async def test_numbers_of_generations_are_not_used_again_while_their_records_may_be_there(new_state: NewState) -> None:
    state = new_state()
    begun(state)
    state.models.end(2)
    assert state.models.begin(NEW, OLD).generation == 3


@pytest.mark.parametrize(("bundle", "moved"), [("bundle", True), ("old", False)])
async def test_a_rebuild_moves_a_live_model_and_one_by_other_weights_takes_it_out(
    new_state: NewState, bundle: str, moved: bool
) -> None:
    """The commits here say that they were made by `bundle`."""
    state = new_state()
    fill(state.store, "old", 5, b"old")
    state.models.begin(NEW, replace(OLD, bundle=bundle))
    made = state.generations.next()
    assert made.generation == 3
    assert made.activate(fill(made, "rebuild", 7, b"again"))
    live = state.models.live()
    expected = [(2, "new"), (3, bundle)] if moved else [(2, "new")]
    assert (live.active, [(model.generation, model.bundle) for model in live.models]) == (3, expected)
    with pytest.raises(Fenced):
        state.store.acquire("old", LEASE_MS)
    assert (await state.active_of(bundle).current()).number == 3


async def test_a_rebuild_gives_up_when_another_model_became_active_meanwhile(new_state: NewState) -> None:
    state = new_state()
    filled(state)
    made = state.generations.next()
    epoch = fill(made, "rebuild", 7, b"again")
    assert state.models.switch(2)
    with pytest.raises(Fenced):
        made.activate(epoch)
    assert state.models.live().active == 2


async def test_erasures_wait_for_what_is_being_filled_and_not_for_what_has_caught_up(new_state: NewState) -> None:
    state = new_state()
    model = begun(state)
    assert not state.generations.alone()
    state.models.note(replace(model, stage="checking"))
    assert state.generations.alone()


async def test_replicas_say_what_they_could_serve(new_state: NewState) -> None:
    state = new_state()
    state.models.report("a", {1, 2})
    state.models.report("b", [1])
    assert state.models.replicas() == {"a": {1, 2}, "b": {1}}
    state.models.report("b", {2, 1})
    state.models.withdraw("a")
    assert state.models.replicas() == {"b": {1, 2}}


async def test_what_replicas_found_of_a_models_lists_goes_with_the_replica(new_state: NewState) -> None:
    state = new_state()
    found = SideBySide(10, 3, 2, 2, 1, 1.5, 0.75)
    state.models.report("one", [1, 2], {2: found})
    state.models.report("two", [1], {3: found + found})
    assert state.models.beside(2) == {"one": found}
    assert state.models.beside(3) == {"two": SideBySide(20, 6, 4, 4, 2, 3.0, 1.5)}
    state.models.report("one", [1, 2], {2: found + found})
    assert state.models.beside(2)["one"] - found == found
    state.models.withdraw("one")
    assert state.models.beside(2) == {}
