"""Text embedding by any OpenAI-style `/embeddings`. Blocking: it is called in threads, as an embedder in process is."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import httpx
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from model.process.records import Float
from service.adapters.http_endpoint import CONNECT_SECONDS, check, headers
from service.errors import EndpointUnavailable

_PROBE = "a"


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    index: int = Field(ge=0)
    embedding: list[float] = Field(min_length=1)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: list[_Row]


class RemoteEmbedder:
    """`TextEmbedder`. prefix: before each text, for models that want one; batch: texts in one request.

    Raises EndpointUnavailable and EndpointRefused. The width is that of the first answer; another one is an error.
    """

    def __init__(
        self, url: str, model: str, api_key: str | None = None, prefix: str = "", batch: int = 64, timeout: float = 30.0
    ) -> None:
        self.id = f"{model}|{prefix}" if prefix else model
        self._model = model
        self._prefix = prefix
        self._batch = batch
        self._dim = 0
        self._probing = Lock()
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers=headers(api_key),
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        )

    @property
    def dim(self) -> int:
        with self._probing:
            if not self._dim:
                self._dim = self._ask([_PROBE]).shape[1]
        return self._dim

    def embed(self, texts: Sequence[str]) -> Float:
        """(B, dim) unit vectors; zero for an empty text."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        known = [place for place, text in enumerate(texts) if text.strip()]
        for at in range(0, len(known), self._batch):
            places = known[at : at + self._batch]
            found = self._ask([self._prefix + texts[place] for place in places])
            if found.shape[1] != self._dim:
                raise EndpointUnavailable(f"the embedder answers {found.shape[1]} numbers a text, before {self._dim}")
            vectors[places] = found
        return vectors

    def _ask(self, texts: Sequence[str]) -> Float:
        """(B, d) unit vectors in the order of `texts`: answers may come in another one."""
        content = to_json({"model": self._model, "input": list(texts), "encoding_format": "float"})
        try:
            response = self._client.post("/embeddings", content=content)
        except httpx.HTTPError as exc:
            raise EndpointUnavailable(f"no answer of the embedder: {type(exc).__name__}") from None
        check(response)
        if not response.is_success:
            raise EndpointUnavailable(f"the embedder answers status {response.status_code}")
        try:
            rows = _Body.model_validate_json(response.content).data
        except ValidationError:
            raise EndpointUnavailable("the embedder answers 200 and no embeddings") from None
        if sorted(row.index for row in rows) != list(range(len(texts))):
            raise EndpointUnavailable(
                f"the embedder answers {len(rows)} rows to {len(texts)} texts, or misnumbers them"
            )
        if len({len(row.embedding) for row in rows}) != 1:
            raise EndpointUnavailable("the embedder answers rows of several widths")
        found = np.array([row.embedding for row in sorted(rows, key=lambda row: row.index)], np.float32)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise EndpointUnavailable("the embedder answers numbers that are not finite")
        unit: Float = found / np.maximum(norms, np.float32(1e-12))
        return unit

    def close(self) -> None:
        self._client.close()
