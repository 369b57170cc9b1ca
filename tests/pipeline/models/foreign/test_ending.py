"""Whatever stands behind the logits, edgec's are those before it, and the answer can be had back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.original import Original
from pipeline.models.foreign.rewrite import adopt
from pipeline.task import Task
from targets.reference import ReferenceTarget
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save
from tests.pipeline.models.foreign.normal_form.graphs import run as run_graph

PLAIN = Description(size=(8, 8), fit="stretch")


def run(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with ReferenceTarget().open(path) as runner:
        return runner.infer(images)


def network(*ending: onnx.NodeProto, classes: int = 4) -> onnx.ModelProto:
    """Convolution and pooling to `maps` [N, classes, 1, 1], and then `ending`, which gives `y`."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["maps"]),
        *ending,
    ]
    return graph(nodes, {"w": 9 * floats(classes, 3, 3, 3), "shape": np.array([-1, classes])} | AXES)


AXES = {"one": np.array([1]), "three": np.array([3])}


def step(operator: str, source: str, result: str = "y", *more: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - ONNX attributes
    return helper.make_node(operator, [source, *more], [result], **attributes)


ENDINGS: dict[str, Sequence[onnx.NodeProto]] = {
    "maps of 1 x 1": [step("Identity", "maps")],
    "Softmax over maps of 1 x 1": [step("Softmax", "maps", axis=1)],
    "Flatten": [step("Flatten", "maps")],
    "Softmax, then Flatten": [step("Softmax", "maps", "p", axis=1), step("Flatten", "p")],
    "Flatten, Softmax": [step("Flatten", "maps", "z"), step("Softmax", "z", axis=1)],
    "Softmax, Identity": [
        step("Flatten", "maps", "z"),
        step("Softmax", "z", "p", axis=-1),
        step("Identity", "p"),
    ],
    "Softmax, Cast": [
        step("Flatten", "maps", "z"),
        step("Softmax", "z", "p"),
        step("Cast", "p", to=onnx.TensorProto.FLOAT),
    ],
    "LogSoftmax, Squeeze": [step("LogSoftmax", "maps", "p", axis=1), step("Reshape", "p", "y", "shape")],
    "Softmax twice": [
        step("Flatten", "maps", "z"),
        step("Softmax", "z", "p", axis=1),
        step("Softmax", "p", axis=1),
    ],
    "Sigmoid": [step("Flatten", "maps", "z"), step("Sigmoid", "z")],
    "one dimension more": [step("Flatten", "maps", "z"), step("Unsqueeze", "z", "y", "one")],
    "one dimension of maps": [step("Squeeze", "maps", "y", "three")],
    "Softmax over the last of maps": [
        step("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        step("Softmax", "turned", axis=-1),
    ],
    "float64": [step("Flatten", "maps", "z"), step("Cast", "z", to=onnx.TensorProto.DOUBLE)],
}
LOST: dict[str, Sequence[onnx.NodeProto]] = {
    "ArgMax": [step("ArgMax", "maps", axis=1)],
    "ArgMax, Squeeze": [step("ArgMax", "maps", "found", axis=1), step("Squeeze", "found", "y", "three")],
    "Hardmax": [step("Flatten", "maps", "z"), step("Hardmax", "z")],
    "TopK": [
        step("Flatten", "maps", "z"),
        helper.make_node("TopK", ["z", "one"], ["y", "which"]),
    ],
    "Cast": [step("Flatten", "maps", "z"), step("Cast", "z", to=onnx.TensorProto.UINT8)],
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_logits_give_the_original_answer(name: str, tmp_path: Path) -> None:
    check_answers(network(*ENDINGS[name]), tmp_path)


def check_answers(model: onnx.ModelProto, tmp_path: Path) -> None:
    """The network without its ending gives logits, and those the original's answers."""
    source = described(save(model, tmp_path), PLAIN)
    made = adopt(source, True, lambda _: None)
    assert not {"Softmax", "LogSoftmax", "Sigmoid"} & {node.op_type for node in made.graph.node}
    onnx.save(made, tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    logits = run(tmp_path / "model.onnx", images)
    assert logits.shape == (5, 4)
    original = Original(source)
    for image, found in zip(images, logits, strict=True):
        outputs = original.infer(image)
        np.testing.assert_allclose(
            original.ending(found, outputs.size), outputs.ravel(), rtol=1e-4, atol=1e-5
        )
        assert found.argmax() == outputs.ravel().argmax()
        np.testing.assert_allclose(original.probabilities(image).sum(), 1, rtol=1e-5)


BEFORE_13: dict[str, Sequence[onnx.NodeProto]] = {
    "Softmax over maps of 1 x 1": [step("Softmax", "maps")],
    "with its axis": [step("Softmax", "maps", axis=1)],
    "of vectors": [step("Flatten", "maps", "z"), step("LogSoftmax", "z")],
}


@pytest.mark.parametrize("name", BEFORE_13)
@pytest.mark.parametrize("opset", [11, 12])
def test_until_opset_12_softmax_is_over_its_axis_and_all_behind_it(
    name: str, opset: int, tmp_path: Path
) -> None:
    model = network(*BEFORE_13[name])
    model.opset_import[0].version = opset
    check_answers(model, tmp_path)


@pytest.mark.parametrize("name", ["Squeeze, Softmax", "Gather", "Squeeze of all ones"])
@pytest.mark.parametrize("batch", [1, "N"])
def test_the_dimension_of_images_stays_where_an_export_of_one_takes_it_away(
    name: str, batch: int | str, tmp_path: Path
) -> None:
    """As `logits.squeeze(0)` and `logits[0]` leave it."""
    flat = step("Flatten", "maps", "z")
    last = {
        "Squeeze, Softmax": [flat, step("Squeeze", "z", "s", "zero"), step("Softmax", "s", axis=0)],
        "Gather": [flat, step("Gather", "z", "y", "first", axis=0)],
        "Squeeze of all ones": [step("Squeeze", "maps", "y", "ones")],
    }[name]
    model = network(*last)
    for key, value in (("zero", [0]), ("first", 0), ("ones", [0, 2, 3])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), key))
    if batch == 1:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4]))
    check_answers(model, tmp_path)


@pytest.mark.parametrize("name", LOST)
def test_where_no_class_has_a_score_of_its_own_the_message_says_what_to_leave_out(
    name: str, tmp_path: Path
) -> None:
    source = described(save(network(*LOST[name]), tmp_path), PLAIN)
    last = name.split(",", maxsplit=1)[0]
    with pytest.raises(
        CheckpointError, match=rf"ends in \w+ of {last}; .*Name what is in front.*output = '\w+'"
    ) as e:
        adopt(source, True, lambda _: None)
    named = str(e.value).rsplit("'", maxsplit=2)[1]
    heeded = described(source.path, PLAIN.model_copy(update={"output": named}))
    onnx.save(adopt(heeded, True, lambda _: None), tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    expected = [Original(heeded).infer(image).ravel() for image in images]
    np.testing.assert_allclose(run(tmp_path / "model.onnx", images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("operator", ["Squeeze", "Sigmoid"])
def test_one_number_for_each_image_is_one_output(operator: str, batch: int | str, tmp_path: Path) -> None:
    """As `logits.squeeze(1)` leaves it."""
    ending = [step("Flatten", "maps", "z"), step("Squeeze", "z", "s", "one")]
    last = step("Sigmoid", "s") if operator == "Sigmoid" else step("Identity", "s")
    model = network(*ending, last, classes=1)
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    if batch == 1:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    source = described(save(model, tmp_path), PLAIN)
    onnx.save(adopt(source, True, lambda _: None), tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    logits, original = run(tmp_path / "model.onnx", images), Original(source)
    assert logits.shape == (3, 2)
    for image, found in zip(images, logits, strict=True):
        outputs = original.infer(image)
        np.testing.assert_allclose(original.ending(found, 1), outputs.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operator", ["Squeeze", "Reshape"])
def test_the_scores_of_one_image_without_its_dimension_get_it_back(operator: str, tmp_path: Path) -> None:
    last = step("Squeeze", "maps") if operator == "Squeeze" else step("Reshape", "maps", "y", "all")
    model = network(last)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1]), "all"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4]))
    source = described(save(model, tmp_path), PLAIN)
    onnx.save(adopt(source, True, lambda _: None), tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    expected = [Original(source).infer(image) for image in images]
    np.testing.assert_allclose(run(tmp_path / "model.onnx", images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ends_in", ["Sigmoid", None])
def test_one_output_is_the_second_of_two_classes(ends_in: str | None, tmp_path: Path) -> None:
    ending = [step("Flatten", "maps", "z" if ends_in else "y")]
    ending += [step(ends_in, "z")] if ends_in else []
    source = described(save(network(*ending, classes=1), tmp_path), PLAIN)
    told: list[str] = []
    onnx.save(adopt(source, True, told.append), tmp_path / "model.onnx")
    assert any("one output for two classes" in line for line in told)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    logits = run(tmp_path / "model.onnx", images)
    original = Original(source)
    for image, found in zip(images, logits, strict=True):
        outputs = original.infer(image)
        np.testing.assert_allclose(original.ending(found, 1), outputs.ravel(), rtol=1e-4, atol=1e-5)
        softmax = np.exp(found[1]) / np.exp(found).sum()
        np.testing.assert_allclose(original.probabilities(image)[1], softmax, rtol=1e-4, atol=1e-6)


def test_of_several_outputs_one_has_to_be_named(tmp_path: Path) -> None:
    model = network(step("Flatten", "maps", "scores"), step("Neg", "scores"))
    model.graph.output.append(helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["N", 4]))
    path = save(model, tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match=r"has the outputs y, scores;.*output = 'y'"):
        adopt(described(path, PLAIN), True, lambda _: None)
    model.graph.ClearField("output")
    with pytest.raises(CheckpointError, match="has no output"):
        adopt(described(save(model, tmp_path / "none"), PLAIN), True, lambda _: None)
    with pytest.raises(CheckpointError, match="'other' is not one of them"):
        adopt(described(path, PLAIN.model_copy(update={"output": "other"})), True, lambda _: None)
    source = described(path, PLAIN.model_copy(update={"output": "scores"}))
    onnx.save(adopt(source, True, lambda _: None), tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    expected = Original(source).infer(images[0])
    np.testing.assert_allclose(run(tmp_path / "model.onnx", images)[0], expected, rtol=1e-4, atol=1e-5)


def test_maps_of_one_pixel_are_no_segmentation(tmp_path: Path) -> None:
    source = described(
        save(network(step("Identity", "maps")), tmp_path),
        PLAIN.model_copy(update={"task": Task.SEGMENT}),
    )
    with pytest.raises(CheckpointError, match=r'leave task = "segment" out of .*net\.toml'):
        adopt(source, True, lambda _: None)


@pytest.mark.parametrize("element", ["INT8", "UINT16", "INT32", "INT64", "DOUBLE", "BFLOAT16"])
def test_inputs_of_other_types_get_pixels_or_normalised_values(element: str, tmp_path: Path) -> None:
    """int8 has no place for 255: it gets pixels less 128."""
    kind = onnx.TensorProto.DataType.Value(element)
    model = network(step("Flatten", "maps"))
    model.graph.node[0].input[0] = "as_float"
    model.graph.node.insert(0, step("Cast", "x", "as_float", to=onnx.TensorProto.FLOAT))
    model.graph.input[0].type.tensor_type.elem_type = kind
    told: list[str] = []
    source = described(save(model, tmp_path), PLAIN)
    onnx.save(adopt(source, True, told.append), tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32)
    fed = pixels - 128 if element == "INT8" else pixels / 255 if element in ("DOUBLE", "BFLOAT16") else pixels
    plain = network(step("Flatten", "maps"))
    expected = run_graph(plain, fed)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", images), expected, rtol=1e-4, atol=1e-4)
    found = [Original(source).infer(image) for image in images]
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-3)  # bfloat16 has 8 bits
    assert any("pixels less 128" in line for line in told) == (element == "INT8")
