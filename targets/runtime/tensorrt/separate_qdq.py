"""Names the Q and DQ of a network that an engine computes apart from the convolution whose output they round.

TensorRT fuses a Q into the convolution before it, so that this writes INT8. Where it does not, the
convolution writes floats, and the Q is a layer of its own or a part of another. The names are TensorRT's own:
of a layer ("features.2.conv.2.weight + QuantizeLinear_90 + Conv_94"), or in its metadata ("[ONNX Layer:
Conv_94]"). So nothing is said of a Q that no layer names: fused ones are not named by every version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Sequence

if TYPE_CHECKING:
    from .layers import Layer
    from .mixed_onnx import OnnxNode, QdqFile

ROUNDS, UNDOES = "QuantizeLinear", "DequantizeLinear"
CONVOLUTIONS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FUSED_BETWEEN = (
    "Add",
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Mul",
    "Cast",
)
"""What may stand between a convolution and the Q of its kernel: a sum, an activation, another float type."""
ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
GENERATED = "kgen"
"""The type of a kernel that Myelin, a compiler inside TensorRT, generates: sums and functions of numbers."""
COPY = "Reformatting CopyNode"
"""Begins the name of a layer that changes a format; the names behind it are of the layer that it serves."""
CLONE = re.compile(r"_clone_\d+$")
"""Ends the name of a node that TensorRT repeats, for each of several that read or write it."""
OF_VERSION_8 = ("_quantize_scale_node", "_dequantize_scale_node")
NAMED = 5


@dataclass(frozen=True)
class NamingLayer:
    """A layer of an engine: its name and type in TensorRT's words, and the ONNX nodes that it names."""

    name: str
    kind: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class SeparateQdq:
    """A Q or DQ by the name of its ONNX node, and the time of its layer if that computes nothing else."""

    name: str
    behind: str
    """The convolution whose output it rounds, perhaps with a sum and an activation between; empty: none."""
    alone: bool
    ms: float | None = None

    def __str__(self) -> str:
        where = "a layer of its own" if self.alone else "in another layer"
        behind = f" behind {self.behind}" if self.behind else ""
        return f"{self.name} ({where}{behind}{'' if self.ms is None else f', {self.ms:.3f} ms'})"


def naming(layer: Layer) -> NamingLayer:
    """Return the ONNX nodes that a layer names in its metadata, or in its name where it has none."""
    if layer.name.startswith(COPY):
        return NamingLayer(layer.name, layer.kind, ())
    parts = ONNX_NODE.findall(layer.origin) or map(_plain, re.split(r" \+ | \|\| |, ", layer.name))
    return NamingLayer(layer.name, layer.kind, tuple(parts))


def _plain(name: str) -> str:
    """Without what TensorRT puts around a node: PWN(PWN(Sigmoid_3, Mul_4), and 8's ends of names."""
    plain = re.sub(r"PWN\(", "", name).rstrip(")") if "PWN(" in name or name.endswith(")") else name
    for end in OF_VERSION_8:
        plain = plain[: -len(end)] if plain.endswith(end) else plain
    return plain


def separate_qdq(
    network: QdqFile, layers: Sequence[NamingLayer], times_ms: Mapping[str, float] | None = None
) -> list[SeparateQdq]:
    """Return those that only layers without a convolution name; `times_ms` are the layers' times by name.

    A Q is among them if there is a convolution whose output it rounds, a DQ if its layer has Q and DQ alone.
    """
    by_name = {node.name: node for node in network.nodes if node.name}
    for layer in layers:  # of a node that is repeated, one may be fused and the other not
        by_name.update(
            {name: by_name[CLONE.sub("", name)] for name in layer.nodes if _is_clone(name, by_name)}
        )
    behind = _rounded_convolutions(network)
    computing = _computing(layers, by_name)
    with_convolution = {name for layer in layers if layer.name in computing for name in layer.nodes}
    found: dict[str, SeparateQdq] = {}
    for layer in layers:
        nodes = [by_name[name] for name in layer.nodes if name in by_name]
        alone = all(node.kind in (ROUNDS, UNDOES) for node in nodes)
        ms = (times_ms or {}).get(layer.name) if alone else None
        for name in layer.nodes:
            node = by_name.get(name)
            if node is None or node.name not in behind or name in with_convolution:
                continue
            if alone if node.kind == UNDOES else behind[node.name]:
                found.setdefault(name, SeparateQdq(name, behind[node.name], alone, ms))
    return list(found.values())


def _is_clone(name: str, by_name: Mapping[str, OnnxNode]) -> bool:
    return name not in by_name and CLONE.sub("", name) in by_name


def _computing(layers: Sequence[NamingLayer], by_name: Mapping[str, OnnxNode]) -> set[str]:
    """Return the layers that compute a convolution; generated kernels name one for its scale or bias."""
    found = set()
    for convolution in [node.name for node in by_name.values() if node.kind in CONVOLUTIONS]:
        naming = [layer for layer in layers if convolution in layer.nodes]
        found |= {layer.name for layer in naming if layer.kind != GENERATED} or {one.name for one in naming}
    return found


def words(found: Sequence[SeparateQdq] | None) -> str:
    """Return it as a part of a sentence; None: it could not be compared."""
    if found is None:
        return "which Q/DQ are fused is not known"
    if not found:
        return "no Q of a convolution's output is named by another layer than a convolution's"
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    named = ", ".join(map(str, found[:NAMED])) + more
    return f"{len(found)} Q/DQ are not fused into the convolution before: {named}"


def _rounded_convolutions(network: QdqFile) -> dict[str, str]:
    """Return for each Q and DQ of activations, by name, the convolution whose output it is of; "" if none."""
    made_by = {tensor: node for node in network.nodes for tensor in node.outputs}
    found: dict[str, str] = {}
    for node in network.nodes:
        if node.kind == ROUNDS and not network.is_constant(node.inputs[0]):
            found[node.name] = _convolution_before(node.inputs[0], made_by)
    for node in network.nodes:
        rounding = made_by.get(node.inputs[0]) if node.kind == UNDOES else None
        if rounding is not None and rounding.name in found:
            found[node.name] = found[rounding.name]
    return found


def _convolution_before(tensor: str, made_by: Mapping[str, OnnxNode]) -> str:
    waiting, seen = [tensor], set()
    while waiting:
        node = made_by.get(waiting.pop(0))
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.kind in CONVOLUTIONS:
            return node.name
        if node.kind in FUSED_BETWEEN:
            waiting += node.inputs
    return ""
