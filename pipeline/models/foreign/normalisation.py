"""Finds what a graph does to pixels before its first convolution, and writes it as in exported models.

Networks come with their normalisation inside (TensorFlow's converters write it into the graph) or outside
(the description then has mean and std), in NCHW or NHWC. All of that is a scale and an offset per channel, a
channel order, and a border.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.normal_form.read_normal import in_normal_form
from pipeline.models.foreign.onnx_file import Input, image_input, read_onnx
from pipeline.models.foreign.rehearsal import rehearse_shapes
from pipeline.models.foreign.replaced_nodes import replace_nodes
from pipeline.models.foreign.simplify import folded
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True)
class Border:
    """Constant pixels around the images: top, left, bottom, right; their value a channel, float64 [C]."""

    pads: tuple[int, int, int, int]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """The tensor where the actual network begins: each of its channels is pixel * scale + offset.

    scale and offset: float64 [C], in the order of the tensor's own channels; order: which channel of RGB
    pixels each one is. nhwc: whether the network takes channels last. border: the padding in front of it.
    """

    tensor: str
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    order: tuple[int, ...]
    nhwc: bool = False
    border: Border | None = None

    def behind(self, tensor: str, step: "_Step") -> "Start":
        """Return the start behind a node that does this step."""
        order = self.order if step.order is None else tuple(self.order[k] for k in step.order)
        scale, offset = (
            values if step.order is None else np.broadcast_to(values, len(order))[list(step.order)]
            for values in (self.scale, self.offset)
        )
        border = step.border or self.border
        if step.border is None and border is not None:
            value = border.value
            if step.order is not None:
                value = np.broadcast_to(value, len(order))[list(step.order)]
            border = replace(border, value=value * step.factor + step.shift)
        return Start(
            tensor,
            scale * step.factor,
            offset * step.factor + step.shift,
            order,
            self.nhwc and not step.to_nchw,
            border,
        )


def take_normalisation(model: onnx.ModelProto, source: ForeignModel, found: Input) -> Start:
    """Remove normalisation, layout and padding from the beginning of the graph; return where the rest starts.

    Where the graph's input is float, the description's mean and std come first, and its order of channels.
    An int8 input is pixels less 128.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    std, mean = np.array(source.std), np.array(source.mean)
    described = found.takes_floats
    order = tuple(range(source.channels))
    start = Start(
        model.graph.input[0].name,
        1 / (255 * std) if described else np.ones(source.channels),
        -mean / std if described else np.full(source.channels, -float(found.pixels_less)),
        order[::-1] if source.colors == "BGR" else order,
        source.layout == "NHWC",
    )
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    taken: dict[str, tuple[onnx.NodeProto, ...]] = {}
    while len(reading := readers.get(start.tensor, [])) == 1:
        step = _step(reading[0], start, constants)
        if step is None:
            break
        start = start.behind(reading[0].output[0], step)
        taken[start.tensor] = ()
    replace_nodes(model.graph, taken)
    return start


def normalises_itself(path: Path, layout: str, channels: int) -> bool:
    """Whether the graph begins with a normalisation, so that its float input is plain pixels.

    Raises CheckpointError for a file that cannot be read.
    """
    model = read_onnx(path)
    found = image_input(model, path)
    rehearse_shapes(model, path)
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

    The Transpose comes before the normalisation, since onnxruntime broadcasts a value per channel ten times
    slower if the channels are last. The Cast comes first, since TensorRT does not transpose uint8.
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
    """A node's effect: x * factor + shift on each value, both [1] or [C]; or on layout, order or border."""

    factor: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    to_nchw: bool = False
    order: tuple[int, ...] | None = None
    border: Border | None = None


def _step(node: onnx.NodeProto, start: Start, constants: dict[str, NDArray[np.generic]]) -> _Step | None:
    """Return what a node that reads the start does; None if it is not a step of a normalisation."""
    given = [constants.get(name) for name in node.input if name != start.tensor and name]
    if any(value is None for value in given):
        return None
    values = [value for value in given if value is not None]
    if node.op_type in ("Cast", "Identity"):
        return _Step()
    if node.op_type in ("Transpose", "Reshape"):
        return _Step(to_nchw=True) if _turns(node, start, values) else None
    if node.op_type == "Pad":
        border = _border(node, start, values) if start.border is None else None
        return None if border is None else _Step(border=border)
    if node.op_type in ("Gather", "Slice"):
        order = _order(node, start, values)
        return None if order is None else _Step(order=order)
    value = _per_channel(values[0], start.nhwc) if len(values) == 1 else None
    return None if value is None else _arithmetic(node.op_type, node.input[0] == start.tensor, value)


def _turns(node: onnx.NodeProto, start: Start, values: list[NDArray[np.generic]]) -> bool:
    """Whether a node turns NHWC to NCHW. Of one channel TensorFlow's converter writes that as a Reshape."""
    if not start.nhwc:
        return False
    if node.op_type == "Transpose":
        return bool(attribute(node, "perm", []) == [0, 3, 1, 2])
    return len(start.order) == 1 and values[0].size == 4 and int(values[0].ravel()[1]) == 1


def _border(node: onnx.NodeProto, start: Start, values: list[NDArray[np.generic]]) -> Border | None:
    """Return what a Pad of constant pixels in front of height and width adds."""
    if attribute(node, "mode", b"constant") != b"constant" or not values or values[0].size != 8:
        return None
    begin, end = values[0].astype(np.int64).reshape(2, 4)
    height, width = (1, 2) if start.nhwc else (2, 3)
    others = [axis for axis in range(4) if axis not in (height, width)]
    if begin[others].any() or end[others].any() or min(*begin, *end) < 0:
        return None
    pads = (int(begin[height]), int(begin[width]), int(end[height]), int(end[width]))
    return Border(pads, np.array(values[1] if len(values) > 1 else 0.0, np.float64).reshape(-1)[:1])


def _order(node: onnx.NodeProto, start: Start, values: list[NDArray[np.generic]]) -> tuple[int, ...] | None:
    """Return which channel each one becomes, where a node only moves them: RGB to BGR, mostly."""
    channels, place = len(start.order), 3 if start.nhwc else 1
    numbers = [value.astype(np.int64).ravel().tolist() for value in values]
    if node.op_type == "Gather":
        if int(attribute(node, "axis", 0)) % 4 != place or values[0].ndim != 1:
            return None
        found = [index % channels for index in numbers[0]]
    else:  # Slice has starts, ends, axes and steps
        if len(numbers) != 4 or [axis % 4 for axis in numbers[2]] != [place]:
            return None
        ends = None if numbers[1][0] < -channels else numbers[1][0]
        found = list(range(channels))[slice(numbers[0][0], ends, numbers[3][0])]
    return tuple(found) if sorted(found) == list(range(channels)) else None


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
