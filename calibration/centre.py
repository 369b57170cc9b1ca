"""Shifts the first activation, so that it also uses the negative half of the symmetric grid.

The output of a ReLU is never negative: it uses only half of the int8 grid around zero, seven bits. The first
activation is the largest single source of noise in a small residual network, since its noise passes through
every layer. Here it is shifted by half its range, x' = relu(x) - c, and the biases of its readers compensate:

    conv(x) = conv(x') + c sum(w)            (the border, zero in x, is -c in x': padded before, in float)
    main(...) + x = (main(...) + c) + x'     (the bias of the convolution that ends the main branch)

The network computes the same; TensorRT still sees int8 with zero point 0. One subtraction behind the ReLU and
one padding of each 3 x 3 convolution's input remain.
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import ImagesError, ModelError
from calibration.fold_pixels import find_pixel_input
from calibration.observe import observe
from calibration.observers import Range, make_observer
from calibration.onnx_graph import (
    Edge,
    OnnxGraph,
    attribute,
    drop_unused_initializers,
    node_label,
    set_attribute,
    tensor_proto,
)
from calibration.placement import identity_slot, is_residual_add
from calibration.scheme import RecipeBase, Scheme


def centred(
    graph: OnnxGraph,
    images: Iterable[NDArray[np.uint8]],
    recipe: RecipeBase,
    on_batch: Callable[[int], None] = lambda _: None,
) -> onnx.ModelProto:
    """Return the float model with its first activation centred; it computes the same logits.

    The range is what the recipe's observer finds on `images` (batches of uint8 [n, H, W, C]); each batch's
    size is reported to `on_batch`. Raises ModelError where the activation feeds something else than
    convolutions, residual adds and max pooling, and ImagesError for no images or an activation that is always
    zero.
    """
    tensor = first_activation(graph)
    observer = make_observer(recipe.observer, Scheme.ASYM)
    observe(graph, {tensor: observer}, images, on_batch)
    shift = np.float32(observer.range().high / 2)
    if not (np.isfinite(shift) and shift > 0):
        raise ImagesError(
            "Centring needs calibration images on which the first activation is finite and not always zero."
        )
    return _Shifted(graph, tensor, shift).model()


def first_activation(graph: OnnxGraph) -> str:
    """The output of the ReLU behind the first convolution. Raises ModelError if there is none."""
    conv = graph.nodes[find_pixel_input(graph, Scheme.SYM).conv]
    readers = [graph.nodes[edge.node] for edge in graph.consumers(conv.output[0])]
    if [node.op_type for node in readers] != ["Relu"]:
        found = ", ".join(node.op_type for node in readers) or "nothing"
        raise ModelError(
            f"the first convolution {node_label(conv)} feeds {found}; centring needs one ReLU there"
        )
    return str(readers[0].output[0])


def centred_ranges(graph: OnnxGraph) -> dict[str, Range]:
    """The ranges of the tensors that centring adds to a model: [-c, c], independent of the images.

    The lowest value of the grid, -127, is then exactly x = 0, the most frequent output of a ReLU.
    """
    found: dict[str, Range] = {}
    for node in graph.nodes:
        if node.op_type == "Sub" and node.input[1] == f"{node.input[0]}/centre":
            shift = graph.constant(node.input[1])
            assert shift is not None  # noqa: S101 -- written by `centred`
            found[node.output[0]] = Range(-float(shift), float(shift))
        elif node.op_type in ("MaxPool", "Pad") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


class _Shifted:
    """The graph with `tensor` replaced by itself minus `shift`, and its readers compensated."""

    def __init__(self, graph: OnnxGraph, tensor: str, shift: np.float32) -> None:
        self.graph = graph
        self.shift = shift
        self.nodes: dict[int, onnx.NodeProto] = {}
        self.before: dict[int, list[onnx.NodeProto]] = {}
        self.constants: dict[str, NDArray[np.generic]] = {f"{tensor}/centre": np.asarray(shift)}
        self.tensor = tensor
        for edge in graph.consumers(tensor):
            self._read(edge, f"{tensor}/centred")

    def model(self) -> onnx.ModelProto:
        result = onnx.ModelProto()
        result.CopyFrom(self.graph.model)
        del result.graph.node[:], result.graph.value_info[:]
        for i, node in enumerate(self.graph.nodes):
            result.graph.node.extend([*self.before.get(i, []), self.nodes.get(i, node)])
            if self.tensor in node.output:
                centred = f"{self.tensor}/centred"
                inputs = [self.tensor, f"{self.tensor}/centre"]
                result.graph.node.append(helper.make_node("Sub", inputs, [centred], f"{centred}/Sub"))
        drop_unused_initializers(result)
        result.graph.initializer.extend(tensor_proto(name, value) for name, value in self.constants.items())
        return result

    def _read(self, edge: Edge, centred: str) -> None:
        """Make one reader take `centred` in place of what it reads."""
        node = self.graph.nodes[edge.node]
        if node.op_type == "Conv" and edge.slot == 0:
            self._convolution(edge.node, centred)
        elif node.op_type == "MaxPool":
            self._changed(edge.node).input[0] = centred  # pads with the least value, whatever that is
            for behind in self.graph.consumers(node.output[0]):
                self._read(behind, node.output[0])
        elif is_residual_add(self.graph, node) and identity_slot(self.graph, node) == edge.slot:
            self._changed(edge.node).input[edge.slot] = centred
            main = self.graph.producer_index(node.input[1 - edge.slot])
            assert main is not None  # noqa: S101 -- identity_slot found a convolution there
            weight = self._weight(main)
            self._bias(main, np.full(len(weight), self.shift, np.float64))
        else:
            raise ModelError(
                f"the first activation feeds {node_label(node)} ({node.op_type}), which cannot take a shift "
                "back"
            )

    def _convolution(self, index: int, centred: str) -> None:
        node, weight = self._changed(index), self._weight(index)
        node.input[0] = centred
        pads = attribute(node, "pads", [0, 0, 0, 0])
        if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            raise ModelError(f"{node_label(node)} pads by itself (auto_pad)")
        if any(pads):
            top, left, bottom, right = pads
            name = f"{node.output[0]}/border"
            self.constants[f"{name}/pads"] = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            self.constants[f"{name}/value"] = np.asarray(-self.shift)
            inputs = [centred, f"{name}/pads", f"{name}/value"]
            self.before[index] = [helper.make_node("Pad", inputs, [name], f"{name}/Pad")]
            node.input[0] = name
            set_attribute(node, "pads", [0, 0, 0, 0])
        self._bias(index, np.float64(self.shift) * weight.sum(axis=(1, 2, 3), dtype=np.float64))

    def _bias(self, index: int, more: NDArray[np.float64]) -> None:
        """Add `more` [K] to a convolution's bias."""
        node = self._changed(index)
        name = f"{node.output[0]}/centred/bias"
        bias = self.graph.constant(node.input[2]) if len(node.input) > 2 and name not in node.input else None
        before = self.constants.get(name, np.zeros(1) if bias is None else bias)
        self.constants[name] = (np.asarray(before, np.float64) + more).astype(np.float32)
        del node.input[2:]
        node.input.append(name)

    def _weight(self, index: int) -> NDArray[np.float32]:
        node = self.graph.nodes[index]
        weight: NDArray[np.float32] | None = self.graph.constant(node.input[1])
        if weight is None:
            raise ModelError(f"{node_label(node)} has computed weights; they have to be constants.")
        return weight

    def _changed(self, index: int) -> onnx.NodeProto:
        """The node as it will be written."""
        if index not in self.nodes:
            self.nodes[index] = onnx.NodeProto()
            self.nodes[index].CopyFrom(self.graph.nodes[index])
        return self.nodes[index]
