"""An ONNX file from anywhere, made into the form that every later stage reads.

That form: opset 17, input `image` uint8 [N, H, W, C], Cast, Sub, Mul, Transpose, then the network with batch
norms folded into convolutions, output `logits` float32 [N, classes]; of pixels, [N, classes, height, width].
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from pipeline.errors import CheckpointError
from pipeline.models.foreign import ForeignModel, description_file
from pipeline.models.original import refusals
from pipeline.task import Task
from targets.runtime.preprocess import Preprocessing

OPSET = 17


@dataclass(frozen=True)
class Input:
    """The one input of a graph; a dimension that the graph leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    element: int

    @property
    def takes_floats(self) -> bool:
        """Whether the values are normalised ones, and not pixels."""
        return self.element == TensorProto.FLOAT

    def __str__(self) -> str:
        kind = TensorProto.DataType.Name(self.element).lower()
        return f"{kind} [{', '.join('?' if side is None else str(side) for side in self.shape)}]"


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read and check a file. Raises CheckpointError."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise CheckpointError(f"{path} is no ONNX model: {str(error).splitlines()[0]}") from error
    return model


def read_input(path: Path) -> Input:
    """Return the input of a file. Raises CheckpointError unless it is one tensor of four dimensions."""
    model = read_onnx(path)
    found = _input(model)
    if found is None:
        named = ", ".join(value.name for value in model.graph.input) or "none"
        raise CheckpointError(
            f"{path} has the inputs {named}; edgec needs one, an image: four dimensions, float32 or uint8."
        )
    return found


def read_output(path: Path) -> tuple[int | None, ...]:
    """Return the shape of a file's first output; a dimension that the graph leaves open is None."""
    inferred = shape_inference.infer_shapes(read_onnx(path), data_prop=True)
    shape = inferred.graph.output[0].type.tensor_type.shape
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in shape.dim)


def _input(model: onnx.ModelProto) -> Input | None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        return None
    tensor = inputs[0].type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    kinds = (TensorProto.FLOAT, TensorProto.UINT8)
    return (
        Input(inputs[0].name, shape, tensor.elem_type)
        if len(shape) == 4 and tensor.elem_type in kinds
        else None
    )


def adopt(source: ForeignModel, dynamic_batch: bool, say: Callable[[str], None]) -> onnx.ModelProto:
    """Return the model in the form described above; `say` hears what was changed beyond that.

    Raises CheckpointError for a graph that cannot take that form.
    """
    model = _at_opset(read_onnx(source.path), source.path)
    found = read_input(source.path)
    _check_shape(source, found)
    if len(model.graph.output) != 1:
        names = ", ".join(value.name for value in model.graph.output)
        raise CheckpointError(f"{source.path} has the outputs {names}; edgec needs one, the logits.")
    _free_the_batch(model, found.name)
    model = _simplified(model, source.path)
    _drop_softmax(model, say)
    _flatten(model)
    start, scale, offset = _pixels_only(model, source, found)
    _begin_with_pixels(model, source, start, scale, offset, dynamic_batch)
    _end_with_logits(model, source)
    onnx.checker.check_model(model, full_check=True)
    return model


def normalises_itself(path: Path, layout: str, channels: int) -> bool:
    """Whether the graph begins with a normalisation, so that its float input is plain pixels."""
    model, found = read_onnx(path), read_input(path)
    pixels = Preprocessing(1, 1, channels, fit="pad")
    plain = ForeignModel(path.stem, path, layout, pixels, (0.0,) * channels, (1 / 255,) * channels)
    _, scale, offset = _pixels_only(_simplified(model, path), plain, found)
    return not (np.allclose(scale, 1) and np.allclose(offset, 0))


def _check_shape(source: ForeignModel, found: Input) -> None:
    height, width, channels = source.input_shape
    sides = (channels, height, width) if source.layout == "NCHW" else (height, width, channels)
    if any(there not in (None, said) for there, said in zip(found.shape[1:], sides, strict=True)):
        raise CheckpointError(
            f"{source.path}: its input {found.name!r} is {found}; {description_file(source.path)} says"
            f" {source.layout} with height {height}, width {width} and {channels} channels."
        )


def _at_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    (version,) = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] or [0]
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise CheckpointError(
            f"{path} has operators of {', '.join(foreign)}. Export with standard operators only."
        )
    if version == OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except (RuntimeError, onnx.checker.ValidationError) as error:
        raise CheckpointError(
            f"{path} is in opset {version} and cannot be rewritten in opset {OPSET}"
            f" ({str(error).splitlines()[0]}). Export it with opset {OPSET}."
        ) from error


def _free_the_batch(model: onnx.ModelProto, name: str) -> None:
    """Let the first dimension be any number, and forget shapes that said otherwise."""
    for value in [*model.graph.input, *model.graph.output]:
        if (value.name == name or value in model.graph.output) and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]


def _simplified(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Let onnxruntime fold constants and batch norms; "basic" is what any runtime understands."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="edgec-onnx-") as scratch:
        before, after = Path(scratch) / "before.onnx", Path(scratch) / "after.onnx"
        onnx.save(model, before)
        options.optimized_model_filepath = str(after)
        with refusals(path):
            onnxruntime.InferenceSession(str(before), options, providers=["CPUExecutionProvider"])
        found = onnx.load(after)
    kept = [opset for opset in found.opset_import if opset.domain in ("", "ai.onnx")]
    del found.opset_import[:]
    found.opset_import.extend(kept)
    return shape_inference.infer_shapes(found, data_prop=True)


def _drop_softmax(model: onnx.ModelProto, say: Callable[[str], None]) -> None:
    """Take off a last Softmax: it changes no order, and logits say more."""
    output = model.graph.output[0]
    last = next((node for node in model.graph.node if output.name in node.output), None)
    if last is not None and last.op_type in ("Softmax", "LogSoftmax") and _over_classes(last, output):
        say(f"import: the last {last.op_type} is left out; it does not change which class is first")
        model.graph.node.remove(last)
        output.name = last.input[0]


def _over_classes(softmax: onnx.NodeProto, output: onnx.ValueInfoProto) -> bool:
    """Whether it is over the second dimension; its axis is the last one if it does not say."""
    axis = next((a.i for a in softmax.attribute if a.name == "axis"), -1)
    return axis in (1, 1 - len(output.type.tensor_type.shape.dim))


def _flatten(model: onnx.ModelProto) -> None:
    """Write a Reshape to [N, anything] as Flatten, whatever computed its shape; then drop what is unused."""
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in [*model.graph.value_info, *model.graph.output]
        if value.type.tensor_type.HasField("shape")
    }
    for node in model.graph.node:
        if node.op_type == "Reshape" and ranks.get(node.output[0]) == 2:
            flat = helper.make_node("Flatten", [node.input[0]], list(node.output), node.name, axis=1)
            node.CopyFrom(flat)
    while unused := [
        node
        for node in model.graph.node
        if not any(
            name in other.input for name in node.output for other in model.graph.node if other is not node
        )
        and model.graph.output[0].name not in node.output
    ]:
        for node in unused:
            model.graph.node.remove(node)
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _pixels_only(
    model: onnx.ModelProto, source: ForeignModel, found: Input
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Take normalisation and layout out of the beginning of the graph.

    Returns the NCHW tensor that is now the beginning, and scale and offset, float64 [C]: it is pixel * scale
    + offset. Where the graph's input is float, the description's mean and std come first.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    std, mean = np.array(source.std), np.array(source.mean)
    described = found.takes_floats
    scale = 1 / (255 * std) if described else np.ones(source.channels)
    offset = -mean / std if described else np.zeros(source.channels)
    tensor, nhwc = found.name, source.layout == "NHWC"
    while True:
        readers = [node for node in model.graph.node if tensor in node.input]
        step = _affine(readers[0], tensor, constants, nhwc) if len(readers) == 1 else None
        if step is None:
            break
        factor, shift, turned = step
        if turned and not nhwc:
            break
        scale, offset, nhwc = scale * factor, offset * factor + shift, nhwc and not turned
        tensor = readers[0].output[0]
        model.graph.node.remove(readers[0])
    if nhwc:
        raise CheckpointError(
            f"{source.path}: its NHWC input is used by {readers[0].op_type if readers else 'nothing'} before"
            " a Transpose to NCHW; ONNX convolutions are NCHW."
        )
    return tensor, scale, offset


Affine = tuple[NDArray[np.float64], NDArray[np.float64], bool]


def _affine(
    node: onnx.NodeProto, tensor: str, constants: dict[str, NDArray[np.generic]], nhwc: bool
) -> Affine | None:
    """Return factor and shift, [1] or [C], of a node that acts on each value, and whether it turns NHWC."""
    one, zero = np.ones(1), np.zeros(1)
    if node.op_type in ("Cast", "Identity"):
        return one, zero, False
    if node.op_type == "Transpose":
        perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
        return (one, zero, True) if perm == [0, 3, 1, 2] else None
    other = [name for name in node.input if name != tensor]
    value = _per_channel(constants[other[0]], nhwc) if len(other) == 1 and other[0] in constants else None
    if value is None:
        return None
    first = node.input[0] == tensor
    found = {
        ("Add", True): (one, value),
        ("Add", False): (one, value),
        ("Sub", True): (one, -value),
        ("Sub", False): (-one, value),
        ("Mul", True): (value, zero),
        ("Mul", False): (value, zero),
        ("Div", True): (1 / value, zero) if value.all() else None,
    }.get((node.op_type, first))
    return None if found is None else (*found, False)


def _per_channel(constant: NDArray[np.generic], nhwc: bool) -> NDArray[np.float64] | None:
    """Return [1] or [C] if a constant broadcasts along channels only."""
    value = constant.astype(np.float64)
    place = -1 if nhwc else -3
    if value.size > 1 and (value.ndim < abs(place) or value.size != value.shape[place]):
        return None
    return value.ravel()


def _begin_with_pixels(
    model: onnx.ModelProto,
    source: ForeignModel,
    start: str,
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    dynamic_batch: bool,
) -> None:
    """Put Cast, Sub, Mul and Transpose in front, as every exported model has them."""
    mean = (-offset / scale).astype(np.float32)
    constants = [("image_mean", mean), ("image_scale", scale.astype(np.float32))]
    nodes = [
        helper.make_node("Cast", ["image"], ["image_float"], "image_cast", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["image_float", "image_mean"], ["image_centred"], "image_sub"),
        helper.make_node("Mul", ["image_centred", "image_scale"], ["image_normalised"], "image_mul"),
        helper.make_node("Transpose", ["image_normalised"], [start], "image_transpose", perm=[0, 3, 1, 2]),
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


def _end_with_logits(model: onnx.ModelProto, source: ForeignModel) -> None:
    """Name the output `logits`. Raises CheckpointError unless it has the shape that the task asks for."""
    output = model.graph.output[0]
    old = output.name
    for node in model.graph.node:
        node.output[:] = ["logits" if name == old else name for name in node.output]
        node.input[:] = ["logits" if name == old else name for name in node.input]
    output.name = "logits"
    output.type.tensor_type.ClearField("shape")
    shape = shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type.tensor_type.shape.dim
    sides = [d.dim_value or "N" for d in shape]
    _check_logits(sides, source)
    output.CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides))


def _check_logits(sides: list[int | str], source: ForeignModel) -> None:
    wanted = 4 if source.task is Task.SEGMENT else 2
    if len(sides) == wanted and "N" not in sides[1:] and not (wanted == 4 and sides[1] == 1):
        return
    advice = {
        4: f'That is a value for each pixel: say task = "segment" in {description_file(source.path)}.',
        3: "If it ends in ArgMax, export it without.",
        2: f'That is of whole images: leave task = "segment" out of {description_file(source.path)}.',
    }
    if wanted == len(sides) == 4:
        why = "Segmentation needs two classes or more, and a size that follows from the input's."
    else:
        why = advice.get(len(sides), "")
    raise CheckpointError(
        f"{source.path} gives {sides}, which is no"
        f" [N, classes{', height, width' if wanted == 4 else ''}]. {why}".rstrip()
    )
