"""What is said of Q/DQ graphs that break a rule advises: another quantiser's setting, target or network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.errors import LintError
from calibration.foreign_qdq import check_written_anew
from calibration.lint import lint
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.pipeline.advice.followed import check_advice

SHAPE = (16, 16, 3)
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[Scheme, onnx.ModelProto]:
    """A network quantised by edgec under both schemes, without a sign of who made it."""
    made = {}
    for scheme in Scheme:
        folder = tmp_path_factory.mktemp(scheme.name.lower())
        model = export(TinyResNet(), folder / "model.onnx").path
        produced = produce(model, lambda: [pictures(8, SHAPE)], QuantRecipe(scheme), folder)
        made[scheme] = onnx.load(produced.quantized)
        del made[scheme].metadata_props[:]
    return made


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def changed(model: onnx.ModelProto, name: str, value: object) -> None:
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    before = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, before.dtype), name))


def activation(model: onnx.ModelProto) -> onnx.NodeProto:
    """Return the first node that quantises a tensor."""
    found: onnx.NodeProto = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    return found


@pytest.mark.parametrize("way", ["symmetrically", "another target"])
def test_symmetric_quantisation_or_another_target_helps(
    way: str, networks: dict[Scheme, onnx.ModelProto], tmp_path: Path
) -> None:
    """TensorRT takes no zero points; the integer engines do."""
    file, schemes = tmp_path / "theirs.onnx", [Scheme.SYM]
    onnx.save(networks[Scheme.ASYM], file)

    def heed() -> None:
        if way == "symmetrically":
            onnx.save(networks[Scheme.SYM], file)
        else:
            schemes.append(Scheme.ASYM)

    with pytest.raises(LintError) as refused:
        check_written_anew(onnx.load(file), "theirs.onnx", schemes[-1], [])
    assert str(refused.value).endswith(
        "Quantise it symmetrically (onnxruntime: activation_type=QInt8, ActivationSymmetric=True),"
        " build for a target that takes zero points (host, arm, reference), or give edgec the float network."
    )
    heed()
    check_written_anew(onnx.load(file), "theirs.onnx", schemes[-1], [])


def test_the_float_network_helps_where_no_target_takes_a_graph(
    networks: dict[Scheme, onnx.ModelProto], tmp_path: Path
) -> None:
    model = copy_of(networks[Scheme.ASYM])
    changed(model, activation(model).input[1], -1.0)
    with pytest.raises(LintError) as refused:
        check_written_anew(model, "theirs.onnx", Scheme.ASYM, [])
    assert str(refused.value).endswith("\nGive edgec the float network: it quantises by itself.")
    network = export(TinyResNet(), tmp_path / "model.onnx").path
    made = produce(network, lambda: [pictures(8, SHAPE)], QuantRecipe(Scheme.ASYM), tmp_path)
    check_written_anew(onnx.load(made.quantized), "model.int8.onnx", Scheme.ASYM, [])


def test_a_scalar_helps_where_a_scale_has_one_dimension(
    networks: dict[Scheme, onnx.ModelProto], tmp_path: Path
) -> None:
    model, file = copy_of(networks[Scheme.SYM]), tmp_path / "theirs.onnx"
    scale = activation(model).input[1]
    value = float(numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == scale)))

    def found(number: object) -> set[str]:
        changed(model, scale, number)
        onnx.save(model, file)
        return {one.why for one in lint(file, Scheme.SYM)}

    words = "TensorRT-RTX takes it for one a channel, and runs the layer in float. Make it a scalar."
    assert found([value]) == {words}
    assert found(value) == set()


def in_integers(model: onnx.ModelProto) -> None:
    """Quantise a layer's bias to int32, with the scale of the sum."""
    layer = next(node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3)
    bias = next(one for one in model.graph.initializer if one.name == layer.input[2])
    values = numpy_helper.to_array(bias)
    stored = [("bias.q", np.rint(values / 1e-4).astype(np.int32)), ("bias.s", np.float32(1e-4))]
    stored += [("bias.z", np.int32(0))]
    for name, value in stored:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    node = onnx.helper.make_node("DequantizeLinear", [name for name, _ in stored], ["bias.d"], "bias.dq")
    model.graph.node.insert(0, node)
    layer.input[2] = "bias.d"


def test_leaving_biases_in_float32_helps(networks: dict[Scheme, onnx.ModelProto], tmp_path: Path) -> None:
    file, model = tmp_path / "theirs.onnx", copy_of(networks[Scheme.SYM])
    in_integers(model)
    onnx.save(model, file)
    check_advice(
        "Engines round biases themselves; TensorRT rejects int32. Leave the bias in float32.",
        lambda: _one_line(file),
        lambda: onnx.save(networks[Scheme.SYM], file),
        LintError,
    )


def _one_line(file: Path) -> None:
    """Raise LintError with what is said of the file's first fault."""
    for found in lint(file, Scheme.SYM):
        raise LintError(found.why)
