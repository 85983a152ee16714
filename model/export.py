"""Bundles: what serving needs of a trained model, without torch.

update_users.onnx, update_items.onnx   m, sum, count, gap, steps -> memory
static_items.onnx    text -> x
embed_users.onnx     those five, since, gap_stats, habits, nb_v, nb_type, nb_gap, nb_mask, pair_features, pair_v,
                     pair_row, facets, has -> h, w_pop, q_pair
popularity.onnx      features -> p
score_pairs.onnx     features, query -> s
initial.safetensors  initial_user (d,), initial_item (d - s,)
spec.json, weights.safetensors   as in `model.weights`: a bundle can be evaluated and trained further
metrics.json         validation figures of the run
manifest.json        format, version, when it was made and by which release, fingerprint of the training data, main
                     figures of metrics.json, sha256 of every other file

All tensors are float32 but nb_type and pair_row (int64). The first axis of an input is the batch, that of pair_* the
number of all pairs.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version as release
from pathlib import Path

import onnx
import torch
from safetensors.torch import save
from torch import Tensor, nn

from model.process.pair_features import pair_width
from model.process.popularity import popularity_width
from model.process.user_features import USER_FEATURES
from model.spec import FACETS, FORMAT, ModelSpec
from model.torch_model import TorchModel
from model.training.run_folder import METRICS
from model.weights import load_model, save_weights

__all__ = ["Graph", "export", "graphs", "load_model"]

EXAMPLE_BATCH = 3
"""Rows of the tensors that graphs are traced with; one would be taken for a constant."""
INITIAL, MANIFEST = "initial.safetensors", "manifest.json"
SHOWN = ("recall@20", "ndcg@10")
"""Figures of each task that the manifest repeats."""


@dataclass(frozen=True)
class Graph:
    """A function of the network as it is exported. inputs: example tensors in order, by name."""

    name: str
    function: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


def export(run: Path, bundle: Path, version: str) -> None:
    """Makes the folder `bundle` from the folder of a run. Raises WeightsError, or FileExistsError for a full folder."""
    model = load_model(run)
    if bundle.exists() and any(bundle.iterdir()):
        raise FileExistsError(f"{bundle} is not empty")
    bundle.mkdir(parents=True, exist_ok=True)
    save_weights(model, bundle)
    network = model.network
    tensors = {name: getattr(network, name).detach() for name in ("initial_user", "initial_item")}
    (bundle / INITIAL).write_bytes(save(tensors))  # `save_file` would make a file that only its owner may read
    for graph in graphs(model):
        _write_graph(graph, bundle / f"{graph.name}.onnx")
    shutil.copyfile(run / METRICS, bundle / METRICS)
    _write_manifest(bundle, version)


def graphs(model: TorchModel) -> list[Graph]:
    """The six graphs of a bundle."""
    network, spec = model.network, model.spec
    row = _row(spec, spec.dim)
    return [
        Graph("update_users", network.update_users, row, ("memory",)),
        Graph("update_items", network.update_items, _row(spec, spec.item_dim), ("memory",)),
        Graph("static_items", network.static_items, {"text": _some(spec.text_dim)}, ("x",)),
        Graph("embed_users", _EmbedUsers(model), row | _read(spec), ("h", "w_pop", "q_pair")),
        Graph("popularity", network.popularity, {"features": _some(popularity_width(spec))}, ("p",)),
        Graph(
            "score_pairs",
            network.score_pairs,
            {"features": _some(pair_width(spec)), "query": _some(spec.pair_dim + 1)},
            ("s",),
        ),
    ]


class _EmbedUsers(nn.Module):
    """`Network.embed_users` as a module of its own, which is what the exporter takes."""

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.embed_users(*inputs)


def _some(*shape: int) -> Tensor:
    return torch.rand(EXAMPLE_BATCH, *shape)


def _row(spec: ModelSpec, memory_dim: int) -> dict[str, Tensor]:
    return {
        "m": _some(memory_dim),
        "sum": _some(spec.message_dim),
        "count": _some(),
        "gap": _some(),
        "steps": _some(),
    }


def _read(spec: ModelSpec) -> dict[str, Tensor]:
    n = spec.neighbours
    return {
        "since": _some(),
        "gap_stats": _some(2),
        "habits": _some(USER_FEATURES),
        "nb_v": _some(n, spec.dim),
        "nb_type": torch.zeros(EXAMPLE_BATCH, n, dtype=torch.int64),
        "nb_gap": _some(n),
        "nb_mask": _some(n),
        "pair_features": _some(pair_width(spec)),
        "pair_v": _some(spec.dim),
        "pair_row": torch.arange(EXAMPLE_BATCH),
        "facets": _some(len(FACETS), spec.facet_dim),
        "has": _some(len(FACETS)),
    }


def _write_graph(graph: Graph, path: Path) -> None:
    batch, pairs = torch.export.Dim("batch", min=1), torch.export.Dim("pairs", min=1)
    dynamic = tuple({0: pairs if name.startswith("pair_") else batch} for name in graph.inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            graph.function,
            tuple(graph.inputs.values()),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=(dynamic,) if isinstance(graph.function, _EmbedUsers) else dynamic,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"torch exported nothing for {graph.name}")
    proto = program.model_proto
    del proto.graph.value_info[:]  # shapes of the trace, stale for any other batch
    for part in (proto, proto.graph, *proto.graph.node, *proto.functions):
        del part.metadata_props[:]  # stack traces with the paths of the machine that exported
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _write_manifest(bundle: Path, version: str) -> None:
    files = {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(bundle.iterdir())}
    metrics = json.loads((bundle / METRICS).read_bytes())
    report = metrics.get("validation", {})
    manifest = {
        "format": FORMAT,
        "version": version,
        "created": datetime.now(UTC).isoformat(),
        "code": release("peregrine-recsys"),
        "data": metrics.get("data", {}),
        "metrics": {task: {name: strata["all"][name] for name in SHOWN} for task, strata in report.items()},
        "files": files,
    }
    (bundle / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
