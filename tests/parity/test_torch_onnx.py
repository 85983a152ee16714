"""A bundle answers as its network does: every graph, one step, any batch; and it is whole."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from model.export import Graph, export, graphs
from model.presets import peregrine
from model.spec import FORMAT, ModelSpec
from model.torch_model import TorchModel
from model.training.run_folder import METRICS
from model.weights import WeightsError, load_model, save_weights

SPEC = ModelSpec(neighbours=32)
ITEMS = 10_644
GRAPHS = ("update_users", "update_items", "static_items", "embed_users", "popularity", "score_pairs")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with weights at random, large enough that every term counts."""
    torch.manual_seed(0)
    network = peregrine(SPEC)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    folder = tmp_path_factory.mktemp("run")
    save_weights(TorchModel(network), folder)
    (folder / METRICS).write_text('{"epochs": 2}')
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    export(run, run.parent / "bundle", version="v1")
    return run.parent / "bundle"


def example(graph: Graph, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of the size that a service sees: counts, gaps of up to a year, masks of 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, shape in ((name, (batch, *tensor.shape[1:])) for name, tensor in graph.inputs.items()):
        if name == "nb_type":
            inputs[name] = torch.randint(len(SPEC.event_types), shape, generator=generator)
        elif name == "pair_row":
            inputs[name] = torch.arange(batch)
        elif name in ("gap", "since", "nb_gap"):
            inputs[name] = torch.exp(torch.rand(shape, generator=generator) * 17.0)
        elif name in ("has", "nb_mask"):
            inputs[name] = torch.randint(2, shape, generator=generator).float()
        elif name in ("count", "steps", "gap_stats"):
            inputs[name] = torch.randint(40, shape, generator=generator).float()
        else:
            inputs[name] = torch.randn(shape, generator=generator)
    return inputs


def run_torch(graph: Graph, inputs: dict[str, Tensor]) -> list[np.ndarray]:
    with torch.no_grad():
        out = graph.function(*inputs.values())
    return [tensor.numpy() for tensor in (out if isinstance(out, tuple) else (out,))]


def session(bundle: Path, name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(bundle / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def graph_of(bundle: Path, name: str) -> Graph:
    (found,) = (graph for graph in graphs(load_model(bundle)) if graph.name == name)
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_torch_and_onnx_agree_on_one_step(bundle: Path, name: str) -> None:
    graph, served = graph_of(bundle, name), session(bundle, name)
    for batch in (1, 2, 257):
        inputs = example(graph, batch)
        answers = served.run(list(graph.outputs), {key: tensor.numpy() for key, tensor in inputs.items()})
        for ours, theirs in zip(run_torch(graph, inputs), answers, strict=True):
            assert theirs.dtype == np.float32
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5, strict=True)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_row_alone_gives_what_it_gives_in_any_batch(bundle: Path, name: str) -> None:
    graph, served = graph_of(bundle, name), session(bundle, name)
    inputs = example(graph, 64)
    alone = {key: tensor[5:6] for key, tensor in inputs.items()}
    if "pair_row" in alone:
        alone["pair_row"] = torch.zeros(1, dtype=torch.int64)
    for answer in (
        lambda tensors: run_torch(graph, tensors),
        lambda tensors: served.run(None, {key: tensor.numpy() for key, tensor in tensors.items()}),
    ):
        for together, single in zip(answer(inputs), answer(alone), strict=True):
            # not bitwise: BLAS picks another kernel for one row
            np.testing.assert_allclose(single[0], together[5], rtol=1e-5, atol=1e-6)


def test_rows_without_open_messages_keep_their_memory_in_the_exported_graphs(bundle: Path) -> None:
    for name in ("update_users", "update_items"):
        graph = graph_of(bundle, name)
        inputs = {key: tensor.numpy() for key, tensor in example(graph, 3).items()}
        inputs["count"][1] = 0.0
        (memory,) = session(bundle, name).run(None, inputs)
        np.testing.assert_array_equal(memory[1], inputs["m"][1])
        assert not np.allclose(memory[0], inputs["m"][0])


def test_graphs_name_their_inputs_as_the_spec_of_the_bundle_says(bundle: Path) -> None:
    for name in GRAPHS:
        graph, served = graph_of(bundle, name), session(bundle, name)
        assert [node.name for node in served.get_inputs()] == list(graph.inputs)
        assert [node.name for node in served.get_outputs()] == list(graph.outputs)
        for node in served.get_inputs():
            assert node.shape[0] == ("pairs" if node.name.startswith("pair_") else "batch")


def test_a_bundle_is_small_whole_and_says_what_it_holds(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = {path.name for path in bundle.iterdir()} - {"manifest.json"}
    assert files == {
        *(f"{name}.onnx" for name in GRAPHS),
        *("initial.safetensors", "weights.safetensors", "spec.json", "metrics.json"),
    }
    assert manifest["files"] == {name: sha256((bundle / name).read_bytes()).hexdigest() for name in files}
    assert (manifest["format"], manifest["version"]) == (FORMAT, "v1")
    assert sum(path.stat().st_size for path in bundle.iterdir()) < 10 * 2**20
    tensors = load_file(bundle / "initial.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "initial_user": (SPEC.dim,),
        "initial_item": (SPEC.item_dim,),
    }
    assert all(tensor.dtype == np.float32 for tensor in tensors.values())


def test_a_bundle_loads_as_the_run_it_came_from(run: Path, bundle: Path) -> None:
    ours, theirs = load_model(run), load_model(bundle)
    assert ours.spec == theirs.spec == SPEC
    for name, tensor in ours.network.state_dict().items():
        assert torch.equal(tensor, theirs.network.state_dict()[name]), name


def test_a_bundle_is_not_written_over_another(run: Path, bundle: Path) -> None:
    with pytest.raises(FileExistsError, match="not empty"):
        export(run, bundle, version="v2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("spec.json", None, "lacks .*spec.json"),
        ("weights.safetensors", b"torn", "do not fit together"),
        ("spec.json", b'{"dim": 30}', "do not fit together"),
        ("spec.json", b'{"preset": "unheard"}', "preset 'unheard'"),
    ],
)
def test_damaged_weights_are_refused_by_name(
    run: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_model(tmp_path)
