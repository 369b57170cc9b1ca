"""The layers of an engine as TensorRT-RTX lists them in its verbose log, with detailed profiling on.

A line is: Name: X, LayerType: T, Inputs: [ { Name: .., Datatype: Int8, .. } ], Constants: [..],
Outputs: [..], TacticName: .., StreamId: 0, Metadata: [ONNX Layer: /conv1/Conv][ONNX Layer: /relu/Relu]
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MARK = ", LayerType: "
TYPE = re.compile(r"LayerType: (\w+)")
DATATYPE = re.compile(r"Data[tT]ype: (\w+)")
ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


@dataclass(frozen=True)
class BuiltLayer:
    """One kernel of an engine: the types of its inputs and outputs, and the ONNX nodes that it computes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    def multiplies(self, kind: str) -> bool:
        """Whether it multiplies activations with weights of this kind, such as Int8."""
        return self.inputs[:1] == (kind,) and self.constants[:1] == (kind,)


def read_layers(log: Iterable[str]) -> list[BuiltLayer]:
    """Return the layers that the lines of a log list, in order."""
    return [_layer(line) for line in log if MARK in line]


def not_in(kind: str, layers: Iterable[BuiltLayer], convolutions: Iterable[str]) -> list[str]:
    """Return those of the ONNX Conv nodes named by `convolutions` that no layer of this kind computes."""
    covered = {node for layer in layers if layer.multiplies(kind) for node in layer.nodes}
    return [name for name in convolutions if name not in covered]


def _layer(line: str) -> BuiltLayer:
    kind = TYPE.search(line)
    name = line.partition(MARK)[0].partition("Name: ")[2]
    return BuiltLayer(
        name=name,
        kind=kind.group(1) if kind else "",
        inputs=_types(line, "Inputs"),
        constants=_types(line, "Constants"),
        outputs=_types(line, "Outputs"),
        nodes=tuple(ONNX_NODE.findall(line)),
    )


def _types(line: str, section: str) -> tuple[str, ...]:
    """The data types within `section: [ ... ]`; brackets nest."""
    start = line.find(f", {section}: [")
    if start < 0:
        return ()
    start = line.index("[", start)
    depth = 0
    for end in range(start, len(line)):
        depth += {"[": 1, "]": -1}.get(line[end], 0)
        if depth == 0:
            return tuple(DATATYPE.findall(line[start:end]))
    return ()
