"""Reads any ONNX file: the model, its input and its output."""

import re
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it
from onnx import TensorProto, numpy_helper, shape_inference

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.ending import turn_to_the_end
from pipeline.models.foreign.external_data import external_files
from pipeline.models.foreign.graph_size import count_nodes
from pipeline.models.foreign.normal_form.conventions import (
    drop_unread_inputs,
    write_nodes_in_order,
    write_one_default_domain,
)
from pipeline.models.foreign.normal_form.decided_branches import write_stored_branches
from pipeline.models.foreign.rehearsal import rehearse_shapes

Shape = tuple[int | None, ...]
"""The dimensions of a tensor; None if the graph leaves one open."""


TENSORFLOW_CALLS = ("StatefulPartitionedCall", "PartitionedCall")
"""What tf2onnx leaves of a graph whose functions were not written out before."""
UNKNOWN = re.compile(r"No Op registered for (\w+) with domain_version of (\d+)")
"""What ONNX's checker says of operators that it does not know."""
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
PIXELS = (
    *(TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16),
    *(TensorProto.INT32, TensorProto.INT64),
)
"""Types of inputs that take pixels from 0 to 255; int8 takes them less `INT8_CENTRE`."""
INT8_CENTRE = 128
INVALID = (OSError, DecodeError, shape_inference.InferenceError, ValueError)
"""What reading a file that is not valid ONNX raises, besides the checker's own errors."""


@dataclass(frozen=True)
class Input:
    """The one input of a graph; `element` is its ONNX element type."""

    name: str
    shape: Shape
    element: int

    @property
    def takes_floats(self) -> bool:
        """Whether the input takes normalised values, and not pixels."""
        return self.element in FLOATS

    @property
    def pixels_less(self) -> int:
        """Return what is taken from a pixel where the input takes pixels, and not normalised values."""
        return INT8_CENTRE if self.element == TensorProto.INT8 else 0

    def sides(self, layout: str) -> Shape:
        """Return height, width and channels for a layout, NCHW or NHWC."""
        return tuple(self.shape[i] for i in ((2, 3, 1) if layout == "NCHW" else (1, 2, 3)))

    def __str__(self) -> str:
        kind = TensorProto.DataType.Name(self.element).lower()
        return f"{kind} [{', '.join('?' if side is None else str(side) for side in self.shape)}]"


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read and check a file: nodes in order, the default domain spelled "", branches that it decides taken.

    Raises CheckpointError.
    """
    external_files(path)  # its messages about data files are better than those of onnx.load
    try:
        model = onnx.load(path)
        count_nodes(model, path)
        write_one_default_domain(model)
        write_nodes_in_order(model)
        drop_unread_inputs(model)
        if not all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
            model = shape_inference.infer_shapes(model)  # some exporters leave them out
            _refuse_unknown_shapes(model, path)
        onnx.checker.check_model(model)
        for tensor in model.graph.initializer:
            numpy_helper.to_array(tensor)  # the checker does not compare a constant's bytes with its shape
        _refuse_wrong_groups(model, path)
        write_stored_branches(model)
    except onnx.checker.ValidationError as error:
        if gone := UNKNOWN.search(str(error)):
            raise _unknown_operator(path, gone[1], gone[2]) from error
        raise CheckpointError(f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    except INVALID as error:
        raise CheckpointError(f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    return model


def _unknown_operator(path: Path, operator: str, opset: str) -> CheckpointError:
    if operator in TENSORFLOW_CALLS:
        return CheckpointError(
            f"{path} calls a function of TensorFlow ({operator}) that the file does not hold. Convert the"
            " SavedModel or the Keras network itself, which writes its operators out: python -m"
            " tf2onnx.convert --saved-model FOLDER --output net.onnx, or tf2onnx.convert.from_keras."
        )
    return CheckpointError(
        f"{path} has the operator {operator}, which ONNX does not define in opset {opset}. Export it in"
        " another opset that has it, or without that operator."
    )


def _refuse_wrong_groups(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError for convolutions whose kernels cannot be parted into their groups."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "ConvInteger"):
            continue
        groups = int(attribute(node, "group", 1))
        kernels = next(iter(shapes.get(node.input[1], ())), 0)
        if groups < 1 or kernels % groups:
            raise CheckpointError(
                f"{path} is not a valid ONNX model: its {node.op_type} {node.output[0]!r} has {kernels}"
                f" kernels in {groups} groups. Export the model again."
            )


def _refuse_unknown_shapes(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError if no shape follows for an output: the checker would not say what to do."""
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise CheckpointError(
                f"{path} does not say the shape of its output {value.name!r}, and none follows. Write it into"
                f" the file: onnx.helper.make_tensor_value_info({value.name!r}, 1, ['N', CLASSES])"
            )


def read_input(path: Path) -> Input:
    """Return the input of a file. Raises CheckpointError unless it is one tensor of four dimensions."""
    return image_input(read_onnx(path), path)


def image_input(model: onnx.ModelProto, path: Path) -> Input:
    """Return the input of a model that was read from `path`. Raises CheckpointError as `read_input` does."""
    found = _input(model)
    if found is None:
        named = ", ".join(map(_told, model.graph.input)) or "none"
        raise CheckpointError(
            f"{path} has the inputs {named}; edgec needs a single one, an image with four dimensions in"
            " floats or whole numbers. Export it with a dimension of images in front, and all else as"
            " constants."
        )
    return found


def _told(value: onnx.ValueInfoProto) -> str:
    """An input's name, with its type where it is a tensor."""
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    sides = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
    return f"{value.name} ({kind} [{sides}])" if value.type.HasField("tensor_type") else value.name


def read_output(path: Path) -> Shape:
    """Return the shape of a file's first output, with the classes second.

    Raises CheckpointError if it is not an ONNX model.
    """
    model = read_onnx(path)
    rehearse_shapes(model, path)
    model = shape_inference.infer_shapes(model, data_prop=True)
    shape = _shape(model.graph.output[0])
    turned = turn_to_the_end(model, model.graph.output[0].name) is not None
    return (shape[0], shape[3], shape[1], shape[2]) if turned and len(shape) == 4 else shape


def _input(model: onnx.ModelProto) -> Input | None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        return None
    found = Input(inputs[0].name, _shape(inputs[0]), inputs[0].type.tensor_type.elem_type)
    is_image = len(found.shape) == 4 and found.element in (*FLOATS, *PIXELS)
    return found if is_image else None


def _shape(value: onnx.ValueInfoProto) -> Shape:
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dimensions)
