"""What messages about ONNX files advise: another line in the description, or another export."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.opset import OPSET
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.models.foreign.normal_form.graphs import Shape, floats, graph, save

WEIGHTS: dict[str, NDArray[Any]] = {
    "w": floats(4, 3, 3, 3),
    "ones": np.ones(4, np.float32),
    "axes": np.array([0], np.int64),
}
CONV = helper.make_node("Conv", ["x", "w"], ["maps"])
POOL = helper.make_node("GlobalAveragePool", ["maps"], ["pooled"])
FOUR = "labels = ['a', 'b', 'c', 'd']"
FLAT = helper.make_node("Flatten", ["pooled"], ["y"])


def network(*ending: onnx.NodeProto, shape: Shape = ("N", 3, 8, 8), opset: int = OPSET) -> onnx.ModelProto:
    """A convolution and pooling, and what stands behind it: `y` from `pooled`, if nothing else is said."""
    return graph([CONV, POOL, *(ending or [FLAT])], WEIGHTS, shape=shape, opset=opset)


def with_features(*, also: bool = True) -> onnx.ModelProto:
    model = network()
    if also:
        model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", 4, 1, 1]))
    return model


def channels_last() -> onnx.ModelProto:
    turn = helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2])
    convolve = helper.make_node("Conv", ["planes", "w"], ["maps"])
    return graph([turn, convolve, POOL, FLAT], WEIGHTS, shape=("N", 9, 8, 3))


def of_pixels() -> onnx.ModelProto:
    return graph([CONV, helper.make_node("Relu", ["maps"], ["y"])], WEIGHTS)


def normed(*, training: bool) -> onnx.ModelProto:
    results = ["normed", "mean", "variance"] if training else ["normed"]
    mode = int(training)
    norm = helper.make_node("BatchNormalization", ["maps", *["ones"] * 4], results, training_mode=mode)
    pool = helper.make_node("GlobalAveragePool", ["normed"], ["pooled"])
    return graph([CONV, norm, pool, FLAT], WEIGHTS)


def of_another_domain(domain: str = "com.microsoft", operator: str = "Inverse") -> onnx.ModelProto:
    theirs = helper.make_node(operator, ["flat"], ["y"], domain=domain)
    flat = helper.make_node("Flatten", ["pooled"], ["flat"])
    return graph([CONV, POOL, flat, theirs], WEIGHTS, other_domains=[domain])


def thresholded(opset: int) -> onnx.ModelProto:
    """An operator that was experimental until opset 9, and has a definition since 10."""
    relu = helper.make_node("ThresholdedRelu", ["maps"], ["above"], alpha=0.1)
    pool = helper.make_node("GlobalAveragePool", ["above"], ["pooled"])
    return graph([CONV, relu, pool, FLAT], WEIGHTS, opset=opset)


def of_one_image() -> onnx.ModelProto:
    """Its input has no dimension of images."""
    add = helper.make_node("Unsqueeze", ["given", "axes"], ["x"])
    return graph([add, CONV, POOL, FLAT], WEIGHTS, shape=(3, 8, 8), input_name="given")


def without_output() -> onnx.ModelProto:
    model = network()
    model.graph.ClearField("output")
    return model


def of_unknown_shape(*, said: bool) -> onnx.ModelProto:
    """Its output is reshaped to a size that no inference follows, as PaddlePaddle flattens."""
    nodes = [
        helper.make_node("Shape", ["pooled"], ["all"]),
        helper.make_node("Slice", ["all", "zero", "one"], ["images"]),
        helper.make_node("Concat", ["images", "four"], ["flat"], axis=0),
        helper.make_node("Reshape", ["pooled", "flat"], ["features"]),
    ]
    sizes: dict[str, NDArray[Any]] = {
        name: np.array([n], np.int64) for name, n in (("zero", 0), ("one", 1), ("four", 4))
    }
    scores = helper.make_node("MatMul", ["features", "matrix"], ["y"])
    sizes["matrix"] = np.ones((4, 4), np.float32)
    model = graph([CONV, POOL, *nodes, scores], WEIGHTS | sizes, shape=("N", 3, 8, 8), opset=11)
    (output,) = model.graph.output
    if said:
        output.CopyFrom(helper.make_tensor_value_info("y", 1, ["N", 4]))
    else:
        output.type.tensor_type.ClearField("shape")
    return model


def along_three_dimensions() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Unsqueeze", ["maps", "depth"], ["volume"]),
        helper.make_node("Conv", ["volume", "v"], ["convolved"]),
        helper.make_node("Squeeze", ["convolved", "depth"], ["flat_again"]),
        helper.make_node("GlobalAveragePool", ["flat_again"], ["pooled"]),
    ]
    weights = WEIGHTS | {"depth": np.array([2], np.int64), "v": floats(4, 4, 1, 3, 3)}
    return graph([CONV, *nodes, FLAT], weights)


def of_nothing() -> onnx.ModelProto:
    model = network()
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("ones", TensorProto.FLOAT, [4]))
    return model


def by_parts(operator: str) -> onnx.ModelProto:
    """A Relu that a Loop or an If holds; the If looks at the image."""
    if operator == "If":
        branches = {
            name: helper.make_graph(
                [helper.make_node(one, ["maps"], [name])],
                name,
                [],
                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
            )
            for name, one in (("then", "Relu"), ("else", "Neg"))
        }
        parts = [
            helper.make_node("ReduceMax", ["maps"], ["top"], keepdims=0),
            helper.make_node("Cast", ["top"], ["any"], to=TensorProto.BOOL),
            helper.make_node(
                "If", ["any"], ["r"], then_branch=branches["then"], else_branch=branches["else"]
            ),
        ]
    else:
        going = [helper.make_tensor_value_info("go", TensorProto.BOOL, [])]
        number = [helper.make_tensor_value_info("i", TensorProto.INT64, [])]
        value, after = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("v", "v2"))
        still = [helper.make_tensor_value_info("still", TensorProto.BOOL, [])]
        nodes = [
            helper.make_node("Relu", ["v"], ["v2"]),
            helper.make_node("Identity", ["go"], ["still"]),
        ]
        body = helper.make_graph(nodes, "body", [*number, *going, value], [*still, after])
        parts = [helper.make_node("Loop", ["twice", "", "maps"], ["r"], body=body)]
    pool = helper.make_node("GlobalAveragePool", ["r"], ["pooled"])
    weights = WEIGHTS | {"twice": np.array(2, np.int64)}
    return graph([CONV, *parts, pool, FLAT], weights)


def behind(operator: str, **attributes: Any) -> onnx.ModelProto:  # noqa: ANN401 -- ONNX attributes
    last = helper.make_node(operator, ["flat"], ["y"], **attributes)
    return network(helper.make_node("Flatten", ["pooled"], ["flat"]), last)


DESCRIBED = {
    "of several outputs": (with_features(), "", "Name the one with the logits", "output = 'y'"),
    "an output's name": (with_features(), "output = 'scores'", "output = 'y'", "output = 'y'"),
    "an open size": (network(shape=("N", 3, "H", "W")), "", "Set size = [height, width]", "size = [8, 8]"),
    "open channels": (
        network(shape=("N", "C", 8, 8)),
        "",
        "Set layout = 'NHWC' or channels",
        "channels = 3",
    ),
    "channels that are last": (
        channels_last(),
        "",
        "channels, not 1 or 3. Set layout =",
        "layout = 'NHWC'",
    ),
    "a size that is another": (
        network(),
        "size = [9, 9]",
        "NCHW with height 9, width 9",
        "size = [8, 8]",
    ),
    "classes of images": (network(), "task = 'segment'", 'leave task = "segment" out', ""),
    "classes of pixels": (
        of_pixels(),
        "",
        'say task = "segment"',
        f"task = 'segment'\n{FOUR}",
    ),
    "means": (network(), "mean = [0.5, 0.5]", "Give one, or one per channel", "mean = [0.5, 0.5, 0.5]"),
    "deviations": (network(), "std = [0.0]", "all values have to be positive", "std = [0.1]"),
    "labels twice": (
        network(),
        "labels = ['a', 'b', 'c', 'a']",
        "contain 'a' twice",
        FOUR,
    ),
    "what is in front of an ArgMax": (
        behind("ArgMax", axis=1),
        "",
        "Name what is in front of that in",
        "output = 'flat'",
    ),
    "an output without an image": (
        of_nothing(),
        "",
        "Name the tensor with the logits in",
        "output = 'y'",
    ),
    "a mean of pixels": (
        network(),
        "mean = [123.675, 116.28, 103.53]\nstd = [58.395, 57.12, 57.375]",
        "Divide both by 255: mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225]",
        "mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]",
    ),
    "a deviation of pixels": (
        network(),
        "std = [255.0]",
        "mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]",
        "std = [1.0]",
    ),
    "an open normalisation": (
        network(),
        'normalisation = "undecided"',
        "Keep the mean, std and colors lines of one of its candidates",
        "mean = [0.5]",
    ),
    "a key": (network(), "sise = [8, 8]", "Did you mean 'size'", "size = [8, 8]"),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_line_in_the_description_helps(name: str, tmp_path: Path) -> None:
    model, before, words, after = DESCRIBED[name]
    path = save(model, tmp_path)
    description = path.with_suffix(".toml")
    description.write_text(before)
    check_advice(
        words,
        lambda: adopt(read_foreign(path), True, lambda _: None),
        lambda: description.write_text(after),
    )


EXPORTED = {
    "classes first": (
        behind("Transpose"),
        "so that its second dimension is the classes, and the first the images",
        network(),
    ),
    "training": (normed(training=True), "Call model.eval() and export again", normed(training=False)),
    "another domain": (of_another_domain(), "Take the model before onnxruntime optimised it", network()),
    "an operator of nobody": (
        of_another_domain("my.own", "Inverse"),
        "with standard operators only.",
        network(),
    ),
    "QONNX": (
        of_another_domain("qonnx.custom_op.general", "Quant"),
        "Export with brevitas.export.export_onnx_qcdq, or convert the file with the command qonnx-convert",
        network(),
    ),
    "AIMET": (
        of_another_domain("aimet.customop.cpu", "QcQuantizeOp"),
        "Save what sim.to_onnx_qdq()",
        network(),
    ),
    "NNCF": (
        of_another_domain("org.openvinotoolkit", "FakeQuantize"),
        '"export_to_onnx_standard_ops": true in the quantisation section',
        network(),
    ),
    "FP8": (
        of_another_domain("trt", "TRT_FP8QuantizeLinear"),
        "Quantise to INT8, which is written",
        network(),
    ),
    "weights of 4 bits": (
        of_another_domain("com.microsoft", "MatMulNBits"),
        "the network before its weights were quantised",
        network(),
    ),
    "dynamic quantisation": (
        of_another_domain("com.microsoft", "DynamicQuantizeMatMul"),
        "or quantise it with onnxruntime.quantization.quantize_static",
        network(),
    ),
    "an operator of another opset": (
        thresholded(opset=8),
        "Export it in another opset that has it",
        thresholded(opset=10),
    ),
    "one image": (of_one_image(), "Export it with a dimension of images in front", network()),
    "no output": (without_output(), "Export it again, with its scores as one", network()),
    "an unknown shape": (
        of_unknown_shape(said=False),
        "onnx.helper.make_tensor_value_info('y', 1, ['N', CLASSES])",
        of_unknown_shape(said=True),
    ),
    "a loop": (by_parts("Loop"), "by tracing, which writes every step out", network()),
    "a branch": (by_parts("If"), "Export the network by tracing, which keeps one branch", network()),
    "random numbers": (
        behind("RandomNormalLike"),
        "Leave it out of the network that is exported",
        network(),
    ),
    "a volume": (along_three_dimensions(), "Write it as a Conv2d, if one of the three", network()),
    "dilated pools": (
        graph(
            [
                CONV,
                helper.make_node("AveragePool", ["maps"], ["p"], kernel_shape=[2, 2], dilations=[2, 2]),
                helper.make_node("GlobalAveragePool", ["p"], ["pooled"]),
                FLAT,
            ],
            WEIGHTS,
            opset=22,
        ),
        "Change that operator in the network",
        network(opset=22),
    ),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_another_export_helps(name: str, tmp_path: Path) -> None:
    model, words, other = EXPORTED[name]
    path = save(model, tmp_path)
    check_advice(
        words, lambda: adopt(read_foreign(path), True, lambda _: None), lambda: save(other, tmp_path)
    )


def test_a_file_whose_names_are_not_text_is_exported_again(tmp_path: Path) -> None:
    path = save(network(), tmp_path)
    exported = path.read_bytes()
    assert exported.count(b"pooled") > 1
    path.write_bytes(exported.replace(b"pooled", b"p\xa0oled"))
    check_advice(
        "is not UTF-8, as ONNX's names must be. The file is damaged: export it again",
        lambda: adopt(read_foreign(path), True, lambda _: None),
        lambda: path.write_bytes(exported),
    )
