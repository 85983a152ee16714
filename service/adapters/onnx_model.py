"""`TemporalModel` over the graphs of a bundle, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from model.process.records import Float, Records, row_inputs
from model.process.temporal_model import READ_INPUTS, UserEmbeddings, UserInputs
from model.spec import ModelSpec
from service.errors import BundleError, GraphFailed

_FAILURES = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.RuntimeException,
    ort.capi.onnxruntime_pybind11_state.EPFail,
)
"""What onnxruntime raises when a graph fails on inputs that it takes; its classes share no base but Exception."""
GRAPHS = ("update_users", "update_items", "static_items", "embed_users", "popularity", "score_pairs")


class OnnxModel:
    """One set of weights, ready to serve. threads: of each graph's own pool (1 is best for small batches)."""

    def __init__(
        self, folder: Path, spec: ModelSpec, initial_user: Float, initial_item: Float, threads: int = 1
    ) -> None:
        self.spec = spec
        self.initial_user = initial_user
        self.initial_item = initial_item
        paths = {name: folder / f"{name}.onnx" for name in GRAPHS}
        self._graphs = {name: _session(path, threads) for name, path in paths.items() if path.exists()}

    @property
    def missing(self) -> tuple[str, ...]:
        """Graphs that the folder lacks; asking one raises GraphFailed."""
        return tuple(name for name in GRAPHS if name not in self._graphs)

    def update_users(self, rows: Records) -> Float:
        return self._run("update_users", row_inputs(rows))[0]

    def update_items(self, rows: Records) -> Float:
        return self._run("update_items", row_inputs(rows))[0]

    def static_items(self, text: Float) -> Float:
        return self._run("static_items", {"text": text})[0]

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        feed = row_inputs(inputs.rows) | {name: getattr(inputs, name) for name in READ_INPUTS}
        return UserEmbeddings(*self._run("embed_users", feed))

    def popularity(self, features: Float) -> Float:
        return self._run("popularity", {"features": features})[0]

    def score_pairs(self, features: Float, query: Float) -> Float:
        return self._run("score_pairs", {"features": features, "query": query})[0]

    def _run(self, graph: str, feed: dict[str, Any]) -> list[Float]:
        if graph not in self._graphs:
            raise GraphFailed(graph, "is missing")
        try:
            outputs: list[Float] = self._graphs[graph].run(None, feed)
        except _FAILURES as exc:
            raise GraphFailed(graph, str(exc)) from exc
        return outputs

    def warm_up(self) -> None:
        """Runs every graph once and checks its widths, so that the first request pays nothing.

        Raises BundleError if a graph's inputs or outputs do not have the widths of the spec. With a graph missing
        nothing is run.
        """
        if self.missing:
            return
        from model.process.batch import Users
        from model.process.pair_features import pair_width
        from model.process.popularity import popularity_width
        from model.process.read import user_inputs
        from model.process.records import PAIR, new_items, new_users

        spec = self.spec
        zeros = np.zeros
        try:
            users = new_users(2, spec, self.initial_user)
            items = new_items(2, spec, self.initial_item)
            vectors = zeros((1, spec.dim), np.float32)
            with_pairs = Users.gather(users, [np.zeros(1, PAIR)] * 2)
            embedded = self.embed_users(user_inputs(with_pairs, zeros(2, np.int64), vectors, items[:1], spec))
            query = np.concatenate([embedded.q_pair, zeros((2, 1), np.float32)], axis=1)
            found = {
                "update_users": self.update_users(users).shape,
                "update_items": self.update_items(items).shape,
                "static_items": self.static_items(zeros((2, spec.text_dim), np.float32)).shape,
                "embed_users": embedded.h.shape + embedded.w_pop.shape[1:] + embedded.q_pair.shape[1:],
                "popularity": self.popularity(zeros((2, popularity_width(spec)), np.float32)).shape,
                "score_pairs": self.score_pairs(zeros((2, pair_width(spec)), np.float32), query).shape,
            }
        except (ValueError, ort.capi.onnxruntime_pybind11_state.InvalidArgument) as exc:
            raise BundleError(f"a graph does not take the inputs that spec.json describes: {exc}") from exc
        expected = {
            "update_users": (2, spec.dim),
            "update_items": (2, spec.item_dim),
            "static_items": (2, spec.static_dim),
            "embed_users": (2, spec.dim, spec.popularity_dim, spec.pair_dim),
            "popularity": (2, spec.popularity_dim),
            "score_pairs": (2,),
        }
        for graph, shape in expected.items():
            if found[graph] != shape:
                raise BundleError(f"{graph}.onnx answers {found[graph]} where spec.json means {shape}")


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime raises its own classes, which share no base but Exception
        raise BundleError(f"{path.name} cannot be loaded: {exc}") from exc
