"""The type of kernels, and functions with which they read their node."""

from collections.abc import Callable

import onnx
from torch import Tensor

from calibration.errors import ModelError
from calibration.onnx_graph import attribute, node_label

Inputs = list[Tensor | None]
"""A node's inputs; None where an optional one is left out."""
Outputs = Tensor | tuple[Tensor, ...]
Kernel = Callable[[onnx.NodeProto, Inputs], Outputs]


def present(inputs: Inputs) -> list[Tensor]:
    """The inputs that are there."""
    return [x for x in inputs if x is not None]


def first(inputs: Inputs) -> Tensor:
    """The first input, which every operator has."""
    return present(inputs)[0]


def optional(inputs: Inputs, slot: int) -> Tensor | None:
    """The input of a slot, None if it is left out."""
    return inputs[slot] if slot < len(inputs) else None


def numbers(node: onnx.NodeProto, inputs: Inputs, name: str, slot: int) -> list[int] | None:
    """Integers such as axes, which older opsets have in an attribute and newer ones in an input."""
    given = optional(inputs, slot)
    if given is not None:
        return [int(value) for value in given.flatten().tolist()]
    found = attribute(node, name)
    return None if found is None else [int(value) for value in found]


def not_known(node: onnx.NodeProto, what: str) -> ModelError:
    """The error for a form of an operator that has no kernel."""
    return ModelError(f"{node_label(node)} ({node.op_type}) has {what}, which has no gradient here")
