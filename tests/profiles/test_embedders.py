"""Text embedding: remote and cached."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from service.adapters.cached_embedder import CachedEmbedder
from service.adapters.remote_embedder import RemoteEmbedder
from service.errors import EndpointRefused, EndpointUnavailable
from tests.profiles.endpoint import FakeEndpoint, Json
from tests.profiles.words import WordEmbedder


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def remote(fake: FakeEndpoint) -> Iterator[RemoteEmbedder]:
    found = RemoteEmbedder(fake.url, "words", prefix="query: ", batch=2)
    yield found
    found.close()


def test_a_remote_embedder_gives_unit_rows_in_order(remote: RemoteEmbedder, fake: FakeEndpoint) -> None:
    texts = ["running shoe", "", "green tea", "running", "越野跑"]
    found = remote.embed(texts)
    assert found.shape == (5, fake.embedder.dim)
    assert not found[1].any()
    expected = WordEmbedder().embed([f"query: {text}" for text in texts])
    known = [0, 2, 3, 4]
    np.testing.assert_allclose(found[known], expected[known], atol=1e-6)  # one more division by the norm
    assert fake.embedder.embedded == ["a", *(f"query: {texts[at]}" for at in known)]  # the width was probed once
    assert remote.id == "words|query: "


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"data": []}, "0 rows to 1"), ({"rows": 1}, "no embeddings"),
        ({"data": [{"index": 1, "embedding": [1.0]}]}, "misnumbers"),
        ({"data": [{"index": 0, "embedding": [1e38, 1e38]}]}, "not finite"),
    ],
)  # fmt: skip
def test_answers_that_are_no_embeddings_are_refused(
    remote: RemoteEmbedder, fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, answer: Json, why: str
) -> None:
    monkeypatch.setattr(fake, "_embeddings", lambda _: answer)
    with np.errstate(over="ignore"), pytest.raises(EndpointUnavailable, match=why):
        remote.embed(["x"])


def test_another_width_than_before_is_refused(remote: RemoteEmbedder, fake: FakeEndpoint) -> None:
    remote.embed(["x"])
    fake.embedder = WordEmbedder(8)
    with pytest.raises(EndpointUnavailable, match="8 numbers a text, before 256"):
        remote.embed(["y"])


def test_nobody_there_and_a_wrong_key_are_told_apart(fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = RemoteEmbedder("http://127.0.0.1:9/v1", "words")
    with pytest.raises(EndpointUnavailable, match="ConnectError"):
        nobody.embed(["x"])
    nobody.close()
    monkeypatch.setattr(fake, "_send", lambda request, *_: request.send_error(401))
    remote = RemoteEmbedder(fake.url, "words")
    with pytest.raises(EndpointRefused):
        remote.embed(["x"])
    remote.close()


def test_a_text_is_embedded_once_while_it_is_remembered() -> None:
    inner = WordEmbedder()
    cached = CachedEmbedder(inner, size=2)
    np.testing.assert_array_equal(cached.embed(["a", "b", "a"]), WordEmbedder().embed(["a", "b", "a"]))
    cached.embed(["b", "c"])
    assert inner.embedded == ["a", "b", "c"]
    cached.embed(["a"])
    assert inner.embedded == ["a", "b", "c", "a"]
    assert cached.embed([]).shape == (0, 256)
