"""docs/lists.md is true: each of its requests is answered, and it shows every option that there is."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from service.api.list_queries import RecommendationQuery
from service.api.list_schemas import BatchIn, BoostIn, CapsIn, MatchIn, PinIn, RankIn, RecommendIn, WhatIfEvent
from service.api.placements import load_placements
from service.api.schemas import ItemsQuery
from service.api.shelf_schemas import ShelfQuery, SimilarUsersQuery, TrendingQuery
from tests.http.conftest import Start
from tests.http.running import Running, event

TEXT = (Path(__file__).parents[2] / "docs" / "lists.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", TEXT, flags=re.DOTALL)
(PLACEMENTS,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def shop(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("docs") / "placements.toml"
    path.write_text(PLACEMENTS)
    with start(placements=path) as running:
        running.applied([event("ada", "shoe-42"), event("bob", "boot-7")])
        method, target, body = REQUESTS[0]
        assert running.http.request(method, target, json=json.loads(body)).json()["accepted"] == 4
        yield running


def test_the_placements_are_two() -> None:
    assert set(tomllib.loads(PLACEMENTS)) == {"home", "basket"}
    assert load_placements(None) == {}


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS[1:])
def test_each_request_is_answered(shop: Running, method: str, target: str, body: str) -> None:
    answer = shop.http.request(method, target, json=json.loads(body) if body else None)
    assert answer.status_code == 200, answer.text
    if "/recommendations" in target and "batch" not in target:
        assert answer.json()["items"]


@pytest.mark.parametrize(
    "model", [RecommendIn, BatchIn, RankIn, MatchIn, BoostIn, PinIn, CapsIn, WhatIfEvent], ids=lambda m: m.__name__
)
def test_every_option_of_a_body_is_shown(model: type[BaseModel]) -> None:
    bodies = "\n".join(body for _, _, body in REQUESTS)
    shown = set(re.findall(r'"(\w+)":', bodies)) | {"cursor", "timestamp"}  # made by the service; told in the text
    assert set(model.model_fields) <= shown


@pytest.mark.parametrize(
    "model", [RecommendationQuery, ShelfQuery, TrendingQuery, SimilarUsersQuery, ItemsQuery], ids=lambda m: m.__name__
)
def test_every_parameter_of_a_query_is_shown(model: type[BaseModel]) -> None:
    shown = {name for _, target, _ in REQUESTS for name in re.findall(r"[?&](\w+)=", target)} | {"cursor"}
    assert set(model.model_fields) <= shown
