"""Shifts activations, so that they also use the negative half of the symmetric grid.

The output of a ReLU is never negative: it uses only half of the int8 grid around zero, seven bits. The first
activation is the largest single source of noise in a small residual network, since its noise passes through
every layer. Here it is shifted by half its range, x' = relu(x) - c, and the biases of its readers compensate:

    conv(x) = conv(x') + c sum(w)            (the border, zero in x, is -c in x': padded before, in float)
    main(...) + x = (main(...) + c) + x'     (the bias of the convolution that ends the main branch)

The network computes the same; TensorRT still sees int8 with zero point 0. One subtraction behind the ReLU and
one padding of each 3 x 3 convolution's input remain.

An activation that only convolutions without padding read, such as the projections of a MobileNet's blocks, is
shifted by the middle of its range too. Behind a convolution's ReLU or ReLU6 that needs no other operator:

    min(max(conv(x), 0), 6) - c = min(max(conv(x) - c, -c), 6 - c)

Behind other functions a subtraction remains.
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import ImagesError, ModelError
from calibration.fold_pixels import find_pixel_input
from calibration.left_out import note_left_out
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

ACTIVATIONS = frozenset({"Relu", "Clip", "HardSwish", "Mul", "LeakyRelu", "Elu", "Gelu", "Mish"})
"""What may end a function behind a convolution; a Mul ends a SiLU, a HardSwish in parts and a gate."""
LEAST = 0.05
"""Activations whose middle is nearer to zero, as a share of their range, stay as they are."""
FIRST, OTHER = "centre", "middle"
"""How the numbers subtracted are named. The range of the first activation follows from its centre."""


def centred(
    graph: OnnxGraph,
    images: Iterable[NDArray[np.uint8]],
    recipe: RecipeBase,
    on_batch: Callable[[int], None] = lambda _: None,
) -> onnx.ModelProto:
    """Return the float model with its activations centred; it computes the same logits.

    The ranges are what the recipe's observer finds on `images` (batches of uint8 [n, H, W, C]); each batch's
    size is reported to `on_batch`. A first activation that feeds something else than convolutions, residual
    adds and max pooling is left as it is, and the model says so; raises ModelError if there is no other to
    centre. Raises ImagesError for no images or a first activation that is always zero.
    """
    begun, behind, notes = _Shifted(graph), unpadded_activations(graph), list[str]()
    try:
        first = first_activation(graph)
        begun.check(first)
    except ModelError as error:
        if not behind:
            raise
        first, notes = None, [f"ctr: {error}"]
    observers = {
        tensor: make_observer(recipe.observer, Scheme.ASYM)
        for tensor in dict.fromkeys([*([first] if first else []), *behind])
    }
    observe(graph, observers, images, on_batch)
    for tensor, observer in observers.items():
        found = observer.range()
        if tensor == first:
            begun.shift(tensor, _half(found), FIRST)
        elif abs(found.low + found.high) > LEAST * (found.high - found.low):
            begun.shift(tensor, np.float32((found.low + found.high) / 2), OTHER)
    model = begun.model()
    note_left_out(model, notes)
    return model


def _half(found: Range) -> np.float32:
    shift = np.float32(found.high / 2)
    if not (np.isfinite(shift) and shift > 0):
        raise ImagesError(
            "Centring needs calibration images on which the first activation is finite and not always zero."
        )
    return shift


def unpadded_activations(graph: OnnxGraph) -> tuple[str, ...]:
    """The activations that only convolutions without padding read."""
    outputs = {output.name for output in graph.model.graph.output}
    return tuple(
        node.output[0]
        for node in graph.nodes
        if node.op_type in ACTIVATIONS
        and node.output[0] not in outputs
        and all(map(graph.producer, _computed(graph, node)))
        and (readers := graph.consumers(node.output[0]))
        and all(edge.slot == 0 and _is_unpadded(graph, graph.nodes[edge.node]) for edge in readers)
    )


def _computed(graph: OnnxGraph, node: onnx.NodeProto) -> list[str]:
    return [name for name in node.input if name and not graph.is_constant(name)]


def _is_unpadded(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    return (
        node.op_type == "Conv"
        and graph.constant(node.input[1]) is not None
        and not any(attribute(node, "pads", [0]))
        and attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )


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
        if node.op_type == "Sub" and node.input[1] == f"{node.input[0]}/{FIRST}":
            shift = graph.constant(node.input[1])
            assert shift is not None  # noqa: S101 -- written by `centred`
            found[node.output[0]] = Range(-float(shift), float(shift))
        elif node.op_type in ("MaxPool", "Pad") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


class _Shifted:
    """The graph with tensors replaced by themselves minus a number, and their readers compensated."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.nodes: dict[int, onnx.NodeProto] = {}
        self.before: dict[int, list[onnx.NodeProto]] = {}
        self.constants: dict[str, NDArray[np.generic]] = {}
        self.shifted: dict[str, str] = {}

    def check(self, tensor: str) -> None:
        """Raise ModelError if a reader of `tensor` cannot take a shift back."""
        _Shifted(self.graph).shift(tensor, np.float32(1), FIRST)

    def shift(self, tensor: str, shift: np.float32, word: str) -> None:
        """Subtract `shift` from `tensor`, in its bounds or by a constant whose name ends in `word`."""
        if word == FIRST or not self._bounded(tensor, shift):
            self.shifted[tensor] = f"{tensor}/{word}"
            self.constants[f"{tensor}/{word}"] = np.asarray(shift)
        for edge in self.graph.consumers(tensor):
            self._read(edge, f"{tensor}/centred", shift)

    def _bounded(self, tensor: str, shift: np.float32) -> bool:
        """Subtract `shift` in a bias and the bounds that follow; return whether that is possible."""
        index = self.graph.producer_index(tensor)
        assert index is not None  # noqa: S101 -- `unpadded_activations` names results of nodes
        node = self.graph.nodes[index]
        conv = self.graph.producer_index(node.input[0])
        bounds = self._bounds(node)
        if bounds is None or conv is None or self.graph.nodes[conv].op_type != "Conv":
            return False
        alone = len(self.graph.consumers(node.input[0])) == 1
        if not alone or any(out.name == node.input[0] for out in self.graph.model.graph.output):
            return False
        weight = self.graph.constant(self.graph.nodes[conv].input[1])
        if weight is None:
            return False
        self._bias(conv, np.full(len(weight), -shift, np.float64))
        names = [f"{tensor}/{word}" for word in ("low", "high")]
        self.constants |= {n: np.asarray(b - shift) for n, b in zip(names, bounds, strict=True)}
        changed = self._changed(index)
        changed.CopyFrom(helper.make_node("Clip", [node.input[0], *names], [f"{tensor}/centred"], node.name))
        return True

    def _bounds(self, node: onnx.NodeProto) -> tuple[np.float32, np.float32] | None:
        """The bounds of a Relu or Clip; None for other operators, and where opset 6 has them."""
        low, high = np.float32(0), np.finfo(np.float32).max
        if node.op_type == "Clip" and not node.attribute:
            found = [self.graph.constant(name) if name else None for name in node.input[1:]]
            if any(name and one is None for name, one in zip(node.input[1:], found, strict=True)):
                return None
            ends = [*found, None, None]
            low = -high if ends[0] is None else np.float32(ends[0].item())
            return low, high if ends[1] is None else np.float32(ends[1].item())
        recent = next(one.version for one in self.graph.model.opset_import if one.domain in ("", "ai.onnx"))
        return (low, high) if node.op_type == "Relu" and recent > 10 else None

    def model(self) -> onnx.ModelProto:
        result = onnx.ModelProto()
        result.CopyFrom(self.graph.model)
        del result.graph.node[:], result.graph.value_info[:]
        for i, node in enumerate(self.graph.nodes):
            result.graph.node.extend([*self.before.get(i, []), self.nodes.get(i, node)])
            for tensor in set(node.output) & set(self.shifted):
                centred, inputs = f"{tensor}/centred", [tensor, self.shifted[tensor]]
                result.graph.node.append(helper.make_node("Sub", inputs, [centred], f"{centred}/Sub"))
        drop_unused_initializers(result)
        result.graph.initializer.extend(tensor_proto(name, value) for name, value in self.constants.items())
        return result

    def _read(self, edge: Edge, centred: str, shift: np.float32) -> None:
        """Make one reader take `centred` in place of what it reads."""
        node = self.graph.nodes[edge.node]
        if node.op_type == "Conv" and edge.slot == 0:
            self._convolution(edge.node, centred, shift)
        elif node.op_type == "MaxPool":
            self._changed(edge.node).input[0] = centred  # pads with the least value, whatever that is
            for behind in self.graph.consumers(node.output[0]):
                self._read(behind, node.output[0], shift)
        elif is_residual_add(self.graph, node) and identity_slot(self.graph, node) == edge.slot:
            self._changed(edge.node).input[edge.slot] = centred
            main = self.graph.producer_index(node.input[1 - edge.slot])
            assert main is not None  # noqa: S101 -- identity_slot found a convolution there
            weight = self._weight(main)
            self._bias(main, np.full(len(weight), shift, np.float64))
        else:
            raise ModelError(
                f"the first activation feeds {node_label(node)} ({node.op_type}), which cannot take a shift "
                "back"
            )

    def _convolution(self, index: int, centred: str, shift: np.float32) -> None:
        node, weight = self._changed(index), self._weight(index)
        node.input[0] = centred
        pads = attribute(node, "pads", [0, 0, 0, 0])
        if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            raise ModelError(f"{node_label(node)} pads by itself (auto_pad)")
        if any(pads):
            top, left, bottom, right = pads
            name = f"{node.output[0]}/border"
            self.constants[f"{name}/pads"] = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            self.constants[f"{name}/value"] = np.asarray(-shift)
            inputs = [centred, f"{name}/pads", f"{name}/value"]
            self.before[index] = [helper.make_node("Pad", inputs, [name], f"{name}/Pad")]
            node.input[0] = name
            set_attribute(node, "pads", [0, 0, 0, 0])
        self._bias(index, np.float64(shift) * weight.sum(axis=(1, 2, 3), dtype=np.float64))

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
