"""A Conv or Gemm with integers as weights, in one form: output channel first, a scale each, a float bias."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import attribute
from pipeline.models.foreign import batch_norm
from pipeline.models.foreign.quantised.stored_integers import StoredIntegers

Doubles = NDArray[np.float64]


@dataclass(eq=False)
class WeightedLayer:
    """A layer into which a following bias or norm can be folded.

    data: the dequantised tensor that it reads, whose grid has the step `step`. integers [K, C / groups, R, S]
    or [K, C]; scales and bias [K].
    """

    node: onnx.NodeProto
    data: str
    step: float
    integers: NDArray[np.int32]
    scales: Doubles
    bias: Doubles
    output: str
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def is_conv(self) -> bool:
        """Whether it is a Conv; else a Gemm with transB = 1."""
        return self.integers.ndim > 2

    @property
    def groups(self) -> int:
        """The groups of a Conv."""
        return int(attribute(self.node, "group", 1))

    def take_in(self, gain: Doubles, shift: Doubles) -> None:
        """Multiply each output channel by a gain and add a shift: exact, as it only changes the scales."""
        gain, shift = (np.broadcast_to(values, self.scales.shape) for values in (gain, shift))
        shape = (-1, *[1] * (self.integers.ndim - 1))
        self.integers = self.integers * np.sign(gain).astype(np.int32).reshape(shape)
        self.scales = self.scales * np.where(gain == 0, 1, np.abs(gain))
        self.bias = self.bias * gain + shift

    @property
    def unit(self) -> Doubles:
        """The real value of 1 in the sum of each output channel."""
        return self.step * self.scales.astype(np.float32).astype(np.float64)


def read_conv(
    node: onnx.NodeProto, step: float, weights: StoredIntegers, bias: NDArray[np.floating] | None
) -> WeightedLayer | None:
    """Return the layer of a Conv; None where its scales vary inside an output channel."""
    scales = weights.by_first_axis()
    if scales is None:
        return None
    return _layer(node, step, weights.integers, scales, bias)


def read_gemm(
    node: onnx.NodeProto, step: float, weights: StoredIntegers, bias: NDArray[np.floating] | None
) -> WeightedLayer | None:
    """Return the layer of a Gemm or of a MatMul [N, C] x [C, K]; None where it has no such form."""
    if attribute(node, "transA", 0) or weights.integers.ndim != 2:
        return None
    if not attribute(node, "transB", 0):
        weights = weights.moved(np.transpose)
    scales = weights.by_first_axis()
    alpha, beta = (float(attribute(node, name, 1.0)) for name in ("alpha", "beta"))
    if scales is None or alpha <= 0 or (bias is not None and bias.size not in (1, len(scales))):
        return None
    layer = _layer(node, step, np.ascontiguousarray(weights.integers), scales, bias)
    layer.scales, layer.bias = layer.scales * alpha, layer.bias * beta
    return layer


def _layer(
    node: onnx.NodeProto,
    step: float,
    integers: NDArray[np.int32],
    scales: NDArray[np.float32],
    bias: NDArray[np.floating] | None,
) -> WeightedLayer:
    count = len(integers)
    added = np.zeros(count) if bias is None else np.broadcast_to(bias.astype(np.float64).ravel(), count)
    return WeightedLayer(
        node, node.input[0], step, integers, scales.astype(np.float64), added.copy(), node.output[0]
    )


def gain_and_shift(
    node: onnx.NodeProto, constants: dict[str, NDArray[np.generic]], of_maps: bool
) -> tuple[str, Doubles, Doubles] | None:
    """Return what a node does to each channel: the tensor that it reads, factor and addend, [1] or [C].

    None for another node, or one that does more. of_maps: the tensor is [N, C, H, W], not [N, C].
    """
    if node.op_type == "BatchNormalization":
        channels = batch_norm.gain_and_shift(node, constants.get)
        return None if channels is None else (node.input[0], *channels)
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    known = [slot for slot, name in enumerate(node.input) if name in constants]
    if len(known) != 1 or (node.op_type in ("Sub", "Div") and known != [1]):
        return None
    value = _per_channel(constants[node.input[known[0]]], of_maps)
    if value is None or (node.op_type == "Div" and not value.all()):
        return None
    one, zero = np.ones(1), np.zeros(1)
    match node.op_type:
        case "Add" | "Sub":
            gain, shift = one, value if node.op_type == "Add" else -value
        case _:
            gain, shift = value if node.op_type == "Mul" else 1 / value, zero
    return node.input[1 - known[0]], gain, shift


def _per_channel(constant: NDArray[np.generic], of_maps: bool) -> Doubles | None:
    """Return [1] or [C] if a constant broadcasts along channels only."""
    value, place = constant.astype(np.float64), -3 if of_maps else -1
    if value.size > 1 and (value.ndim < abs(place) or value.size != value.shape[place]):
        return None
    return value.ravel()
