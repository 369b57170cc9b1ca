"""The functions that a classifier applies to its logits: they keep the order of classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import attribute

SHAPES_ONLY = ("Identity", "Cast", "Squeeze", "Reshape", "Flatten", "Unsqueeze")
"""Operators that only change the shape: the function over classes may come before or after them."""
FUNCTIONS = ("Softmax", "LogSoftmax", "Sigmoid")
MAPS = 4
"""The number of dimensions of [N, C, H, W]."""
AXIS_ALONE = 13
"""The first opset in which Softmax is over one axis."""


@dataclass(frozen=True)
class Ending:
    """The functions that a network applies to its logits, in order."""

    functions: tuple[str, ...]

    def __call__(self, logits: NDArray[np.floating], outputs: int) -> NDArray[np.float64]:
        """Return the network's outputs, flat, for the logits [classes, ...] of one image.

        outputs: how many values the network has; one, if it has one output for two classes.
        """
        values = logits.astype(np.float64)
        if outputs == 1 and len(values) == 2:
            values = values[1:] - values[:1]
        for function in self.functions:
            values = _applied(function, values)
        return values.ravel()

    def probabilities(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities [classes, ...] for the network's outputs [outputs, ...] of one image."""
        values = outputs.astype(np.float64)
        if len(values) == 1:
            positive = values if "Sigmoid" in self.functions else _applied("Sigmoid", values)
            return np.concatenate([1 - positive, positive])
        if not self.functions:
            return _applied("Softmax", values)
        if self.functions[-1] == "LogSoftmax":
            values = np.exp(values)
        return np.asarray(values / values.sum(0))


def ending(model: onnx.ModelProto, output: str) -> Ending:
    """Return the functions that lead to one of a model's outputs; the model is not changed."""
    return Ending(tuple(node.op_type for node in reversed(list(last_functions(model, output)))))


def last_functions(model: onnx.ModelProto, output: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that apply a function over classes, from the output backwards."""
    producers = {name: node for node in model.graph.node for name in node.output}
    shape = _OutputShape.of(model, output)
    turn = turn_to_the_end(model, output)
    classes_last = turn is not None
    node = producers.get(output)
    while node is not None:
        if turn is not None and node.output[0] == turn.output[0]:
            classes_last = False
        elif node.op_type not in SHAPES_ONLY:
            before = producers.get(node.input[0])
            is_flat = before is not None and before.op_type == "Flatten"
            if not shape.over_classes(node, is_flat, classes_last):
                return
        if node.op_type in FUNCTIONS:
            yield node
        node = producers.get(node.input[0])


def turn_to_the_end(model: onnx.ModelProto, output: str) -> onnx.NodeProto | None:
    """Return the Transpose that puts the classes of pixels last, as TensorFlow's networks have them."""
    producers = {name: node for node in model.graph.node for name in node.output}
    usual = 1 if _flattens(model) else -1
    node = producers.get(output)
    while node is not None and (
        node.op_type in ("Identity", "Cast", "Sigmoid")
        or (node.op_type in FUNCTIONS and attribute(node, "axis", usual) in (-1, 3))
    ):
        node = producers.get(node.input[0])
    turns = node is not None and node.op_type == "Transpose" and attribute(node, "perm", []) == [0, 2, 3, 1]
    return node if turns else None


@dataclass(frozen=True)
class _OutputShape:
    """The facts about an output's shape that decide what the functions in front of it are over.

    one_vector: an image has numbers along one dimension only. flattens: the opset is one in which Softmax is
    over its axis and all behind it.
    """

    dimensions: int
    last_is_classes: bool
    one_vector: bool
    flattens: bool

    @classmethod
    def of(cls, model: onnx.ModelProto, output: str) -> Self:
        """Read the declared shape; the dimensions that it leaves open are not 1."""
        declared = next(value for value in model.graph.output if value.name == output)
        sides = [dim.dim_value for dim in declared.type.tensor_type.shape.dim]
        few = len(sides) < MAPS
        return cls(
            len(sides),
            few or sides[1:-1] == [1] * (len(sides) - 2),
            few or sum(side != 1 for side in sides[1:]) <= 1,
            _flattens(model),
        )

    def over_classes(self, node: onnx.NodeProto, is_flat: bool, classes_last: bool) -> bool:
        """Whether a function is over the classes, or element by element; `is_flat`: it reads [N, values]."""
        if node.op_type == "Sigmoid":
            return True
        if node.op_type not in FUNCTIONS:
            return False
        axis = attribute(node, "axis", 1 if self.flattens else -1)
        if is_flat:
            return self.one_vector and axis in (1, -1)
        if classes_last:
            return axis in (-1, 3)
        if axis in (1, -3):
            return self.one_vector or not self.flattens
        return self.last_is_classes and (axis in (-1, 3) or (axis == 0 and self.dimensions == 1))


def _flattens(model: onnx.ModelProto) -> bool:
    """Whether Softmax is over its axis and all behind it: until opset 12, where the axis is 1 if left out."""
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    return max(versions, default=AXIS_ALONE) < AXIS_ALONE


def _applied(function: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if function == "Sigmoid":
        return np.asarray(1 / (1 + np.exp(-values)))
    shifted = values - values.max(0)
    logs = shifted - np.log(np.exp(shifted).sum(0))
    return np.asarray(np.exp(logs) if function == "Softmax" else logs)
