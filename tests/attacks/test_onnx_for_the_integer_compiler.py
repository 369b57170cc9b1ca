"""ONNX files that are damaged or hostile give one clear error: no crash, no hang, no full memory."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from targets.errors import EngineError
from targets.tvm.importer import import_graph
from tests.targets.tvm.qdq_model import QdqModel


def sound() -> onnx.ModelProto:
    m = QdqModel(8, 8, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 8, 3)), 0.5, 0)
    x = m.quantized(m.node("GlobalAveragePool", m.node("MaxPool", x, kernel_shape=[2, 2])), 0.3, 0)
    return m.model(m.gemm(m.node("Flatten", x), 4, 8))


def first(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    node: onnx.NodeProto = next(n for n in model.graph.node if n.op_type == op)
    return node


def weights(model: onnx.ModelProto) -> onnx.TensorProto:
    tensor: onnx.TensorProto = next(i for i in model.graph.initializer if len(i.dims) == 4)
    return tensor


def attribute(op: str, name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        node = first(model, op)
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def cycle(model: onnx.ModelProto) -> None:
    first(model, "Conv").input[0] = first(model, "Flatten").output[0]


def missing_initializer(model: onnx.ModelProto) -> None:
    del model.graph.initializer[3]


def duplicate_names(model: onnx.ModelProto) -> None:
    first(model, "Relu").output[0] = first(model, "Conv").output[0]


def claims_two_gigabytes(model: onnx.ModelProto) -> None:
    weights(model).dims[0] = 1 << 28


def negative_dimension(model: onnx.ModelProto) -> None:
    weights(model).dims[0] = -8


def no_channels(model: onnx.ModelProto) -> None:
    tensor = weights(model)
    tensor.dims[1] = 0
    tensor.raw_data = b""


def image_of_absurd_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40


def image_of_unknown_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "H"


def image_without_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def float_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def two_images(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.UINT8, [1, 8, 8, 3]))


def external_data(model: onnx.ModelProto) -> None:
    tensor = weights(model)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def weights_with_a_zero_point(model: onnx.ModelProto) -> None:
    name = next(
        n
        for n in model.graph.node
        if n.op_type == "DequantizeLinear" and n.attribute and n.attribute[0].i == 0
    )
    next(i for i in model.graph.initializer if i.name == name.input[2]).raw_data = b"\x05" * 8


def bias_is_not_a_number(model: onnx.ModelProto) -> None:
    name = first(model, "Conv").input[2]
    tensor = next(i for i in model.graph.initializer if i.name == name)
    tensor.raw_data = np.full(8, np.nan, np.float32).tobytes()


def constant_of_absurd_size(model: onnx.ModelProto) -> None:
    shape = helper.make_tensor("absurd", TensorProto.INT64, [3], [1 << 20, 1 << 20, 1 << 20])
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["absurd"], ["filled"], "fill"))


def tile_of_absurd_size(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(
        helper.make_tensor("repeats", TensorProto.INT64, [4], [1, 1, 1 << 20, 1 << 20])
    )
    tiled = helper.make_node("Tile", [first(model, "Relu").input[0], "repeats"], ["tiled"], "tile")
    model.graph.node.insert(list(model.graph.node).index(first(model, "Relu")), tiled)


def resize_by_computed_factors(model: onnx.ModelProto) -> None:
    before = first(model, "Relu")
    resized = helper.make_node("Resize", [before.input[0], "", before.input[0]], ["resized"], "resize")
    model.graph.node.insert(list(model.graph.node).index(before), resized)


def own_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    first(model, "Relu").domain = "com.example"


def subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    condition = helper.make_tensor("condition", TensorProto.BOOL, [], [True])
    model.graph.initializer.append(condition)
    branch = helper.make_node("If", ["condition"], ["chosen"], "choice", then_branch=body, else_branch=body)
    model.graph.node.insert(0, branch)


ATTACKS: list[Callable[[onnx.ModelProto], None]] = [
    cycle,
    missing_initializer,
    duplicate_names,
    claims_two_gigabytes,
    negative_dimension,
    no_channels,
    image_of_absurd_size,
    image_of_unknown_size,
    image_without_shape,
    float_image,
    two_images,
    external_data,
    weights_with_a_zero_point,
    bias_is_not_a_number,
    constant_of_absurd_size,
    tile_of_absurd_size,
    resize_by_computed_factors,
    own_operator,
    subgraph,
]
ATTRIBUTES = [
    ("Conv", "group", 0),
    ("Conv", "group", -1),
    ("Conv", "group", 1 << 40),
    ("Conv", "strides", [0, 1]),
    ("Conv", "strides", [1 << 40, 1]),
    ("Conv", "strides", [1]),
    ("Conv", "pads", [-1, 0, 0, 0]),
    ("Conv", "pads", [1 << 40] * 4),
    ("Conv", "dilations", [1 << 20, 1 << 20]),
    ("MaxPool", "kernel_shape", [0, 2]),
    ("MaxPool", "kernel_shape", [1 << 30, 2]),
    ("Flatten", "axis", 7),
    ("Transpose", "perm", [0, 1, 2, 3]),
    ("Gemm", "transB", 0),
]


def test_the_model_that_the_attacks_change_is_sound(tmp_path: Path) -> None:
    onnx.save(sound(), tmp_path / "model.onnx")
    assert import_graph(tmp_path / "model.onnx").classes == 4


def refuse(model: onnx.ModelProto, path: Path) -> None:
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError) as caught:
        import_graph(path)
    assert 10 < len(str(caught.value)) < 400


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda f: f.__name__)
def test_one_clear_error(attack: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    model = sound()
    attack(model)
    refuse(model, tmp_path / "model.onnx")


@pytest.mark.parametrize(("op", "name", "value"), ATTRIBUTES)
def test_an_absurd_attribute(op: str, name: str, value: object, tmp_path: Path) -> None:
    model = sound()
    attribute(op, name, value)(model)
    refuse(model, tmp_path / "model.onnx")


def test_files_that_are_no_models(tmp_path: Path) -> None:
    whole = sound().SerializeToString()
    for content in (b"", b"\0" * 1000, b"PK\3\4", whole[: len(whole) // 2]):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(EngineError):
            import_graph(tmp_path / "model.onnx")
    with pytest.raises(EngineError, match="cannot be read"):
        import_graph(tmp_path / "absent.onnx")


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_changed_bytes_never_crash(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(sound().SerializeToString())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "model.onnx"
    path.write_bytes(content)
    with suppress(EngineError):
        import_graph(path)
