"""An API whose bundle lacks a graph starts, serves what it can, and names the stage."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.adapters.bundle import SPARE, load_bundle
from service.commands import bundles
from tests.http.conftest import Start
from tests.http.running import Running, event


def test_lists_are_made_without_a_graph_that_the_bundle_lacks(start: Start, tmp_path: Path) -> None:
    whole, torn = bundles.shipped(), tmp_path / "torn"
    shutil.copytree(whole, torn)
    (torn / "embed_users.onnx").unlink()
    prefix = "http-spare-bundle"
    with start(load_bundle(whole), prefix=prefix, state_timeout=5.0) as service:
        service.applied([event("ann", "a"), event("bob", "a"), event("ann", "b")])
        assert answer(service) == ("model", [])
    with start(load_bundle(torn, spare=SPARE), worker=False, prefix=prefix, state_timeout=5.0) as service:
        assert answer(service) == ("fallback", ["embed"])
        found = service.http.post("/v1/recommendations/batch", json={"user_ids": ["ann", "bob"], "k": 2}).json()
        assert [one["degraded"] for one in found["results"]] == [["embed"], ["embed"]]
        assert [item["item_id"] for item in found["results"][0]["items"]] == ["a", "b"]


def answer(service: Running) -> tuple[str, list[str]]:
    found = service.recommend("ann", k=2)
    assert {item["item_id"] for item in found["items"]} == {"a", "b"}
    return found["strategy"], found["degraded"]
