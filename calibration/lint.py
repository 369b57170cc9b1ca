"""Checking any Q/DQ graph against the placement that integer engines and TensorRT need."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import IMAGE, QDQ, OnnxGraph, attribute, node_label, undequantized
from calibration.placement import READ_8_BITS, follows_convolution, identity_slot, is_residual_add
from calibration.pointwise import Elementwise
from calibration.qdq_writer import BROUGHT
from calibration.scheme import Scheme

INTEGER_OPERATORS = frozenset({"ConvInteger", "MatMulInteger"})


@dataclass(frozen=True)
class LintFinding:
    """One broken rule: at which node, what was found, and why it matters.

    costs_time: the rule only costs time; the results are the same.
    """

    node: str
    what: str
    why: str
    costs_time: bool = False

    def __str__(self) -> str:
        return f"{self.node}: {self.what}. {self.why}"


def lint(model: Path, scheme: Scheme, float_layers: Collection[str] = ()) -> list[LintFinding]:
    """Check the Q/DQ ONNX `model` and return the broken rules, in graph order.

    `float_layers` names nodes left in float on purpose: layers, and pools and Adds that read float values.
    Raises ModelError if the file cannot be read.
    """
    return lint_graph(OnnxGraph.load(model), scheme, float_layers)


def lint_graph(graph: OnnxGraph, scheme: Scheme, float_layers: Collection[str] = ()) -> list[LintFinding]:
    """As `lint`, on a graph in memory."""
    findings: list[LintFinding] = []
    elementwise = Elementwise(graph)
    looked_up = elementwise.source if scheme is Scheme.ASYM else {}
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            why = "TensorRT and this compiler know the operators of ONNX only."
            findings.append(_finding(node, f"{node.domain}.{node.op_type} is a custom operator", why))
        elif _reads_integers(graph, node):
            why = "TensorRT reads Q/DQ in pairs."
            findings.append(_finding(node, "it reads integers: a DequantizeLinear is missing", why))
        elif node.op_type in QDQ:
            findings += _scale_rules(graph, node) or [
                *_channel_rules(graph, node, scheme),
                *_grid_rules(graph, node, scheme),
            ]
        elif node.op_type in ("Conv", "Gemm"):
            findings += _layer_rules(graph, node, scheme, node.name in float_layers)
        elif node.op_type in READ_8_BITS and not (
            _is_dequantized(graph, node.input[0])
            or node.output[0] in elementwise.averaged
            or node.name in float_layers
        ):
            findings.append(_slower(node, "its input is not quantised", "The pooling would run in float."))
        elif node.output[0] in looked_up:
            pass  # a sum of functions of one tensor is one function
        elif is_residual_add(graph, node) and follows_convolution(graph, node):
            findings += _add_rules(graph, node, node.name in float_layers)
        elif node.op_type.startswith("QLinear") or node.op_type in INTEGER_OPERATORS:
            why = "TensorRT and this compiler read Q/DQ around float operators only."
            findings.append(_finding(node, f"{node.op_type} is an integer operator", why))
    return findings


def _finding(node: onnx.NodeProto, what: str, why: str) -> LintFinding:
    return LintFinding(node_label(node), what, why)


def _slower(node: onnx.NodeProto, what: str, why: str) -> LintFinding:
    return LintFinding(node_label(node), what, why, costs_time=True)


def _is_dequantized(graph: OnnxGraph, tensor: str) -> bool:
    producer = graph.producer(tensor)
    return producer is not None and producer.op_type == "DequantizeLinear"


def _reads_integers(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    producers = [graph.producer(name) for name in node.input]
    quantized = any(one is not None and one.op_type == "QuantizeLinear" for one in producers)
    return quantized and node.op_type != "DequantizeLinear"


def _is_pixels(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether a DequantizeLinear reads the raw pixels, transposed or not."""
    tensor = node.input[0]
    while (producer := graph.producer(tensor)) is not None and producer.op_type == "Transpose":
        tensor = producer.input[0]
    return node.op_type == "DequantizeLinear" and tensor == IMAGE


def _scale_rules(graph: OnnxGraph, node: onnx.NodeProto) -> list[LintFinding]:
    scale = graph.constant(node.input[1])
    if scale is None:
        return [
            _finding(
                node, f"its scale {node.input[1]!r} is computed", "Engines need scales when they are built."
            )
        ]
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale[~(np.isfinite(scale) & (scale > 0))].ravel()[0]
        return [_finding(node, f"its scale holds {bad}", "Scales have to be positive and finite.")]
    return []


def _channel_rules(graph: OnnxGraph, node: onnx.NodeProto, scheme: Scheme) -> Iterator[LintFinding]:
    scale = graph.constant(node.input[1])
    if scale is None or scale.ndim == 0:
        return
    if graph.is_constant(undequantized(graph, node.input[0])):
        axis = attribute(node, "axis", 1)
        if scale.size > 1 and axis != 0:
            why = "Scales belong to output channels, axis 0; others cannot be summed as integers."
            yield _finding(node, f"weights have their scales on axis {axis}", why)
    elif scale.size == 1:
        if scheme is Scheme.SYM:
            why = "TensorRT-RTX takes it for one a channel, and runs the layer in float. Make it a scalar."
            yield _finding(node, "its scale has shape [1]", why)
    elif not (scheme is Scheme.ASYM and _is_pixels(graph, node) and (scale == 1).all()):
        why = "Activations have one scale a tensor; others cannot be summed as integers."
        yield _finding(node, f"an activation has {scale.size} scales", why)


def _grid_rules(graph: OnnxGraph, node: onnx.NodeProto, scheme: Scheme) -> Iterator[LintFinding]:
    zero = _zero_point(graph, node)
    if zero is None:
        yield _finding(node, "its zero point is computed", "Engines need zero points when they are built.")
        return
    if zero.dtype == np.int32:
        why = "Engines round biases themselves; TensorRT rejects int32. Leave the bias in float32."
        yield _finding(node, "a bias is quantised to int32", why)
        return
    is_weight = graph.is_constant(undequantized(graph, node.input[0]))
    wanted = np.int8 if is_weight or scheme is Scheme.SYM else np.uint8
    wide = wanted == np.uint8 and zero.dtype == np.uint16
    if zero.dtype != wanted and not wide:
        kind = "Weights" if is_weight else f"Activations under {scheme}"
        yield _finding(node, f"it is {zero.dtype}", f"{kind} are {np.dtype(wanted)}.")
    if zero.any() and (is_weight or scheme is Scheme.SYM):
        why = (
            "Weights are symmetric."
            if is_weight
            else f"{scheme} is symmetric: TensorRT takes no other zero point than 0."
        )
        yield _finding(node, f"its zero point is {zero[zero != 0].ravel()[0]}, not 0", why)
    values = graph.constant(node.input[0]) if is_weight else None
    ours = not any(p.key == BROUGHT for p in graph.model.metadata_props)
    if ours and values is not None and values.dtype == np.int8 and (values == -128).any():
        yield _finding(
            node, "weights hold -128", "Weights stay in [-127, 127], so that their negatives exist."
        )


def _zero_point(graph: OnnxGraph, node: onnx.NodeProto) -> NDArray[np.generic] | None:
    """The zero point; without one, the standard's default: 0 of the integers' type, uint8 for a Q."""
    if len(node.input) > 2 and node.input[2]:
        zero = graph.constant(node.input[2])
        return None if zero is None else np.atleast_1d(zero)
    integers = graph.constant(node.input[0]) if node.op_type == "DequantizeLinear" else None
    producer = graph.producer(node.input[0])
    if producer is not None and producer.op_type == "QuantizeLinear":
        return _zero_point(graph, producer)
    return np.zeros(1, np.uint8 if integers is None else integers.dtype)


def _layer_rules(
    graph: OnnxGraph, node: onnx.NodeProto, scheme: Scheme, keep_float: bool
) -> Iterator[LintFinding]:
    data, weight = (_is_dequantized(graph, name) for name in node.input[:2])
    wants_int8 = not keep_float and (node.op_type == "Conv" or scheme is Scheme.ASYM)
    if weight and not data:
        yield _finding(node, "its weights are quantised and its input is not", "It would run in float.")
    elif wants_int8 and not weight:
        what = (
            "its input is quantised and its weights are not"
            if data
            else "neither its input nor its weights are quantised"
        )
        yield _finding(node, what, f"{scheme} runs it in 8 bits.")
    bias = node.input[2] if len(node.input) > 2 else ""
    if (
        bias and not graph.is_constant(bias) and not _is_dequantized(graph, bias)
    ):  # a DequantizeLinear has its own finding
        yield _finding(node, "its bias is computed", "Biases are float32 constants.")


def _add_rules(graph: OnnxGraph, node: onnx.NodeProto, keep_float: bool) -> Iterator[LintFinding]:
    quantized = [_is_dequantized(graph, name) for name in node.input]
    if all(quantized):
        why = "With Q/DQ between the main branch's Conv and the Add, Conv+Add+ReLU is not one kernel."
        yield _slower(node, "both of its branches are quantised", why)
        return
    identity = identity_slot(graph, node)
    if quantized[1 - identity]:
        why = "The main branch's Conv has to reach the Add directly, or Conv+Add+ReLU is not one kernel."
        yield _slower(node, "its main branch is quantised instead of the identity", why)
    elif not quantized[identity] and not keep_float:
        why = "The fused convolution would read a float residual and give a float output."
        yield _slower(node, "its identity branch is not quantised", why)
