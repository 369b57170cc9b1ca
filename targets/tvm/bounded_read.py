"""Reads ONNX files that may be damaged or hostile: with an error instead of a crash or a full disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from targets.errors import EngineError

LARGEST_FILE = 1 << 31
_LARGEST_CONSTANT = 1 << 20
_FOLDED = frozenset(
    {"Constant", "ConstantOfShape", "Concat", "Reshape", "Slice", "Transpose", "Cast", "Gather", "Unsqueeze"}
)
"""Operators that exporters write for constant attributes such as pads; they are folded."""


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX model that holds all its data. Raises EngineError saying what is wrong with the file."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise EngineError(
                f"{path} has {size} bytes; ONNX files hold at most 2 GiB. Quantise the model first."
            )
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}.") from error
    except DecodeError as error:
        raise EngineError(f"{path} is damaged, or not an ONNX file.") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise EngineError(
                f"{path}: the data of the tensor {tensor.name!r} is in another file. Save the model as one"
                " file."
            )
    try:
        onnx.checker.check_model(model)
    except UnicodeDecodeError as error:  # the checker's own message, quoting the file
        raise EngineError(f"{path} is not a valid ONNX model: it has names that are not text.") from error
    except onnx.checker.ValidationError as error:
        raise EngineError(f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    return model


def array(tensor: onnx.TensorProto) -> NDArray[Any]:
    """Return an initialiser's value. Raises EngineError if its data does not have the size of its shape."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:  # a wrong size, shape or type
        raise EngineError(f"The tensor {tensor.name!r} is damaged ({error}).") from error


def fold(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """Return the value of a node with constant inputs; None for nodes that are not folded."""
    if node.op_type not in _FOLDED or not all(name in constants for name in node.input if name):
        return None
    feeds = {name: constants[name] for name in node.input if name}
    if (
        node.op_type == "ConstantOfShape"
        and int(np.prod(next(iter(feeds.values())).clip(0))) > _LARGEST_CONSTANT
    ):
        raise EngineError(
            f"{label(node)} claims a constant of absurd size {next(iter(feeds.values())).tolist()}."
        )
    if sum(value.nbytes for value in feeds.values()) > _LARGEST_CONSTANT:
        return None
    (value,) = ReferenceEvaluator(node).run(None, feeds)
    return np.asarray(value)


def label(node: onnx.NodeProto) -> str:
    """How a node is named to a user: its name, or its type and first output where it has none."""
    return f"{node.op_type} {node.name!r}" if node.name else f"{node.op_type} -> {node.output[0]!r}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """All attributes that the node sets."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
