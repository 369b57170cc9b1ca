"""Running a float ONNX graph in torch, where gradients are wanted."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.errors import ModelError
from calibration.onnx_graph import IMAGE, OnnxGraph, attribute, node_label


class Replay:
    """A float graph in torch whose tensors can be read and differentiated, for residual networks."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self._constants: dict[str, Tensor] = {}
        computed = [
            (i, n) for i, n in enumerate(graph.nodes) if any(graph.folded(o) is None for o in n.output)
        ]
        self._steps = [(i, node, kernel_of(node)) for i, node in computed]

    def run(
        self, images: NDArray[np.uint8], keep: Sequence[str] = (), override: "Override | None" = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits for uint8 images [n, H, W, C], and the tensors named in `keep`.

        `override` is called for each node first, and may return None to leave it to the default.
        """
        values: dict[str, Tensor] = {IMAGE: torch.from_numpy(np.ascontiguousarray(images))}
        kept: dict[str, Tensor] = {}
        last = {name: i for i, node, _ in self._steps for name in node.input}
        for i, node, kernel in self._steps:
            inputs = [values[name] if name in values else self._constant(name) for name in node.input]
            result = override(i, node, inputs) if override else None
            name = node.output[0]
            values[name] = kernel(node, inputs) if result is None else result
            if name in keep:
                kept[name] = values[name]
            for used in node.input:
                if last[used] == i:
                    values.pop(used, None)
        return values[self.graph.model.graph.output[0].name], kept

    def _constant(self, name: str) -> Tensor | None:
        if name and name not in self._constants:
            value = self.graph.folded(name)
            if value is None:
                raise ModelError(f"Tensor {name!r} is used before it is computed; the graph is not in order.")
            self._constants[name] = torch.from_numpy(np.array(value))
        return self._constants.get(name)


Kernel = Callable[[onnx.NodeProto, list[Tensor | None]], Tensor]
Override = Callable[[int, onnx.NodeProto, list[Tensor | None]], Tensor | None]
"""Computes the node of an index from its inputs, or declines."""


def kernel_of(node: onnx.NodeProto) -> Kernel:
    """The torch implementation of a node's operator. Raises ModelError if there is none."""
    if node.op_type not in _KERNELS:
        raise ModelError(
            f"{node_label(node)} is a {node.op_type}, which cannot be differentiated here. "
            f"Supported: {', '.join(sorted(_KERNELS))}. Leave eq and ada out of the recipe."
        )
    return _KERNELS[node.op_type]


def _present(inputs: list[Tensor | None]) -> list[Tensor]:
    return [x for x in inputs if x is not None]


def _padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """Pad by ONNX's pads: all begins, then all ends, in the order of the axes given."""
    half = len(pads) // 2
    pairs = [int(p) for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
    return functional.pad(x, pairs, value=value)


def _conv(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:
    x, weight, *bias = _present(inputs)
    if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        raise ModelError(f"{node_label(node)} pads by itself (auto_pad). Export it with explicit pads.")
    x = _padded(x, attribute(node, "pads", [0, 0, 0, 0]))
    strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    return functional.conv2d(
        x, weight, bias[0] if bias else None, strides, 0, dilations, attribute(node, "group", 1)
    )


def _gemm(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:
    x, weight, *bias = _present(inputs)
    return functional.linear(
        x, weight if attribute(node, "transB", 0) else weight.T, bias[0] if bias else None
    )


def _max_pool(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:
    x = _padded(_present(inputs)[0], attribute(node, "pads", [0, 0, 0, 0]), value=float("-inf"))
    return functional.max_pool2d(x, attribute(node, "kernel_shape"), attribute(node, "strides", [1, 1]))


def _reduce_mean(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:
    return _present(inputs)[0].mean(attribute(node, "axes"), keepdim=bool(attribute(node, "keepdims", 1)))


def _slice(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:  # noqa: ARG001 -- all is in the inputs
    x, starts, ends, *rest = _present(inputs)
    axes = rest[0].tolist() if rest else range(len(starts))
    steps = rest[1].tolist() if len(rest) > 1 else [1] * len(starts)
    index = [slice(None)] * x.dim()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _pad(node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor:  # noqa: ARG001 -- all is in the inputs
    x, pads, *value = _present(inputs)
    return _padded(x, pads.tolist(), float(value[0]) if value else 0.0)


_KERNELS: dict[str, Kernel] = {
    "Cast": lambda _, x: _present(x)[0].float(),
    "Sub": lambda _, x: torch.sub(*_present(x)),
    "Mul": lambda _, x: torch.mul(*_present(x)),
    "Add": lambda _, x: torch.add(*_present(x)),
    "Relu": lambda _, x: _present(x)[0].relu(),
    "Transpose": lambda node, x: _present(x)[0].permute(attribute(node, "perm")),
    "Conv": _conv,
    "Gemm": _gemm,
    "MaxPool": _max_pool,
    "GlobalAveragePool": lambda _, x: _present(x)[0].mean((2, 3), keepdim=True),
    "ReduceMean": _reduce_mean,
    "Flatten": lambda node, x: _present(x)[0].flatten(attribute(node, "axis", 1)),
    "Slice": _slice,
    "Pad": _pad,
}
"""Each ONNX operator as torch does it, opset 17."""
