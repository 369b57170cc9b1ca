"""What `edgec diff` advises: a network with one fault is told so, and not once it is followed."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from benchmarks.planted.rewiring import insert_behind
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.difference.compare import compare
from pipeline.difference.side import Pictures
from tests.pipeline.difference.planted_fault import planted
from tests.pipeline.difference.small_pair import SIDE, Pair, network, pictures

RECIPE = "w8a8_asym_mse_bc"
Calibrated = Callable[[Pictures], onnx.ModelProto]
IN_BOTH = {
    "bgr": 'Give B RGB pictures, or say colors = "BGR" in its description.',
    "mean": "Use the same mean and std, in the same unit, in both.",
    "mirrored": "Use the same resize, crop and orientation (EXIF) in front of both networks.",
    "per-tensor weights": "Quantise weights per output channel with 8 bits (onnxruntime: per_channel=True).",
    "other norm": "Fold the norm's running statistics: export in evaluation mode (model.eval()).",
    "moved activation": " where A has it: turn this fusion off, or export without it.",
    "half overflow": "Leave this layer in float32, or scale the network so that it stays below 65504.",
    "shuffled channels": "Look for a reshape or transpose that takes NHWC for NCHW, or a shuffle",
    "padding side": "Make B's last like A's.",
    "class order": "Name the classes in the order of each network's outputs (labels).",
    "softmax": "Compare logits with logits: leave the last function out of B, or put it behind A.",
}
"""Remedies by a fault of the network, as its exporter or a program around it makes it."""
OF_QUANTISERS = {
    "scale of another axis": "Give each output channel its own scale: `axis` of DequantizeLinear, 0",
    "coarse activation": "The range is too wide: look for outliers in the calibration images.",
    "scale behind": "Give DequantizeLinear the scale of its QuantizeLinear.",
    "zero point": "Give DequantizeLinear the zero point of its QuantizeLinear.",
}


def remedies(a: onnx.ModelProto, b: onnx.ModelProto, shown: Pictures) -> set[str]:
    return {one.remedy for one in compare(a, b, shown).findings}


@pytest.mark.parametrize("fault", [*IN_BOTH, *OF_QUANTISERS])
def test_a_network_without_the_fault_that_is_named_has_no_finding(fault: str, pair: Pair) -> None:
    """The fault is the one thing that is planted, so taking it back is what the remedy says."""
    sound = pair.float_model if fault in IN_BOTH else pair.quantised[RECIPE]
    words = (IN_BOTH | OF_QUANTISERS)[fault]
    faulty, _ = planted(sound, fault, pair)
    (said,) = remedies(pair.float_model, faulty, pair.pictures)
    assert words in said
    assert remedies(pair.float_model, sound, pair.pictures) == set()


def test_converting_the_same_checkpoint_again_helps(pair: Pair) -> None:
    faulty, _ = planted(pair.float_model, "other weights", pair)
    words = "Convert the same checkpoint again; look for raw beside averaged (EMA) weights."
    assert remedies(pair.float_model, faulty, pair.pictures) == {words}
    assert remedies(pair.float_model, network(), pair.pictures) == set()


@pytest.fixture
def calibrated(pair: Pair, tmp_path: Path) -> Calibrated:
    """Return what quantises the network with the whole ranges of pictures."""
    onnx.save(pair.float_model, tmp_path / "model.onnx")

    def on(images: Pictures) -> onnx.ModelProto:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        recipe = QuantRecipe.parse("w8a8_asym_minmax")
        made = produce(tmp_path / "model.onnx", lambda: iter([images]), recipe, folder)
        return onnx.load(made.quantized)

    return on


def test_calibrating_on_images_like_those_of_use_helps(pair: Pair, calibrated: Calibrated) -> None:
    """Plain grey leaves ranges too narrow for usual pictures."""
    words = "Calibrate on images like those of use: the range is too narrow."
    plain = np.full_like(pair.pictures, 118)
    assert words in remedies(pair.float_model, calibrated(plain), pair.pictures)
    assert remedies(pair.float_model, calibrated(pictures(16)), pair.pictures) == set()


def flattened(last: bool, weights_for_it: bool) -> onnx.ModelProto:
    """Return the network with a last layer over every pixel, read with channels first or last."""
    model = network(resizes=False)
    nodes = [one for one in model.graph.node if one.op_type not in ("GlobalAveragePool", "Flatten", "Gemm")]
    order = [0, 2, 3, 1] if last else [0, 1, 2, 3]
    nodes.append(onnx.helper.make_node("Transpose", ["last.relu"], ["turned"], "turn", perm=order))
    weight = np.random.default_rng(2).normal(0, 1, (6, 16, SIDE // 4, SIDE // 4)).astype(np.float32)
    weight = weight.transpose(order) if weights_for_it else weight
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight.reshape(6, -1), "wide.w"))
    nodes.append(onnx.helper.make_node("Flatten", ["turned"], ["features"], "flat"))
    nodes.append(onnx.helper.make_node("Gemm", ["features", "wide.w"], ["logits"], "head", transB=1))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def test_the_right_layout_helps() -> None:
    words = "Look for a layout, NHWC or NCHW, that is taken for the other."
    a, shown = flattened(last=False, weights_for_it=False), pictures(8)
    assert remedies(a, flattened(last=True, weights_for_it=False), shown) == {words}
    assert remedies(a, flattened(last=True, weights_for_it=True), shown) == set()


def normed(training: int) -> onnx.ModelProto:
    """Return the network with a norm behind its first layer, in evaluation or training mode."""
    model, rng = network(resizes=False), np.random.default_rng(8)
    names = ["scale", "shift", "mean", "variance"]
    for name, low, high in zip(names, (0.7, -1.0, -1.0, 0.5), (1.5, 1.5, 1.5, 4), strict=True):
        value = rng.uniform(low, high, 8).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name + "s"))
    conv = next(node for node in model.graph.node if node.output[0] == "one")
    conv.output[0] = "raw"
    outputs = ["one", "next mean", "next variance"] if training else ["one"]
    inputs = ["raw", *(f"{name}s" for name in names)]
    norm = onnx.helper.make_node("BatchNormalization", inputs, outputs, "norm", training_mode=training)
    model.graph.node.insert(1 + list(model.graph.node).index(conv), norm)
    return model


def test_exporting_in_evaluation_mode_helps() -> None:
    words = "Export in evaluation mode (model.eval()), so that the norm uses its running statistics."
    shown = pictures(8)
    assert words in remedies(folded(), normed(1), shown)
    assert remedies(folded(), normed(0), shown) == set()


def folded() -> onnx.ModelProto:
    """Return `normed` with its norm in the layer's weights."""
    model = normed(0)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    factor = values["scales"] / np.sqrt(values["variances"] + np.float32(1e-5))
    changed = {
        "one.w": values["one.w"] * factor[:, None, None, None],
        "one.b": (values["one.b"] - values["means"]) * factor + values["shifts"],
    }
    for one in model.graph.initializer:
        if one.name in changed:
            one.CopyFrom(onnx.numpy_helper.from_array(changed[one.name].astype(np.float32), one.name))
    (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    model.graph.node.remove(norm)
    next(node for node in model.graph.node if node.output[0] == "raw").output[0] = "one"
    return model


def of_grey_pictures() -> onnx.ModelProto:
    model, every = network(resizes=False), np.array([1, 1, 1, 3], np.int64)
    insert_behind(model, "real", [("ReduceMean", [], {"axes": [3], "keepdims": 1}), ("Expand", [every], {})])
    return model


def test_removing_a_conversion_to_grey_helps() -> None:
    words = "Look for a conversion of colours, such as to gray, in front of B."
    a, shown = network(resizes=False), pictures(8)
    assert words in remedies(a, of_grey_pictures(), shown)
    assert remedies(a, network(resizes=False), shown) == set()


def with_a_step(operator: str, *constants: NDArray[np.float32]) -> onnx.ModelProto:
    """Return the network with an operator behind a sum's activation that nothing else takes back."""
    model = network(resizes=False)
    insert_behind(model, "sum.relu", [(operator, constants, {})])
    return model


def with_other_kernels() -> onnx.ModelProto:
    """Return the network with a layer of 1 x 1 instead of 3 x 3, as weights of another network have it."""
    model = network(resizes=False)
    layer = next(node for node in model.graph.node if node.output[0] == "one")
    for attribute in layer.attribute:
        ones = {"kernel_shape": [1, 1], "pads": [0] * 4}.get(attribute.name)
        attribute.ints[:] = ones or attribute.ints
    (weight,) = (one for one in model.graph.initializer if one.name == "one.w")
    middle = onnx.numpy_helper.to_array(weight)[:, :, 1:2, 1:2]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(middle), "one.w"))
    return model


GAINS = np.exp(np.random.default_rng(1).normal(0, 0.5, (1, 8, 1, 1))).astype(np.float32)
ADDED: dict[str, Callable[[], onnx.ModelProto]] = {
    "Remove the Tanh from B, or look for a fusion that brings it in.": lambda: with_a_step("Tanh"),
    "Use one scale on both sides of a tensor.": lambda: with_a_step("Mul", GAINS),
    "Convert the same checkpoint again.": with_other_kernels,
}


@pytest.mark.parametrize("words", ADDED)
def test_the_network_without_what_was_added_has_no_finding(words: str) -> None:
    a, shown = network(resizes=False), pictures(8)
    assert remedies(a, ADDED[words](), shown) == {words}
    assert remedies(a, network(resizes=False), shown) == set()
