"""What a new model's memory is made of: the log alone, and the texts that the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Event as Flag

import numpy as np

from model.process.records import Float
from service.core.blobs import unpack_text
from service.core.item_texts import ItemTexts
from service.core.types import ItemChange
from service.event_path import Catalogue, Filling, Lease
from service.event_path.canary import Canary
from tests.paths.test_rollout import BUNDLE, ROWS, Stage
from tests.paths.world import World
from tests.process.toy import TOY_SPEC, ToyModel


def test_two_replays_of_the_last_records_agree_and_a_memory_that_was_touched_does_not() -> None:
    stage = Stage()
    stage.fill()
    assert stage.model.checks["canary"]["least_cosine"] > 1 - 1e-6
    store, world = stage.world.generations.of("new"), World()
    world.post(ROWS[:30])
    records = stage.world.source.read(30, 100, 0)
    items = Catalogue()
    items.follow(world.generations.current(), world.state.position.item_count)
    canary = Canary(world.generations.current(), world.state.position, records, items, BUNDLE)
    world.post([*ROWS[30:59], ("d", "u", 1_000 + 9 * 59)])  # the last record is another one
    assert canary.cosine() < 0.9999
    assert canary.end == store.position().offset == 60


def test_a_model_that_reads_texts_of_another_embedder_embeds_what_the_log_holds() -> None:
    """Items put before and after, those without text, and the vectors that its own embedder made."""
    spec = TOY_SPEC.model_copy(update={"embedder": "new words", "text_dim": 4})
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Float:
        asked.extend(texts)
        return np.array([[len(text), 1, 2, 3] for text in texts], np.float32)

    stage = Stage(ROWS[:20])
    own = np.array([9, 9, 9, 9], np.float32).tobytes()
    stage.world.put([ItemChange("u", b'{"title": "tea", "brand": "b"}', "old words", own)])
    stage.world.put([ItemChange("v", b"{}"), ItemChange("w", b'{"title": "jam"}', "new words", own)])
    bundle = replace(BUNDLE, model=ToyModel(spec), texts=ItemTexts(spec, embed))
    with Lease(stage.world.generations.of("new"), "member", 60.0) as lease:
        assert Filling(lease, stage.source, stage.models, bundle, stage.model, Catalogue()).run(7, Flag())
    found = {stage.state.ids[at]: unpack_text(text) for at, text in stage.state.texts.items()}
    assert found["u"] == ("new words", np.array([6, 1, 2, 3], np.float32).tobytes())
    assert found["v"] == ("", b"")
    assert found["w"] == ("new words", own)
    assert set(asked) == {"tea. b", ""}
    assert stage.model.checks["canary"]["least_cosine"] > 1 - 1e-6
    old = stage.world.state
    assert unpack_text(old.texts[old.ids.index("u")]) == ("old words", own)
