"""What a graph does to pixels before its first convolution: found, and written as exported models have it.

Networks come with their normalisation inside (TensorFlow's converters write it into the graph) or outside
(the description then says mean and std), in NCHW or NHWC. All of that is a scale and an offset a channel.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.channel_order import take_rgb
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.normal_form.read_normal import in_normal_form
from pipeline.models.foreign.onnx_file import Input, image_input, read_onnx
from pipeline.models.foreign.simplify import folded
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True)
class Start:
    """Where the network proper begins: a tensor NCHW that is pixel * scale + offset, both float64 [C]."""

    tensor: str
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def take_normalisation(model: onnx.ModelProto, source: ForeignModel, found: Input) -> Start:
    """Take normalisation and layout out of the beginning of the graph, and return what is now its start.

    Where the graph's input is float, the description's mean and std come first. Where its channels are BGR
    the first convolutions are turned to RGB. Raises CheckpointError if an NHWC input is used before it is
    turned to NCHW, or BGR by something else than a convolution.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    std, mean = np.array(source.std), np.array(source.mean)
    described = found.takes_floats
    scale = 1 / (255 * std) if described else np.ones(source.channels)
    offset = -mean / std if described else np.zeros(source.channels)
    tensor, nhwc = model.graph.input[0].name, source.layout == "NHWC"
    while True:
        readers = [node for node in model.graph.node if tensor in node.input]
        step = _step(readers[0], tensor, constants, nhwc) if len(readers) == 1 else None
        if step is None or (step.to_nchw and not nhwc):
            break
        scale, offset = scale * step.factor, offset * step.factor + step.shift
        nhwc = nhwc and not step.to_nchw
        tensor = readers[0].output[0]
        model.graph.node.remove(readers[0])
    if nhwc:
        raise CheckpointError(
            f"{source.path}: its NHWC input is used by {readers[0].op_type if readers else 'nothing'} before"
            " a Transpose to NCHW; ONNX convolutions are NCHW."
        )
    if source.colors == "BGR":
        take_rgb(model.graph, tensor, source.path)
        scale, offset = (np.broadcast_to(values, source.channels)[::-1] for values in (scale, offset))
    return Start(tensor, scale, offset)


def normalises_itself(path: Path, layout: str, channels: int) -> bool:
    """Whether the graph begins with a normalisation, so that its float input is plain pixels.

    Raises CheckpointError for a file that cannot be read, or an NHWC input that is not turned to NCHW.
    """
    model = read_onnx(path)
    found = image_input(model, path)
    model = in_normal_form(model, path)
    pixels = Preprocessing(1, 1, channels, fit="pad")
    plain = ForeignModel(
        name=path.stem,
        path=path,
        layout=layout,
        preprocessing=pixels,
        mean=(0.0,) * channels,
        std=(1 / 255,) * channels,
    )
    start = take_normalisation(folded(model, path), plain, found)
    return not (np.allclose(start.scale, 1) and np.allclose(start.offset, 0))


def begin_with_pixels(
    model: onnx.ModelProto, source: ForeignModel, start: Start, dynamic_batch: bool
) -> None:
    """Put the input `image`, Cast, Transpose, Sub and Mul in front, as every exported model has them.

    Each channel lies in one piece before it is normalised: onnxruntime takes ten times as long for a value a
    channel where the channels are last. The Cast comes first because TensorRT transposes no uint8.
    """
    mean = (-start.offset / start.scale).astype(np.float32).reshape(-1, 1, 1)
    scale = start.scale.astype(np.float32).reshape(-1, 1, 1)
    constants = [("image_mean", mean), ("image_scale", scale)]
    nodes = [
        helper.make_node("Cast", ["image"], ["image_float"], "image_cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_float"], ["image_nchw"], "image_transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["image_nchw", "image_mean"], ["image_centred"], "image_sub"),
        helper.make_node("Mul", ["image_centred", "image_scale"], [start.tensor], "image_mul"),
    ]
    kept = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    shape = ["N" if dynamic_batch else 1, *source.input_shape]
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, shape))
    if not dynamic_batch:
        for value in model.graph.output:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]


@dataclass(frozen=True)
class _Step:
    """What a node does to each value, x * factor + shift, both [1] or [C], or to the layout."""

    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    to_nchw: bool = False


def _step(
    node: onnx.NodeProto, tensor: str, constants: dict[str, NDArray[np.generic]], nhwc: bool
) -> _Step | None:
    """Return what a node that reads `tensor` does; None if it is not a step of a normalisation."""
    if node.op_type in ("Cast", "Identity"):
        return _Step(np.ones(1), np.zeros(1))
    if node.op_type == "Transpose":
        turned = attribute(node, "perm", []) == [0, 3, 1, 2]
        return _Step(np.ones(1), np.zeros(1), to_nchw=True) if turned else None
    other = [name for name in node.input if name != tensor]
    value = _per_channel(constants[other[0]], nhwc) if len(other) == 1 and other[0] in constants else None
    return None if value is None else _arithmetic(node.op_type, node.input[0] == tensor, value)


def _arithmetic(operator: str, first: bool, value: NDArray[np.float64]) -> _Step | None:
    """Return what an operator does with a constant; `first`: the tensor is its first input."""
    one, zero = np.ones(1), np.zeros(1)
    return {
        ("Add", True): _Step(one, value),
        ("Add", False): _Step(one, value),
        ("Sub", True): _Step(one, -value),
        ("Sub", False): _Step(-one, value),
        ("Mul", True): _Step(value, zero),
        ("Mul", False): _Step(value, zero),
        ("Div", True): _Step(1 / value, zero) if value.all() else None,
    }.get((operator, first))


def _per_channel(constant: NDArray[np.generic], nhwc: bool) -> NDArray[np.float64] | None:
    """Return [1] or [C] if a constant broadcasts along channels only."""
    value = constant.astype(np.float64)
    place = -1 if nhwc else -3
    if value.size > 1 and (value.ndim < abs(place) or value.size != value.shape[place]):
        return None
    return value.ravel()
