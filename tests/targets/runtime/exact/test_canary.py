"""The canary runs on integer kernels, and sums that saturate change every layer with weights."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from targets.runtime.exact import session
from targets.runtime.exact.canary import Canary, canary
from targets.runtime.exact.canary_layer import ACTIVATIONS, ActivationType, LayerEnd
from targets.runtime.exact.canary_products import PRODUCTS, ProductLayer
from targets.runtime.exact.session import LADDER, exact_settings, wrong_layers

FLOAT_KERNELS = {
    "Conv",
    "FusedConv",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Concat",
    "AveragePool",
    "GlobalAveragePool",
}
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)


@every_activation
def test_it_is_a_valid_model(activation: ActivationType) -> None:
    model = onnx.load_model_from_string(canary(activation).model())
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.output) == len(canary(activation).layers) > len(PRODUCTS)


@every_activation
def test_it_runs_on_the_integer_kernels_that_whole_networks_run_on(
    activation: ActivationType, tmp_path: Path
) -> None:
    """A layer computed in float would be right everywhere and prove nothing."""
    options = LADDER[0].options(1)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(canary(activation).model(), options, providers=["CPUExecutionProvider"])
    fused = onnx.load(tmp_path / "optimised.onnx").graph.node
    in_float = {node.output[0].split("_y")[0] for node in fused if node.op_type in FLOAT_KERNELS}
    float_everywhere = {"classifier", "classifier_rows"}  # Gemm whose answer leaves as float
    if activation.element == "int8":  # ReLU in front of int8 keeps a layer in float
        float_everywhere |= {layer.name for layer in PRODUCTS if layer.end is LayerEnd.RELU}
    assert in_float == float_everywhere


@every_activation
@pytest.mark.parametrize("channels_last", [False, True])
def test_pairs_of_products_that_saturate_change_every_layer(
    activation: ActivationType, channels_last: bool
) -> None:
    bird = canary(activation)
    assert bird.wrong(list(_answers(bird))) == []
    found = bird.wrong(list(_answers(bird, saturates=True, channels_last=channels_last)))
    assert found == [layer.name for layer in PRODUCTS]


class SaturatingSession:
    """Answers a canary as a processor does whose sums of two products have 16 bits."""

    def __init__(self, bird: Canary) -> None:
        self.bird = bird

    def run(self, names: list[str], feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float64]]:
        assert set(feed) == set(self.bird.feed())
        assert names == [layer.name for layer in self.bird.layers]
        return list(_answers(self.bird, saturates=True))


def test_settings_whose_sessions_saturate_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    birds = {canary(activation).model(): canary(activation) for activation in ACTIVATIONS}
    genuine = session.open_session

    def open_session(source: bytes, threads: int, settings: session.SessionSettings) -> Any:  # noqa: ANN401 -- a session or its stand-in
        if settings in LADDER[:2]:
            return SaturatingSession(birds[source])
        return genuine(source, threads, settings)

    monkeypatch.setattr(session, "open_session", open_session)
    assert "grouped of int8 around 0" in wrong_layers(LADDER[0], 1)
    assert exact_settings.__wrapped__(1) == LADDER[2]


def _answers(
    bird: Canary, saturates: bool = False, channels_last: bool = False
) -> Iterator[NDArray[np.float64]]:
    shapes = {shape.name: shape for shape in PRODUCTS}
    stored = onnx.load_model_from_string(bird.model()).graph.initializer
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.int64) for tensor in stored}
    for layer in bird.layers:
        shape = shapes.get(layer.name)
        if shape is None or not saturates:
            yield layer.exact
            continue
        w = weights[f"{layer.name}_w"]
        w = w.T if shape.operator == "MatMul" else w
        change = _saturated(shape, layer.operands[0], w, bird.activation.ends[0], channels_last)
        halves = (2 - np.arange(shape.outputs) % 2).reshape((-1,) + (1,) * (layer.answer.ndim - 2))
        yield replace(layer, answer=layer.answer + change * halves).exact


def _saturated(
    shape: ProductLayer, x: NDArray[np.int64], weights: NDArray[np.int64], low: int, channels_last: bool
) -> NDArray[np.int64]:
    """What saturation adds to each sum. The kernels read uint8: values counted from the least."""
    if shape.rows:
        return _change(x - low, weights)
    around = ((0, 0), (0, 0), (shape.pad, shape.pad), (shape.pad, shape.pad))
    cells = np.lib.stride_tricks.sliding_window_view(np.pad(x, around), (shape.kernel,) * 2, axis=(2, 3))
    cells = cells[:, :, :: shape.stride, :: shape.stride].transpose(0, 2, 3, 1, 4, 5) - low
    inputs, outputs = shape.channels // shape.group, shape.outputs // shape.group
    found = []
    for group in range(shape.group):
        seen = cells[..., group * inputs : (group + 1) * inputs, :, :]
        own = weights[group * outputs : (group + 1) * outputs]
        if channels_last:
            seen, own = np.moveaxis(seen, 3, -1), np.moveaxis(own, 1, -1)
        found.append(_change(seen.reshape(*seen.shape[:3], -1), own.reshape(outputs, -1)))
    return np.concatenate(found, -1).transpose(0, 3, 1, 2)


def _change(x: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros((*x.shape[:-1], len(weights)), np.int64)
    for i in range(0, x.shape[-1] - 1, 2):
        pair = x[..., i, None] * weights[:, i] + x[..., i + 1, None] * weights[:, i + 1]
        total += np.clip(pair, -(2**15), 2**15 - 1) - pair
    return total
