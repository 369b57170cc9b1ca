"""Collects the nodes of the ONNX graph of a .tflite network, channels second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from pipeline.difference.tflite.flatbuffer import StoredTensor, TfliteNetwork

Array = NDArray[Any]
TO_PLANES, TO_PIXELS = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations from [N, H, W, C] to [N, C, H, W], and back."""


@dataclass
class GraphWriter:
    """Collects the nodes and constants of the ONNX graph."""

    network: TfliteNetwork
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    read: dict[int, str] = field(default_factory=dict)
    """What operators read of a computed tensor: behind its quantisers, if it has some."""
    padded: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Tensors that are others with zeros around: the other, and pads as ONNX has them."""
    known: dict[int, Array] = field(default_factory=dict)
    """Constants that were computed of constants: real values."""

    def tensor(self, index: int) -> StoredTensor:
        """Return a tensor of the file."""
        return self.network.tensors[index]

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node and return the tensor that it computes."""
        given: Any = attributes
        self.nodes.append(helper.make_node(operator, list(inputs), [output], output, **given))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def value(self, index: int) -> Array | None:
        """Return the real values of a constant tensor, float32 or integers without a grid."""
        if index in self.known:
            return self.known[index]
        tensor = self.tensor(index)
        if tensor.value is None or tensor.grid is None:
            return tensor.value
        shape = [1] * len(tensor.shape)
        if tensor.grid.scale.size > 1:
            shape[tensor.grid.axis] = -1
        scale, zero = tensor.grid.scale.reshape(shape), tensor.grid.zero.reshape(shape)
        found: Array = ((tensor.value.astype(np.int64) - zero) * scale.astype(np.float64)).astype(np.float32)
        return found

    def finish(self, index: int, made: str) -> None:
        """Round what an operator has computed to the tensor's grid, if it has one."""
        self.read[index] = self.rounded(index, made)

    def rounded(self, index: int, made: str) -> str:
        """Return the tensor behind QuantizeLinear and DequantizeLinear of a tensor's grid."""
        tensor = self.tensor(index)
        if tensor.grid is None or not np.issubdtype(tensor.kind, np.integer):
            return made
        name = tensor.name
        grid = [
            self.constant(f"{name}/scale", tensor.grid.scale[:1].reshape(())),
            self.constant(f"{name}/zero", tensor.grid.zero[:1].reshape(()).astype(tensor.kind)),
        ]
        integers = self.add("QuantizeLinear", [made, *grid], f"{name}/integers")
        return self.add("DequantizeLinear", [integers, *grid], f"{name}/read")

    def is_map(self, index: int) -> bool:
        """Whether a tensor is [N, H, W, C], which the graph holds as [N, C, H, W]."""
        return len(self.tensor(index).shape) == 4

    def source(self, index: int) -> str:
        """Return what an operator reads: a computed tensor, or a constant in the graph's layout."""
        if index in self.read:
            return self.read[index]
        if index in self.padded:
            return self._written_padding(index)
        value = self.value(index)
        if value is None:
            raise ValueError(f"{self.tensor(index).name} is read before it is computed")
        if value.ndim == 4:
            value = value.transpose(TO_PLANES)
        self.read[index] = self.constant(self.tensor(index).name, value)
        return self.read[index]

    def _written_padding(self, index: int) -> str:
        before, pads = self.padded[index]
        widths = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
        name = self.tensor(index).name
        self.read[index] = self.add("Pad", [self.source(before), self.constant(f"{name}/pads", widths)], name)
        return self.read[index]

    def last(self, index: int) -> str:
        """Return a tensor with its channels last, as the file has it."""
        read = self.source(index)
        if not self.is_map(index) or self.tensor(index).shape[1:3] == (1, 1):
            return read
        return self.add("Transpose", [read], f"{read}/last", perm=TO_PIXELS)
