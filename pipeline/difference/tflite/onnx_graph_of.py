"""Writes a .tflite network as a Q/DQ ONNX graph, channels second, that takes pixels.

Every rounding of the file becomes a QuantizeLinear with its DequantizeLinear, so that the graph means what
the interpreter computes, up to the rounding of its requantisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import IMAGE
from pipeline.difference.tflite.flatbuffer import StoredTensor, TfliteNetwork
from pipeline.models.input_form import InputForm

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


def front(writer: GraphWriter, form: InputForm) -> None:
    """Write what brings pixels into the file's input."""
    tensor = writer.network.input
    channels = tensor.shape[3]
    mean, std = (np.resize(np.asarray(v, np.float64), channels) for v in (form.mean, form.std))
    made = writer.add("Cast", [IMAGE], "input/numbers", to=TensorProto.FLOAT)
    if form.colors == "BGR" and channels == 3:
        made = writer.add(
            "Gather", [made, writer.constant("input/bgr", np.array([2, 1, 0]))], "input/colours", axis=3
        )
    centre = writer.constant("input/mean", (255 * mean).astype(np.float32))
    factor = writer.constant("input/factor", (1 / (255 * std)).astype(np.float32))
    made = writer.add("Mul", [writer.add("Sub", [made, centre], "input/centred"), factor], "input/unit")
    made = writer.add("Transpose", [made], tensor.name, perm=TO_PLANES)
    writer.finish(writer.network.source, made)


def as_onnx(network: TfliteNetwork, form: InputForm) -> onnx.ModelProto:
    """Return the network as an ONNX graph, pixels uint8 [N, H, W, C] to its output.

    Raises ValueError naming an operator that is not read here.
    """
    from pipeline.difference.tflite.written_operators import write_operator

    writer = GraphWriter(network)
    front(writer, form)
    for operator in network.operators:
        write_operator(writer, operator)
    result = network.output
    sides = result.shape[1:] if len(result.shape) < 4 else tuple(result.shape[i] for i in (3, 1, 2))
    writer.add("Identity", [writer.source(result.index)], "logits")
    graph = helper.make_graph(
        writer.nodes,
        "tflite",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", *network.input.shape[1:]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", *sides])],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
