"""What messages about Q/DQ graphs advise to those who give or write one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import QuantFormat

from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from targets.errors import TargetError
from targets.tvm import bounded_read
from targets.tvm.bounded_read import read_model
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures as random_pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import png, write_folder
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.quantised.forms import Form, uint8_weights
from tests.pipeline.models.foreign.quantised.others import by_onnxruntime, model, pictures, read
from tests.targets.tvm.qdq_model import QdqModel


def test_a_table_of_8_bits_helps(tmp_path: Path) -> None:
    kinds: list[tuple[float, int, type[np.generic]]] = [(1 / 32768, 0, np.int16), (1 / 128, 128, np.uint8)]

    def attempt() -> None:
        m = QdqModel(8, 8, 3, opset=21)
        x = m.quantized(m.conv(m.image(), 16, 3), 0.5, 128)
        y = m.quantized(m.node("Tanh", x), *kinds[0])
        y = m.quantized(m.node("GlobalAveragePool", y), 0.01, 128)
        import_graph(m.save(m.gemm(m.node("Flatten", y), 7, 16), tmp_path / "model.onnx"))

    words = "it can give 8. Quantise them to uint8"
    check_advice(words, attempt, lambda: kinds.pop(0), TargetError)


def test_quantising_makes_a_network_small_enough_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a limit that is between the two sizes."""
    network = export(TinyResNet(), tmp_path / "model.onnx").path
    recipe = QuantRecipe.parse("w8a8_asym")
    given = [network]

    def heed() -> None:
        ranges = collect(network, [random_pictures(4, (16, 16, 3))], recipe)
        quantize(network, ranges, recipe, tmp_path / "model.int8.onnx")
        given.append(tmp_path / "model.int8.onnx")
        assert given[-1].stat().st_size < 0.75 * network.stat().st_size

    monkeypatch.setattr(bounded_read, "LARGEST_FILE", int(0.75 * network.stat().st_size))
    words = "ONNX files hold at most 2 GiB. Quantise the model first"
    check_advice(words, lambda: read_model(given[-1]), heed, TargetError)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A quantised network, `float.onnx` that it was made from, and pictures."""
    made = by_onnxruntime(MobileNetLike, tmp_path, quant_format=QuantFormat.QDQ)
    for name in ("float.toml", "theirs.toml"):
        (tmp_path / name).write_text('fit = "stretch"\n')
    files = {f"{'test' if n < 20 else 'train'}/{n % 10}/{n}.png": png(p) for n, p in enumerate(pictures(30))}
    write_folder(tmp_path / "data", files)
    return made


def without_quantised_weights(path: Path) -> Callable[[], object]:
    """Write the file with float weights in all layers; return what puts them back."""
    whole = path.read_bytes()
    theirs = onnx.load(path)
    constants = {one.name for one in theirs.graph.initializer}
    weights = {
        node.output[0]: node.input[0]
        for node in theirs.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    assert weights
    floats = {name: onnx.numpy_helper.to_array(one) for one in theirs.graph.initializer if (name := one.name)}
    kept = [node for node in theirs.graph.node if node.output[0] not in weights]
    del theirs.graph.node[:]
    theirs.graph.node.extend(kept)
    for real, stored in weights.items():
        values = np.sin(floats[stored].astype(np.float32))  # they lie on no grid
        theirs.graph.initializer.append(onnx.numpy_helper.from_array(values, real))
    onnx.save(theirs, path)
    return lambda: path.write_bytes(whole)


@pytest.mark.parametrize("way", ["quantised first", "float"])
def test_weights_that_are_quantised_or_the_float_network_help(way: str, theirs: Path) -> None:
    given = [theirs]
    quantise = without_quantised_weights(theirs)

    def attempt() -> None:
        chosen = {"model": str(given[-1]), "data": theirs.with_name("data"), "target": "reference"}
        chosen |= {"out": theirs.with_name("out"), "calibration.images": 8}
        _ = Build(load_config(BuildConfig, None, chosen), Silent()).int8_model

    words = "whose input and weights are both quantised. Quantise it first, or give edgec the float network."
    heed = quantise if way == "quantised first" else lambda: given.append(theirs.with_name("float.onnx"))
    check_advice(words, attempt, heed)


def with_a_scale_for_each_channel() -> Form:
    nodes, constants = uint8_weights()
    constants |= {"x_s": np.array([0.01, 0.02, 0.03], np.float32), "x_z": np.full(3, 120, np.uint8)}
    for one in nodes[:2]:
        one.attribute.append(onnx.helper.make_attribute("axis", 1))
    return nodes, constants


def on_two_grids() -> Form:
    nodes, constants = uint8_weights()
    constants["other"] = np.array(0.03, np.float32)
    nodes[1].input[1] = "other"
    return nodes, constants


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (with_a_scale_for_each_channel, "Quantise activations with one scale a tensor."),
        (
            on_two_grids,
            "Quantise it without that, or give edgec the float network, which it quantises itself.",
        ),
    ],
)
def test_quantising_otherwise_helps(before: Callable[[], Form], words: str, tmp_path: Path) -> None:
    onnx.save(model(*before()), tmp_path / "theirs.onnx")
    check_advice(
        words,
        lambda: read(tmp_path / "theirs.onnx"),
        lambda: onnx.save(model(*uint8_weights()), tmp_path / "theirs.onnx"),
    )
