"""Pools and reductions."""

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from calibration.differentiable.kernel import Inputs, Kernel, first, not_known, numbers
from calibration.differentiable.movement import padded
from calibration.differentiable.products import explicit_pads
from calibration.onnx_graph import attribute


def _max_pool(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    kernel, strides, dilations = _window(node)
    x = padded(first(inputs), explicit_pads(node), float("-inf"))
    x = padded(x, _beyond(node, x), float("-inf"))
    return functional.max_pool2d(x, kernel, strides, 0, dilations)


def _average_pool(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    """The sum of each window over the number of its values that count."""
    kernel, strides, dilations = _window(node)
    if dilations != [1, 1]:
        raise not_known(node, "dilations")
    x, pads = first(inputs), explicit_pads(node)
    counted = padded(torch.ones_like(x[:1, :1]), pads, float(attribute(node, "count_include_pad", 0)))
    x = padded(x, pads)
    beyond = _beyond(node, x)
    sums, counts = (functional.avg_pool2d(padded(part, beyond), kernel, strides) for part in (x, counted))
    return sums / counts


def _window(node: onnx.NodeProto) -> tuple[list[int], list[int], list[int]]:
    """Kernel, strides and dilations. Raises ModelError for other than two dimensions."""
    kernel = list(attribute(node, "kernel_shape"))
    if len(kernel) != 2:
        raise not_known(node, f"{len(kernel)} spatial dimensions")
    found = list(attribute(node, "strides", [1, 1])), list(attribute(node, "dilations", [1, 1]))
    return kernel, *found


def _beyond(node: onnx.NodeProto, x: Tensor) -> list[int]:
    """Pads behind an already padded map, so that a window that begins inside it, by ceil_mode, fits."""
    if not attribute(node, "ceil_mode", 0):
        return [0, 0, 0, 0]
    kernel, strides, dilations = _window(node)
    pads = explicit_pads(node)
    more = []
    for axis, size in enumerate(x.shape[2:]):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        steps = -(-(size - reach) // strides[axis])
        inside = size - pads[2 + axis]
        steps -= int(steps * strides[axis] >= inside)  # no window lies in the padding alone
        more.append(max(0, steps * strides[axis] + reach - size))
    return [0, 0, *more]


def _reduce(node: onnx.NodeProto, inputs: Inputs, how: str) -> Tensor:
    x, axes = first(inputs), numbers(node, inputs, "axes", 1)
    if not axes:
        if attribute(node, "noop_with_empty_axes", 0):
            return x
        axes = list(range(x.dim()))
    keep = bool(attribute(node, "keepdims", 1))
    found: Tensor = getattr(x, how)(axes, keepdim=keep)
    return found


KERNELS: dict[str, Kernel] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda _, inputs: first(inputs).mean((2, 3), keepdim=True),
    "GlobalMaxPool": lambda _, inputs: first(inputs).amax((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "ReduceMax": lambda node, inputs: _reduce(node, inputs, "amax"),
    "ReduceMean": lambda node, inputs: _reduce(node, inputs, "mean"),
    "ReduceMin": lambda node, inputs: _reduce(node, inputs, "amin"),
    "ReduceSum": lambda node, inputs: _reduce(node, inputs, "sum"),
}
